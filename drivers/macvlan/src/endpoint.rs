//! An endpoint: a macvlan link that becomes the container's interface.

use wasmnet_sdk::{
    ContainerInterface, Endpoint, EndpointRequest, EndpointSettings, Error, IpAddress, IpNetwork,
    JoinInfo, Network, Pool, common,
    ipnet::IpNet,
    links::{self, MacvlanOptions},
};

use crate::{host, island, settings::Settings};

/// The label of an endpoint's link.
const PORT: &str = "port";

/// Makes the link and settles the MAC address.
pub fn create(network: &Network, request: &EndpointRequest) -> Result<EndpointSettings, Error> {
    let settings = Settings::of(network)?;
    // Not from the address alone, as on a bridge: others on the wire may have that.
    let chosen = request.mac.is_none().then(|| common::choose_mac(None));
    let mac = request.mac.or(chosen);
    match settings.parent {
        Some(parent) => {
            let options = MacvlanOptions { parent, mode: settings.mode, mac, mtu: settings.mtu };
            links::create_macvlan(PORT, &options)?;
        }
        None => island::connect(PORT, mac)?,
    }
    Ok(EndpointSettings { ipv4: None, ipv6: None, mac: chosen })
}

/// Names the container's interface and the gateway of its subnet.
pub fn join(network: &Network, endpoint: &Endpoint) -> Result<JoinInfo, Error> {
    let settings = Settings::of(network)?;
    if settings.host_access {
        host::route(endpoint)?;
    }
    // Nobody on an internal network, or on one that nothing else is on, is a way out.
    let closed = network.internal || settings.parent.is_none();
    let gateway = |pools: &[Pool], address: Option<IpNetwork>| {
        address.filter(|_| !closed).and_then(|address| gateway_of(pools, address))
    };
    let port = links::open(PORT)?;
    Ok(JoinInfo {
        interface: Some(ContainerInterface {
            source: port.peer_name().unwrap_or_else(|| port.name()),
            prefix: settings.interface_prefix,
        }),
        gateway: gateway(&network.ipv4, endpoint.ipv4),
        gateway_ipv6: gateway(&network.ipv6, endpoint.ipv6),
        routes: Vec::new(),
        // The wire is the way out; the engine's own bridge would go around it.
        disable_gateway_service: true,
    })
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
