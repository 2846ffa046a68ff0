//! An endpoint: a macvlan or ipvlan link that becomes the container's interface.

use wasmnet_sdk::{
    ContainerInterface, Endpoint, EndpointRequest, EndpointSettings, Error, IpAddress, IpNetwork,
    JoinInfo, Network, Pool, StaticRoute, common,
    ipnet::IpNet,
    links::{self, IpvlanOptions, MacvlanOptions},
};

use crate::{host, island, mode::Mode, settings::Settings};

/// The label of an endpoint's link.
const PORT: &str = "port";

/// Makes the link and settles the MAC address.
pub fn create(network: &Network, request: &EndpointRequest) -> Result<EndpointSettings, Error> {
    let settings = Settings::of(network)?;
    if let (Some(parent), Mode::Ipvlan(mode, flag)) = (&settings.parent, settings.mode) {
        if request.mac.is_some() {
            return Err(Error::invalid(format!(
                "on an ipvlan network all have the MAC address of {parent}; give none"
            )));
        }
        let options = IpvlanOptions { parent: parent.clone(), mode, flag, mtu: settings.mtu };
        links::create_ipvlan(PORT, &options)?;
        return Ok(EndpointSettings { ipv4: None, ipv6: None, mac: None });
    }
    // Not from the address alone, as on a bridge: others on the wire may have that.
    let chosen = request.mac.is_none().then(|| common::choose_mac(None));
    let mac = request.mac.or(chosen);
    match (settings.parent, settings.mode) {
        (Some(parent), Mode::Macvlan(mode)) => {
            let options = MacvlanOptions { parent, mode, mac, mtu: settings.mtu };
            links::create_macvlan(PORT, &options)?;
        }
        _ => island::connect(PORT, mac)?,
    }
    Ok(EndpointSettings { ipv4: None, ipv6: None, mac: chosen })
}

/// Names the container's interface, and its ways out.
pub fn join(network: &Network, endpoint: &Endpoint) -> Result<JoinInfo, Error> {
    let settings = Settings::of(network)?;
    if settings.host_access {
        host::route(endpoint)?;
    }
    // Nobody on an internal network, or on one that nothing else is on, is a way out.
    let closed = network.internal || settings.parent.is_none();
    let way_out = |pools: &[Pool], address: Option<IpNetwork>, everywhere: IpNet| {
        let Some(address) = address.filter(|_| !closed) else { return (None, None) };
        let gateway = gateway_of(pools, address).filter(|_| !settings.mode.is_routed());
        let by_link = settings.mode.is_routed() || settings.default_route;
        let route = StaticRoute { destination: everywhere.into(), next_hop: None };
        (gateway, (gateway.is_none() && by_link).then_some(route))
    };
    let (gateway, route) = way_out(&network.ipv4, endpoint.ipv4, everywhere(false));
    let (gateway_ipv6, route6) = way_out(&network.ipv6, endpoint.ipv6, everywhere(true));
    let port = links::open(PORT)?;
    Ok(JoinInfo {
        interface: Some(ContainerInterface {
            source: port.peer_name().unwrap_or_else(|| port.name()),
            prefix: settings.interface_prefix,
        }),
        gateway,
        gateway_ipv6,
        routes: route.into_iter().chain(route6).collect(),
        // The wire is the way out; the engine's own bridge would go around it.
        disable_gateway_service: true,
    })
}

/// The destination of a default route.
fn everywhere(ipv6: bool) -> IpNet {
    if ipv6 { IpNet::V6(Default::default()) } else { IpNet::V4(Default::default()) }
}

/// The gateway of the subnet that an address is in.
fn gateway_of(pools: &[Pool], address: IpNetwork) -> Option<IpAddress> {
    let ip = std::net::IpAddr::from(address.address);
    let has = |pool: &&Pool| {
        let subnet = IpNet::new(pool.subnet.address.into(), pool.subnet.prefix_length);
        subnet.is_ok_and(|subnet| subnet.contains(&ip))
    };
    pools.iter().find(has)?.gateway.map(|gateway| gateway.address)
}
