//! An endpoint on this host: a veth pair on the bridge, told to the other hosts.

use wasmnet_sdk::{
    ContainerInterface, Endpoint, EndpointRequest, EndpointSettings, Error, ErrorCode, IpAddress,
    JoinInfo, Network, Pool, PortBinding, StaticRoute, cluster, common, firewall,
    ipnet::IpNet,
    links::{self, VethOptions},
};

use crate::{
    network::BRIDGE,
    record::Record,
    settings::{self, Gateway, Settings},
};

/// The label of an endpoint's veth pair.
const PORT: &str = "port";

/// Makes the veth pair, settles the MAC address and tells the other hosts.
pub fn create(network: &Network, request: &EndpointRequest) -> Result<EndpointSettings, Error> {
    let chosen = request.mac.is_none().then(|| common::choose_mac(request.ipv4));
    let bridge = links::open(BRIDGE)?;
    let options = VethOptions { mtu: bridge.mtu(), peer_mac: request.mac.or(chosen) };
    links::create_veth(PORT, &bridge, options)?;
    if let Some(mac) = request.mac.or(chosen) {
        let record = Record::new(mac, request.ipv4.into_iter().chain(request.ipv6));
        tell(&Settings::of(network)?.group, &record)?;
    }
    Ok(EndpointSettings { ipv4: None, ipv6: None, mac: chosen })
}

/// Tells the other hosts, unless one of them has such an address already.
fn tell(group: &str, record: &Record) -> Result<(), Error> {
    let Some(key) = record.key() else { return Ok(()) };
    let claims: Vec<String> = record.claims().collect();
    for key in std::iter::once(&key).chain(&claims) {
        check_free(group, key)?;
    }
    cluster::publish(group, &key, &record.write())?;
    claims.iter().try_for_each(|claim| cluster::publish(group, claim, b""))
}

/// Each engine's own IPAM gives out the same addresses as that of every other.
fn check_free(group: &str, key: &str) -> Result<(), Error> {
    let entries = match cluster::entries(group, Some(key)) {
        // Nothing is known yet; what is found out later goes by who came last.
        Err(error) if error.code == ErrorCode::Unavailable => return Ok(()),
        entries => entries?,
    };
    let here = cluster::this_node()?.id;
    match entries.into_iter().find(|entry| entry.node.id != here) {
        None => Ok(()),
        Some(entry) => Err(Error {
            code: ErrorCode::InUse,
            message: format!(
                "{} is in use on host {}: give the network an --ip-range of its own on each \
                 host, or addresses by --ipam-driver wasm-ipam --ipam-opt cluster=NAME",
                key.split_once('/').map_or(key, |(_, address)| address),
                entry.node.name
            ),
        }),
    }
}

/// Names the container's interface, its gateways and the way to the other subnets.
pub fn join(network: &Network, endpoint: &Endpoint) -> Result<JoinInfo, Error> {
    let settings = Settings::of(network)?;
    let source = links::open(PORT)?
        .peer_name()
        .ok_or_else(|| Error::not_found("the endpoint's link is not a veth pair"))?;
    let by_host = settings.gateway == Gateway::Host && !network.internal;
    let gateway = |pools: &[Pool]| match by_host {
        true => pools.iter().find_map(|pool| pool.gateway).map(|gateway| gateway.address),
        false => None,
    };
    Ok(JoinInfo {
        interface: Some(ContainerInterface { source, prefix: settings.interface_prefix }),
        gateway: gateway(&network.ipv4),
        gateway_ipv6: gateway(&network.ipv6),
        routes: routes(network, endpoint),
        disable_gateway_service: false,
    })
}

/// Publishes the container's ports, where this host is its way out.
pub fn publish(network: &Network, endpoint: &Endpoint, ports: &[PortBinding]) -> Result<(), Error> {
    if network.internal || ports.is_empty() {
        return Ok(());
    }
    let port = links::open(PORT)?;
    let ipv4 = endpoint.ipv4.map(|net| net.address);
    let ipv6 = endpoint.ipv6.map(|net| net.address);
    for binding in ports {
        firewall::publish(&port, ipv4, ipv6, *binding)?;
    }
    Ok(())
}

/// All subnets of the network are on one bridge: the others are directly connected too.
fn routes(network: &Network, endpoint: &Endpoint) -> Vec<StaticRoute> {
    let own = [endpoint.ipv4, endpoint.ipv6];
    let has = |subnet: &IpNet| {
        let mut own = own.iter().flatten();
        own.any(|net| subnet.contains(&std::net::IpAddr::from(net.address)))
    };
    let of_family = |subnet: &IpNet| match subnet {
        IpNet::V4(_) => endpoint.ipv4.is_some(),
        IpNet::V6(_) => endpoint.ipv6.is_some(),
    };
    settings::subnets(network)
        .filter(|subnet| of_family(subnet) && !has(subnet))
        .map(|subnet| StaticRoute { destination: subnet.into(), next_hop: None::<IpAddress> })
        .collect()
}
