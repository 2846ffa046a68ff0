//! An endpoint: a veth pair, one end a port of the bridge, the other the
//! container's interface.

use wasmnet_sdk::{
    ContainerInterface, Endpoint, EndpointRequest, EndpointSettings, Error, IpAddress, JoinInfo,
    Network, Pool, PortBinding, common, firewall,
    links::{self, VethOptions},
};

use crate::{
    network::BRIDGE,
    settings::{Family, Settings},
};

/// The label of an endpoint's veth pair.
const PORT: &str = "port";

/// Makes the veth pair and settles the MAC address.
pub fn create(request: &EndpointRequest) -> Result<EndpointSettings, Error> {
    let chosen = request.mac.is_none().then(|| common::choose_mac(request.ipv4));
    let bridge = links::open(BRIDGE)?;
    let options = VethOptions { mtu: bridge.mtu(), peer_mac: request.mac.or(chosen) };
    links::create_veth(PORT, &bridge, options)?;
    Ok(EndpointSettings { ipv4: None, ipv6: None, mac: chosen })
}

/// Names the container's interface and its gateways.
pub fn join(network: &Network) -> Result<JoinInfo, Error> {
    let settings = Settings::of(network)?;
    let source = links::open(PORT)?
        .peer_name()
        .ok_or_else(|| Error::not_found("the endpoint's link is not a veth pair"))?;
    // Nothing beyond the bridge can be reached from an internal network.
    let gateway = |pools: &[Pool], family: &Family| {
        if network.internal { None } else { gateway_of(pools, family) }
    };
    Ok(JoinInfo {
        interface: Some(ContainerInterface { source, prefix: settings.interface_prefix.clone() }),
        gateway: gateway(&network.ipv4, &settings.ipv4),
        gateway_ipv6: gateway(&network.ipv6, &settings.ipv6),
        routes: Vec::new(),
        disable_gateway_service: false,
    })
}

/// Publishes the container's ports, where the user said or the network says.
pub fn publish(network: &Network, endpoint: &Endpoint, ports: &[PortBinding]) -> Result<(), Error> {
    // Nobody comes in to an internal network.
    if network.internal || ports.is_empty() {
        return Ok(());
    }
    let settings = Settings::of(network)?;
    let port = links::open(PORT)?;
    let ipv4 = endpoint.ipv4.map(|net| net.address);
    let ipv6 = endpoint.ipv6.map(|net| net.address);
    for binding in ports {
        let host_address = binding.host_address.or(host_binding(&settings));
        firewall::publish(&port, ipv4, ipv6, PortBinding { host_address, ..*binding })?;
    }
    Ok(())
}

/// 0.0.0.0 stands for all addresses of both families, as in Docker's driver.
fn host_binding(settings: &Settings) -> Option<IpAddress> {
    let address =
        settings.host_binding.filter(|address| !address.is_unspecified() || address.is_ipv6());
    address.map(IpAddress::from)
}

fn gateway_of(pools: &[Pool], family: &Family) -> Option<IpAddress> {
    let pool = || pools.iter().find_map(|pool| pool.gateway);
    family.gateway.or_else(pool).map(|gateway| gateway.address)
}
