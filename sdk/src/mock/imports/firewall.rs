//! What traffic may pass, in the operator's terms and not in a firewall's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::addresses::check_own;
use crate::{
    Error, ErrorCode, IpAddress, IpNetwork, PortBinding,
    links::Link,
    mock::{
        object::Object,
        state::{State, denied, error, operation},
    },
};

pub use crate::bindings::network::wasmnet::driver::firewall::{Access, NetworkPolicy, SourceNat};

/// The ports that the host may pick by itself.
const EPHEMERAL: std::ops::RangeInclusive<u16> = 32768..=60999;

/// Says that `link` is a network's bridge. Saying it again replaces the policy.
pub fn set_policy(link: &Link, policy: &NetworkPolicy) -> Result<(), Error> {
    let name = link.name();
    operation(|state| {
        state.link(&name)?;
        state.retain(|_, object| !matches!(object, Object::Policy { link, .. } if *link == name));
        state.make(Object::Policy { link: name, policy: policy.clone() });
        Ok(())
    })
}

/// Says that `subnet` is at home on bridge `link`, and what becomes of its addresses in
/// packets that leave the host by another link: the same for all subnets of a family on one
/// bridge.
pub fn set_subnet(link: &Link, subnet: IpNetwork, nat: SourceNat) -> Result<(), Error> {
    let (name, subnet) = (link.name(), subnet.subnet());
    operation(|state| {
        state.link(&name)?;
        check_own(state, subnet, "use")?;
        let ipv4 = |subnet: IpNetwork| matches!(subnet.address, IpAddress::Ipv4(_));
        let differs = |object: &Object| {
            matches!(object, Object::Subnet { link, subnet: other, nat: others }
            if *link == name && *other != subnet && ipv4(*other) == ipv4(subnet) && *others != nat)
        };
        if state.world.objects.iter().any(|row| differs(&row.is)) {
            return Err(Error::invalid(format!(
                "the subnets of one family on bridge {name} must all have the same source NAT"
            )));
        }
        state.retain(|_, object| !matches!(object, Object::Subnet { link, subnet: same, .. } if *link == name && *same == subnet));
        state.make(Object::Subnet { link: name, subnet, nat });
        Ok(())
    })
}

/// Publishes a port of the container behind `link`, a port of a network's bridge, which has
/// these addresses. A host's port that is taken is an error. Returns the host's port.
///
/// It belongs to the endpoint and is gone when the endpoint is no longer its container's way
/// out, leaves, or is deleted; there is nothing to take back.
pub fn publish(
    link: &Link,
    ipv4: Option<IpAddress>,
    ipv6: Option<IpAddress>,
    binding: PortBinding,
) -> Result<u16, Error> {
    let name = link.name();
    operation(|state| {
        let policy = policy_of(state, &name)?;
        let addresses: Vec<IpAddress> = [ipv4, ipv6].into_iter().flatten().collect();
        for address in &addresses {
            if !state.call.addresses.iter().any(|own| own.address == *address) {
                return Err(denied(&format!("publish ports for {address}, not its endpoint's")));
            }
        }
        let routed = |ip: IpAddr| match ip {
            IpAddr::V4(_) => policy.access_ipv4 == Access::Routed,
            IpAddr::V6(_) => policy.access_ipv6 == Access::Routed,
        };
        let ips: Vec<IpAddr> = addresses.into_iter().map(IpAddr::from).collect();
        let container = |ip: IpAddr| SocketAddr::new(ip, binding.container_port);
        let mut wanted: Vec<(Option<IpAddr>, SocketAddr)> =
            ips.iter().filter(|ip| routed(**ip)).map(|ip| (None, container(*ip))).collect();
        let nat = |v4: bool| ips.iter().find(|ip| ip.is_ipv4() == v4 && !routed(**ip));
        let hosts = match binding.host_address {
            Some(host) => vec![IpAddr::from(host)],
            None => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
        };
        for host in hosts {
            let ip = if host.is_ipv4() { nat(true) } else { nat(false).or_else(|| nat(true)) };
            wanted.extend(ip.map(|ip| (Some(host), container(*ip))));
        }
        if wanted.is_empty() {
            return Err(Error::invalid(format!(
                "container port {} cannot be published: the container has no address of that family",
                binding.container_port
            )));
        }
        if wanted.iter().all(|(host, _)| host.is_none()) {
            bind(state, &name, &binding, &wanted, 0);
            return Ok(binding.container_port);
        }
        let numbers = match binding.host_ports {
            (0, _) => EPHEMERAL,
            (first, last) => first..=last,
        };
        let free = |number: &u16| {
            wanted
                .iter()
                .all(|(host, _)| host.is_none_or(|host| !clashes(state, &binding, host, *number)))
        };
        let Some(number) = numbers.into_iter().find(free) else {
            let host = SocketAddr::new(hosts_name(&binding), binding.host_ports.0);
            return Err(error(
                ErrorCode::InUse,
                format!("Bind for {host} failed: port is already allocated"),
            ));
        };
        bind(state, &name, &binding, &wanted, number);
        Ok(number)
    })
}

fn bind(
    state: &mut State,
    link: &str,
    binding: &PortBinding,
    wanted: &[(Option<IpAddr>, SocketAddr)],
    number: u16,
) {
    for (host, container) in wanted {
        let host = host.map(|host| SocketAddr::new(host, number));
        let (link, protocol) = (link.to_owned(), binding.protocol);
        state.make(Object::Port { link, protocol, host, container: *container });
    }
}

fn hosts_name(binding: &PortBinding) -> IpAddr {
    binding.host_address.map_or(Ipv4Addr::UNSPECIFIED.into(), IpAddr::from)
}

/// Whether somebody listens there already, or on all addresses of the family.
fn clashes(state: &State, binding: &PortBinding, ip: IpAddr, number: u16) -> bool {
    state.world.objects.iter().any(|row| match &row.is {
        Object::Port { protocol, host: Some(host), .. } => {
            *protocol == binding.protocol
                && host.port() == number
                && host.is_ipv4() == ip.is_ipv4()
                && (host.ip() == ip || host.ip().is_unspecified() || ip.is_unspecified())
        }
        _ => false,
    })
}

/// What was said about the bridge that a link is a port of.
fn policy_of(state: &mut State, name: &str) -> Result<NetworkPolicy, Error> {
    let none = || Error::invalid(format!("link {name} is no port of a network's bridge"));
    let bridge = state.link(name)?.master.clone().ok_or_else(none)?;
    let policy = state.world.objects.iter().find_map(|row| match &row.is {
        Object::Policy { link, policy } if *link == bridge => Some(policy.clone()),
        _ => None,
    });
    policy.ok_or_else(none)
}
