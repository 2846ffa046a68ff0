//! Links that answer for addresses they do not have (ip-neighbour(8), `proxy`).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use futures::TryStreamExt;
use rtnetlink::{
    Handle,
    packet_route::{
        AddressFamily,
        neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage},
    },
};

use super::{
    links::{self, need_index},
    routing::{dump_addresses, gone_is_fine, neighbour_of},
};
use crate::kernel::{Error, LinkName, Proxy, Refusal, Snapshot};

/// Makes a link answer for just the addresses that the other one has now.
pub(super) async fn set(handle: &Handle, proxy: &Proxy) -> Result<(), Error> {
    let (links, names) = links::dump(handle).await?;
    let addresses = dump_addresses(handle, &names).await?;
    let proxies = Some(dump(handle, &names).await?);
    let snapshot = Snapshot { links, addresses, proxies, ..Snapshot::default() };
    for link in [&proxy.link, &proxy.of] {
        if !snapshot.links.contains_key(link) {
            return Err(Error::NoLink(link.clone()));
        }
    }
    let (is, wanted) = (snapshot.answers_of(&proxy.link), snapshot.answers_for(proxy));
    let index = need_index(handle, &proxy.link).await?;
    for address in is.difference(&wanted) {
        forget(handle, proxy, index, *address).await?;
    }
    for address in wanted.difference(&is) {
        let request = handle.neighbours().add(index, *address).flags(NeighbourFlags::Proxy);
        request.execute().await.map_err(|error| proxy_error(proxy, error.into()))?;
    }
    Ok(())
}

/// The link answers for none any more; a missing one is fine.
pub(super) async fn remove(handle: &Handle, proxy: &Proxy) -> Result<(), Error> {
    let (_, names) = links::dump(handle).await?;
    let Some((index, _)) = names.iter().find(|(_, name)| **name == proxy.link) else {
        return Ok(());
    };
    for (link, address) in dump(handle, &names).await? {
        if link == proxy.link {
            forget(handle, proxy, *index, address).await?;
        }
    }
    Ok(())
}

/// The IPv6 addresses that links answer for, all of them.
pub(super) async fn dump(
    handle: &Handle,
    names: &BTreeMap<u32, LinkName>,
) -> Result<BTreeSet<(LinkName, IpAddr)>, Error> {
    let request = handle.neighbours().get().proxies().set_address_family(AddressFamily::Inet6);
    let messages: Vec<NeighbourMessage> = request
        .execute()
        .try_collect()
        .await
        .map_err(|error| Error::Read { what: "neighbour proxies", source: error.into() })?;
    let proxy = |message: &NeighbourMessage| {
        let (index, address) = neighbour_of(message)?;
        Some((names.get(&index)?.clone(), address))
    };
    Ok(messages.iter().filter_map(proxy).collect())
}

async fn forget(handle: &Handle, proxy: &Proxy, index: u32, address: IpAddr) -> Result<(), Error> {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Inet6;
    message.header.ifindex = index;
    message.header.flags = NeighbourFlags::Proxy;
    if let IpAddr::V6(address) = address {
        let destination = NeighbourAddress::Inet6(address);
        message.attributes.push(NeighbourAttribute::Destination(destination));
    }
    gone_is_fine(handle.neighbours().del(message).execute().await)
        .map_err(|source| proxy_error(proxy, source))
}

fn proxy_error(proxy: &Proxy, source: Refusal) -> Error {
    Error::Proxy { link: proxy.link.clone(), source }
}
