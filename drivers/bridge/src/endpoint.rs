//! An endpoint: a veth pair, one end a port of the bridge, the other the
//! container's interface.

use wasmnet_sdk::{
    ContainerInterface, EndpointRequest, EndpointSettings, Error, IpAddress, JoinInfo, Network,
    Pool,
    links::{self, VethOptions},
};

use crate::{mac, network::BRIDGE, settings::Settings};

/// The label of an endpoint's veth pair.
const PORT: &str = "port";

/// Makes the veth pair and settles the MAC address.
pub fn create(request: &EndpointRequest) -> Result<EndpointSettings, Error> {
    let chosen = request.mac.is_none().then(|| mac::choose(request.ipv4));
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
    let gateway = |pools: &[Pool]| if network.internal { None } else { gateway_of(pools) };
    Ok(JoinInfo {
        interface: Some(ContainerInterface { source, prefix: settings.interface_prefix }),
        gateway: gateway(&network.ipv4),
        gateway_ipv6: gateway(&network.ipv6),
        routes: Vec::new(),
        disable_gateway_service: false,
    })
}

fn gateway_of(pools: &[Pool]) -> Option<IpAddress> {
    pools.iter().find_map(|pool| pool.gateway).map(|gateway| gateway.address)
}
