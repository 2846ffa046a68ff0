//! Between the model and the contract's types.
//!
//! `…_out` goes to the driver and cannot fail; `…_in` comes from it and is checked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::{
    CallError, Endpoint,
    bindings::{
        ipam::exports::wasmnet::driver::ipam_driver,
        network::{exports::wasmnet::driver::network_driver, wasmnet::driver::types},
    },
};
use crate::{
    mac::Mac,
    model::{
        ContainerInterface, EndpointRequest, EndpointSettings, JoinInfo, Lease, LeasePurpose,
        LeaseState, Network, NetworkCapabilities, Node, Options, Pool, PoolReport, PoolRequest,
        PortBinding, Protocol, ReservedPool, Scope, SharedPool, StaticRoute,
    },
};

/// Longest sentence a driver can send to Docker's user, in characters.
const MESSAGE_MAX: usize = 1000;

/// A driver's failure.
pub(super) fn driver_error(error: types::Error) -> CallError {
    let code = match error.code {
        types::ErrorCode::Denied => "denied",
        types::ErrorCode::Exists => "exists",
        types::ErrorCode::NotFound => "not-found",
        types::ErrorCode::InUse => "in-use",
        types::ErrorCode::Invalid => "invalid",
        types::ErrorCode::Exhausted => "exhausted",
        types::ErrorCode::Unavailable => "unavailable",
        types::ErrorCode::Kernel => "kernel",
    };
    CallError::Driver { code, message: one_line(&error.message) }
}

/// A driver's text made fit for one line of a terminal or a log.
pub(super) fn one_line(text: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().map(printable).take(MESSAGE_MAX).collect()
}

/// An address to the driver.
pub(super) fn address_out(address: IpAddr) -> types::IpAddress {
    match address {
        IpAddr::V4(v4) => types::IpAddress::Ipv4(v4.octets().into()),
        IpAddr::V6(v6) => types::IpAddress::Ipv6(v6.segments().into()),
    }
}

/// An address from the driver.
pub(super) fn address_in(address: types::IpAddress) -> IpAddr {
    match address {
        types::IpAddress::Ipv4(octets) => Ipv4Addr::from(<[u8; 4]>::from(octets)).into(),
        types::IpAddress::Ipv6(groups) => Ipv6Addr::from(<[u16; 8]>::from(groups)).into(),
    }
}

/// An address with prefix length to the driver.
pub(super) fn net_out(net: IpNet) -> types::IpNetwork {
    types::IpNetwork { address: address_out(net.addr()), prefix_length: net.prefix_len() }
}

/// An address with prefix length from the driver.
pub(super) fn net_in(method: &'static str, net: types::IpNetwork) -> Result<IpNet, CallError> {
    let address = address_in(net.address);
    IpNet::new(address, net.prefix_length).map_err(|_| {
        answer(method, format!("{address} cannot have prefix length {}", net.prefix_length))
    })
}

/// A MAC address to the driver.
pub(super) fn mac_out(mac: Mac) -> types::MacAddress {
    mac.0.into()
}

/// A MAC address from the driver.
pub(super) fn mac_in(mac: types::MacAddress) -> Mac {
    Mac(mac.into())
}

/// Options to the driver.
pub(super) fn options_out(options: &Options) -> Vec<types::DriverOption> {
    let option = |(key, value): (&String, &String)| types::DriverOption {
        key: key.clone(),
        value: value.clone(),
    };
    options.iter().map(option).collect()
}

/// Options from the driver.
pub(super) fn options_in(options: Vec<types::DriverOption>) -> Options {
    options.into_iter().map(|option| (option.key, option.value)).collect()
}

/// Pools to the driver.
pub(super) fn pools_out(pools: &[Pool]) -> Vec<network_driver::Pool> {
    let pool = |pool: &Pool| network_driver::Pool {
        address_space: pool.address_space.clone(),
        subnet: net_out(pool.subnet),
        gateway: pool.gateway.map(net_out),
        auxiliary: pool.auxiliary.iter().map(|(name, net)| (name.clone(), net_out(*net))).collect(),
    };
    pools.iter().map(pool).collect()
}

/// A network to the driver.
pub(super) fn network_out(network: &Network) -> network_driver::Network {
    network_driver::Network {
        id: network.id.to_string(),
        options: options_out(&network.options),
        internal: network.internal,
        ipv4: pools_out(&network.ipv4),
        ipv6: pools_out(&network.ipv6),
    }
}

/// A request for an endpoint to the driver.
pub(super) fn request_out(request: &EndpointRequest) -> network_driver::EndpointRequest {
    network_driver::EndpointRequest {
        id: request.id.to_string(),
        ipv4: request.ipv4.map(|net| net_out(net.into())),
        ipv6: request.ipv6.map(|net| net_out(net.into())),
        mac: request.mac.map(mac_out),
        options: options_out(&request.options),
    }
}

/// An endpoint to the driver.
pub(super) fn endpoint_out(endpoint: Endpoint<'_>) -> network_driver::Endpoint {
    let Endpoint { request, settings } = endpoint;
    network_driver::Endpoint {
        id: request.id.to_string(),
        ipv4: request.ipv4.or(settings.ipv4).map(|net| net_out(net.into())),
        ipv6: request.ipv6.or(settings.ipv6).map(|net| net_out(net.into())),
        mac: request.mac.or(settings.mac).map(mac_out),
        options: options_out(&request.options),
    }
}

/// Ports to the driver.
pub(super) fn ports_out(ports: &[PortBinding]) -> Vec<types::PortBinding> {
    let port = |port: &PortBinding| types::PortBinding {
        protocol: match port.protocol {
            Protocol::Tcp => types::Protocol::Tcp,
            Protocol::Udp => types::Protocol::Udp,
            Protocol::Sctp => types::Protocol::Sctp,
        },
        container_port: port.container_port,
        host_address: port.host_address.map(address_out),
        host_ports: port.host_ports,
    };
    ports.iter().map(port).collect()
}

/// A node to the driver.
pub(super) fn node_out(node: Node) -> network_driver::Node {
    network_driver::Node { address: address_out(node.address), self_: node.is_self }
}

/// A request for a pool to the driver.
pub(super) fn pool_request_out(request: &PoolRequest) -> ipam_driver::PoolRequest {
    ipam_driver::PoolRequest {
        address_space: request.address_space.clone(),
        family: if request.ipv6 { types::IpFamily::Ipv6 } else { types::IpFamily::Ipv4 },
        subnet: request.subnet.map(net_out),
        sub_pool: request.sub_pool.map(net_out),
        options: options_out(&request.options),
    }
}

/// Capabilities from the driver.
pub(super) fn network_capabilities(
    capabilities: network_driver::DriverCapabilities,
) -> NetworkCapabilities {
    let scope = |scope| match scope {
        network_driver::Scope::Local => Scope::Local,
        network_driver::Scope::Global => Scope::Global,
    };
    NetworkCapabilities {
        scope: scope(capabilities.scope),
        connectivity: scope(capabilities.connectivity_scope),
        gateway_allocation: capabilities.gateway_allocation,
    }
}

/// A pool from the driver.
pub(super) fn reserved_pool_in(pool: ipam_driver::Pool) -> Result<ReservedPool, CallError> {
    let method = "request-pool";
    Ok(ReservedPool {
        id: pool.id,
        subnet: net_in(method, pool.subnet)?.trunc(),
        gateway: pool.gateway.map(|net| net_in(method, net)).transpose()?,
    })
}

/// A pool's report from the driver.
pub(super) fn pool_report_in(report: ipam_driver::PoolReport) -> Result<PoolReport, CallError> {
    let method = "pools";
    Ok(PoolReport {
        id: one_line(&report.id),
        address_space: one_line(&report.address_space),
        subnet: net_in(method, report.subnet)?.trunc(),
        range: report.range.map(|net| net_in(method, net)).transpose()?,
        name: report.name.map(|name| one_line(&name)),
        held: report.held,
        resting: report.resting,
        free: report.free,
        shared: report.shared.map(shared_pool_in).transpose()?,
    })
}

fn shared_pool_in(shared: ipam_driver::SharedPool) -> Result<SharedPool, CallError> {
    let blocks = shared.blocks.into_iter().map(|net| Ok(net_in("pools", net)?.trunc()));
    Ok(SharedPool {
        name: one_line(&shared.name),
        blocks: blocks.collect::<Result<_, CallError>>()?,
        others: shared.others,
        all: shared.all,
    })
}

/// A lease from the driver.
pub(super) fn lease_in(lease: ipam_driver::Lease) -> Lease {
    Lease {
        address: address_in(lease.address),
        state: match lease.state {
            ipam_driver::LeaseState::Held => LeaseState::Held,
            ipam_driver::LeaseState::Resting => LeaseState::Resting,
        },
        purpose: match lease.purpose {
            ipam_driver::LeasePurpose::Endpoint => LeasePurpose::Endpoint,
            ipam_driver::LeasePurpose::Gateway => LeasePurpose::Gateway,
            ipam_driver::LeasePurpose::Auxiliary => LeasePurpose::Auxiliary,
        },
        mac: lease.mac.map(mac_in),
        name: one_line(&lease.name),
        since: lease.since,
    }
}

/// Endpoint settings from the driver.
pub(super) fn settings_in(
    settings: network_driver::EndpointSettings,
) -> Result<EndpointSettings, CallError> {
    let method = "create-endpoint";
    let ipv4 = match settings.ipv4.map(|net| net_in(method, net)).transpose()? {
        Some(IpNet::V6(net)) => return Err(answer(method, format!("{net} is not IPv4"))),
        Some(IpNet::V4(net)) => Some(net),
        None => None,
    };
    let ipv6 = match settings.ipv6.map(|net| net_in(method, net)).transpose()? {
        Some(IpNet::V4(net)) => return Err(answer(method, format!("{net} is not IPv6"))),
        Some(IpNet::V6(net)) => Some(net),
        None => None,
    };
    let mac = settings.mac.map(mac_in);
    if let Some(mac) = mac.filter(|mac| mac.is_group() || mac.0 == [0; 6]) {
        return Err(answer(method, format!("{mac} cannot be an interface's MAC address")));
    }
    Ok(EndpointSettings { ipv4, ipv6, mac })
}

/// What to set up in the container, from the driver.
pub(super) fn join_in(info: network_driver::JoinInfo) -> Result<JoinInfo, CallError> {
    let method = "join";
    let gateway = match info.gateway.map(address_in) {
        Some(IpAddr::V6(ip)) => return Err(answer(method, format!("gateway {ip} is not IPv4"))),
        Some(IpAddr::V4(ip)) => Some(ip),
        None => None,
    };
    let gateway_ipv6 = match info.gateway_ipv6.map(address_in) {
        Some(IpAddr::V4(ip)) => return Err(answer(method, format!("gateway {ip} is not IPv6"))),
        Some(IpAddr::V6(ip)) => Some(ip),
        None => None,
    };
    let route = |route: network_driver::StaticRoute| {
        let destination = net_in(method, route.destination)?;
        let next_hop = route.next_hop.map(address_in);
        if next_hop.is_some_and(|hop| hop.is_ipv4() != destination.addr().is_ipv4()) {
            let reason = format!("the route to {destination} has a next hop of the other family");
            return Err(answer(method, reason));
        }
        Ok(StaticRoute { destination, next_hop })
    };
    Ok(JoinInfo {
        interface: info.interface.map(|interface| ContainerInterface {
            source: interface.source,
            prefix: interface.prefix,
        }),
        gateway,
        gateway_ipv6,
        routes: info.routes.into_iter().map(route).collect::<Result<_, _>>()?,
        disable_gateway_service: info.disable_gateway_service,
    })
}

fn answer(method: &'static str, reason: String) -> CallError {
    CallError::Answer { method, reason }
}
