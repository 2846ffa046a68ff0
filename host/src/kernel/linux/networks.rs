//! What addresses the host uses itself, in whatever routing table.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use futures::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::{
    Handle,
    packet_route::{
        AddressFamily,
        route::{RouteAddress, RouteAttribute, RouteMessage, RouteType},
    },
};

use super::routing;
use crate::kernel::Error;

/// A default route may be written as two halves (0.0.0.0/1 and 128.0.0.0/1), as VPNs do.
const HALF: u8 = 1;

/// Reads all routes and addresses.
pub(super) async fn dump(handle: &Handle) -> Result<BTreeSet<IpNet>, Error> {
    let mut networks = BTreeSet::new();
    let mut addresses = handle.address().get().execute();
    let failed = |error: rtnetlink::Error| Error::Read { what: "addresses", source: error.into() };
    while let Some(message) = addresses.try_next().await.map_err(failed)? {
        networks.extend(routing::net_of(&message).map(|net| net.trunc()));
    }
    let failed = |error: rtnetlink::Error| Error::Read { what: "routes", source: error.into() };
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        let mut routes = handle.route().get(message).execute();
        while let Some(message) = routes.try_next().await.map_err(failed)? {
            networks.extend(destination(&message));
        }
    }
    networks.retain(|net| net.prefix_len() > HALF && !is_everywhere(net.addr()));
    Ok(networks)
}

/// Where a route leads to. Those to nowhere (blackhole, unreachable) say that somebody has
/// the addresses, too.
fn destination(message: &RouteMessage) -> Option<IpNet> {
    let leads = matches!(
        message.header.kind,
        RouteType::Unicast | RouteType::BlackHole | RouteType::Unreachable | RouteType::Prohibit
    );
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(ip)) => Some(IpAddr::V4(*ip)),
        RouteAttribute::Destination(RouteAddress::Inet6(ip)) => Some(IpAddr::V6(*ip)),
        _ => None,
    });
    let net = IpNet::new(address?, message.header.destination_prefix_length).ok()?;
    leads.then(|| net.trunc())
}

/// Loopback, link-local and multicast addresses are on every host, and no network's.
fn is_everywhere(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_multicast() || v4 == Ipv4Addr::BROADCAST,
        IpAddr::V6(v6) => {
            v6 == Ipv6Addr::LOCALHOST || v6.is_multicast() || v6.is_unicast_link_local()
        }
    }
}
