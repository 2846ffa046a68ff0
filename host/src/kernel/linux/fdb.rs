//! The forwarding databases of VXLAN links (bridge(8), `fdb`).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use futures::TryStreamExt;
use rtnetlink::{
    Handle,
    packet_route::{
        AddressFamily,
        neighbour::{
            NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
        },
    },
};

use super::{
    links::{index_of, need_index},
    routing::gone_is_fine,
};
use crate::{
    kernel::{Error, Fdb, LinkName, Refusal},
    mac::Mac,
};

/// Adds or replaces an entry.
pub(super) async fn set(handle: &Handle, entry: &Fdb) -> Result<(), Error> {
    let index = need_index(handle, &entry.link).await?;
    let mut request = handle.neighbours().add_bridge(index, &entry.mac.0).replace();
    // The link's own table, not that of the bridge which it is a port of.
    request = request.flags(NeighbourFlags::Own).destination(entry.vtep);
    request.execute().await.map_err(|error| fdb_error(entry, error.into()))
}

/// Removes an entry; a missing one is fine. What the bridge has learnt of it goes too, or it
/// would go on sending to the VTEP what may be behind another of its ports now.
pub(super) async fn remove(handle: &Handle, entry: &Fdb) -> Result<(), Error> {
    let Some(index) = index_of(handle, &entry.link).await? else { return Ok(()) };
    for of in [NeighbourFlags::Own, NeighbourFlags::Controller] {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Bridge;
        message.header.ifindex = index;
        message.header.flags = of;
        let mac = NeighbourAttribute::LinkLayerAddress(entry.mac.0.to_vec());
        message.attributes.push(mac);
        gone_is_fine(handle.neighbours().del(message).execute().await)
            .map_err(|source| fdb_error(entry, source))?;
    }
    Ok(())
}

/// The permanent entries that lead to a VTEP.
pub(super) async fn dump(
    handle: &Handle,
    names: &BTreeMap<u32, LinkName>,
) -> Result<BTreeSet<Fdb>, Error> {
    let request = handle.neighbours().get().set_address_family(AddressFamily::Bridge);
    let messages: Vec<NeighbourMessage> = request
        .execute()
        .try_collect()
        .await
        .map_err(|error| Error::Read { what: "forwarding entries", source: error.into() })?;
    let permanent = |message: &&NeighbourMessage| message.header.state == NeighbourState::Permanent;
    let entry = |message: &NeighbourMessage| {
        let (index, mac, vtep) = parts(message)?;
        Some(Fdb { link: names.get(&index)?.clone(), mac, vtep: vtep? })
    };
    Ok(messages.iter().filter(permanent).filter_map(entry).collect())
}

/// The link's index, the Ethernet address and the VTEP of an entry.
pub(super) fn parts(message: &NeighbourMessage) -> Option<(u32, Mac, Option<IpAddr>)> {
    let (mut mac, mut vtep) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::LinkLayerAddress(is) => mac = is.as_slice().try_into().ok(),
            NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => {
                vtep = Some((*ip).into())
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => {
                vtep = Some((*ip).into());
            }
            // Of an entry of a bridge's own table nothing is known here.
            NeighbourAttribute::Destination(NeighbourAddress::Other(bytes)) => {
                vtep = address_of(bytes);
            }
            _ => {}
        }
    }
    Some((message.header.ifindex, Mac(mac?), vtep))
}

/// In messages about bridges an address comes as bytes: their number tells the family.
fn address_of(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

fn fdb_error(entry: &Fdb, source: Refusal) -> Error {
    Error::Fdb { link: entry.link.clone(), mac: entry.mac, source }
}
