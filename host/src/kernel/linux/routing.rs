//! Addresses, routes and neighbours.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use futures::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::{
    AddressMessageBuilder, Handle, RouteMessageBuilder,
    packet_route::{
        AddressFamily,
        address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage},
        neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState},
        route::{
            RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteType,
        },
    },
};

use super::links::{index_of, need_index};
use crate::{
    kernel::{Address, Error, LinkName, Neighbour, Refusal, Route},
    mac::Mac,
};

/// Adds an address.
pub(super) async fn add_address(handle: &Handle, address: &Address) -> Result<(), Error> {
    let index = need_index(handle, &address.link).await?;
    let (ip, prefix) = (address.net.addr(), address.net.prefix_len());
    let mut request = handle.address().add(index, ip, prefix);
    if ip.is_ipv6() {
        // The address is agreed on already; detection would delay its use by a second.
        let message = request.message_mut();
        message.header.flags |= AddressHeaderFlags::Nodad;
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    request.execute().await.map_err(|error| address_error(address, error.into()))
}

/// Removes an address; a missing one is fine.
pub(super) async fn remove_address(handle: &Handle, address: &Address) -> Result<(), Error> {
    let Some(index) = index_of(handle, &address.link).await? else { return Ok(()) };
    let prefix = address.net.prefix_len();
    let message = match address.net.addr() {
        IpAddr::V4(ip) => {
            AddressMessageBuilder::<Ipv4Addr>::new().index(index).address(ip, prefix).build()
        }
        IpAddr::V6(ip) => {
            AddressMessageBuilder::<Ipv6Addr>::new().index(index).address(ip, prefix).build()
        }
    };
    gone_is_fine(handle.address().del(message).execute().await)
        .map_err(|source| address_error(address, source))
}

/// Adds a route.
pub(super) async fn add_route(
    handle: &Handle,
    route: &Route,
    source: Option<Ipv4Addr>,
) -> Result<(), Error> {
    let index = need_index(handle, &route.link).await?;
    let mut message = route_message(route, index)?;
    if let Some(source) = source {
        message.attributes.push(RouteAttribute::PrefSource(RouteAddress::Inet(source)));
    }
    handle.route().add(message).execute().await.map_err(|error| route_error(route, error.into()))
}

/// Removes a route; a missing one is fine.
pub(super) async fn remove_route(handle: &Handle, route: &Route) -> Result<(), Error> {
    let Some(index) = index_of(handle, &route.link).await? else { return Ok(()) };
    let message = route_message(route, index)?;
    gone_is_fine(handle.route().del(message).execute().await)
        .map_err(|source| route_error(route, source))
}

/// Adds or replaces a permanent neighbour entry.
pub(super) async fn add_neighbour(handle: &Handle, entry: &Neighbour) -> Result<(), Error> {
    let index = need_index(handle, &entry.link).await?;
    handle
        .neighbours()
        .add(index, entry.address)
        .link_layer_address(&entry.mac.0)
        .replace()
        .execute()
        .await
        .map_err(|error| neighbour_error(entry, error.into()))
}

/// Removes a neighbour entry; a missing one is fine.
pub(super) async fn remove_neighbour(handle: &Handle, entry: &Neighbour) -> Result<(), Error> {
    let Some(index) = index_of(handle, &entry.link).await? else { return Ok(()) };
    let mut message = NeighbourMessage::default();
    message.header.ifindex = index;
    message.header.family = match entry.address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    let destination = match entry.address {
        IpAddr::V4(ip) => NeighbourAddress::Inet(ip),
        IpAddr::V6(ip) => NeighbourAddress::Inet6(ip),
    };
    message.attributes.push(NeighbourAttribute::Destination(destination));
    gone_is_fine(handle.neighbours().del(message).execute().await)
        .map_err(|source| neighbour_error(entry, source))
}

/// All addresses by link.
pub(super) async fn dump_addresses(
    handle: &Handle,
    names: &BTreeMap<u32, LinkName>,
) -> Result<BTreeMap<LinkName, BTreeSet<IpNet>>, Error> {
    let messages: Vec<AddressMessage> = handle
        .address()
        .get()
        .execute()
        .try_collect()
        .await
        .map_err(|error| Error::Read { what: "addresses", source: error.into() })?;
    let mut addresses: BTreeMap<LinkName, BTreeSet<IpNet>> = BTreeMap::new();
    for message in &messages {
        if let Some(name) = names.get(&message.header.index)
            && let Some(net) = net_of(message)
        {
            addresses.entry(name.clone()).or_default().insert(net);
        }
    }
    Ok(addresses)
}

/// The main table's routes but those that the kernel makes by itself.
pub(super) async fn dump_routes(
    handle: &Handle,
    names: &BTreeMap<u32, LinkName>,
) -> Result<BTreeSet<Route>, Error> {
    let mut routes = BTreeSet::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        let messages: Vec<RouteMessage> = handle
            .route()
            .get(message)
            .execute()
            .try_collect()
            .await
            .map_err(|error| Error::Read { what: "routes", source: error.into() })?;
        routes.extend(messages.iter().filter_map(|message| {
            let (link, destination, gateway) = route_of(message)?;
            let link = names.get(&link)?.clone();
            Some(Route { link, destination, gateway, source: None })
        }));
    }
    Ok(routes)
}

/// The permanent neighbour entries.
pub(super) async fn dump_neighbours(
    handle: &Handle,
    names: &BTreeMap<u32, LinkName>,
) -> Result<BTreeSet<Neighbour>, Error> {
    let messages: Vec<NeighbourMessage> =
        handle
            .neighbours()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(|error| Error::Read { what: "neighbours", source: error.into() })?;
    let permanent = |message: &&NeighbourMessage| message.header.state == NeighbourState::Permanent;
    let entry = |message: &NeighbourMessage| {
        let (index, address) = neighbour_of(message)?;
        let mac = message.attributes.iter().find_map(|attribute| match attribute {
            NeighbourAttribute::LinkLayerAddress(mac) => mac.as_slice().try_into().ok().map(Mac),
            _ => None,
        });
        Some(Neighbour { link: names.get(&index)?.clone(), address, mac: mac? })
    };
    Ok(messages.iter().filter(permanent).filter_map(entry).collect())
}

/// The link's index, the destination and the gateway of a route of the main table that
/// the kernel has not made by itself.
pub(super) fn route_of(message: &RouteMessage) -> Option<(u32, IpNet, Option<IpAddr>)> {
    let header = &message.header;
    let ours = header.table == RouteHeader::RT_TABLE_MAIN
        && header.kind == RouteType::Unicast
        && !matches!(header.protocol, RouteProtocol::Kernel | RouteProtocol::Ra);
    if !ours {
        return None;
    }
    let (mut link, mut gateway) = (None, None);
    // The default route has no destination.
    let mut destination = match header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => link = Some(*index),
            RouteAttribute::Destination(RouteAddress::Inet(ip)) => destination = (*ip).into(),
            RouteAttribute::Destination(RouteAddress::Inet6(ip)) => destination = (*ip).into(),
            RouteAttribute::Gateway(RouteAddress::Inet(ip)) => gateway = Some((*ip).into()),
            RouteAttribute::Gateway(RouteAddress::Inet6(ip)) => gateway = Some((*ip).into()),
            _ => {}
        }
    }
    let destination = IpNet::new(destination, header.destination_prefix_length).ok()?;
    Some((link?, destination, gateway))
}

/// The link's index and the address of a neighbour entry.
pub(super) fn neighbour_of(message: &NeighbourMessage) -> Option<(u32, IpAddr)> {
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => Some((*ip).into()),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => Some((*ip).into()),
        _ => None,
    });
    Some((message.header.ifindex, address?))
}

/// The interface's own address; on a point-to-point link `Address` is the peer's.
pub(super) fn net_of(message: &AddressMessage) -> Option<IpNet> {
    let (mut local, mut address) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(ip) => local = Some(*ip),
            AddressAttribute::Address(ip) => address = Some(*ip),
            _ => {}
        }
    }
    IpNet::new(local.or(address)?, message.header.prefix_len).ok()
}

fn route_message(route: &Route, index: u32) -> Result<RouteMessage, Error> {
    let mixed = |_| route_error(route, Refusal::errno(rustix::io::Errno::INVAL));
    let mut message = RouteMessageBuilder::<IpAddr>::new()
        .output_interface(index)
        .destination_prefix(route.destination.addr(), route.destination.prefix_len())
        .map_err(mixed)?;
    match route.gateway {
        Some(gateway) => message = message.gateway(gateway).map_err(mixed)?,
        None => {
            message = message.scope(rtnetlink::packet_route::route::RouteScope::Link);
        }
    }
    Ok(message.build())
}

pub(super) fn gone_is_fine(result: Result<(), rtnetlink::Error>) -> Result<(), Refusal> {
    match result.map_err(Refusal::from) {
        Err(source) if !source.is_gone() => Err(source),
        _ => Ok(()),
    }
}

fn address_error(address: &Address, source: Refusal) -> Error {
    Error::Address { link: address.link.clone(), net: address.net, source }
}

fn route_error(route: &Route, source: Refusal) -> Error {
    Error::Route { link: route.link.clone(), destination: route.destination, source }
}

fn neighbour_error(entry: &Neighbour, source: Refusal) -> Error {
    Error::Neighbour { link: entry.link.clone(), address: entry.address, source }
}
