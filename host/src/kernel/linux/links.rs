//! Links.
//!
//! A link is made in two messages: the kernel takes no tag (IFLA_IFALIAS) when
//! it makes a link. Should the host die between the two, the link is still known
//! as its own by its name (see [`LinkName::is_picked`]), and for that reason a
//! link whose name the user chose is made under a picked name and gets name and
//! tag together.

use std::{collections::BTreeMap, net::IpAddr};

use futures::TryStreamExt;
use rtnetlink::{
    Handle, LinkBridge, LinkBridgePort, LinkIpVlan, LinkMacVlan, LinkMessageBuilder, LinkUnspec,
    LinkVeth, LinkVlan, LinkVxlan,
    packet_route::link::{
        InfoBridgePort, InfoData, InfoPortData, InfoVeth, IpVlanFlags, IpVlanMode, LinkAttribute,
        LinkFlags, LinkInfo, LinkMessage, MacVlanMode,
    },
};
use rustix::io::Errno;

use crate::{
    kernel::{
        Error, IpvlanFlag, IpvlanMode, Link, LinkKind, LinkName, MacvlanMode, Object, ObservedLink,
        Refusal, Undo,
    },
    mac::Mac,
};

/// Makes a link as described.
pub(super) async fn create(handle: &Handle, link: &Link) -> Result<(), Error> {
    let first_name = if link.name.is_picked() {
        link.name.clone()
    } else {
        // Looked up first: the rename's refusal would come after the link was made.
        if index_of(handle, &link.name).await?.is_some() {
            return Err(create_error(link, Refusal::errno(Errno::EXIST)));
        }
        LinkName::pick(&["new", link.name.as_str()], 0)
    };
    handle
        .link()
        .add(creation(handle, link, &first_name).await?)
        .execute()
        .await
        .map_err(|error| create_error(link, error.into()))?;

    let finished = finish(handle, link, &first_name).await;
    if finished.is_err() {
        delete(handle, &first_name).await?;
    }
    finished
}

/// Whether a link of ours is there already; one of this name that is somebody else's is an error.
pub(super) async fn is_there(handle: &Handle, link: &Link) -> Result<bool, Error> {
    let Some(found) = find(handle, &link.name).await? else { return Ok(false) };
    let is = observe(&found, &BTreeMap::new());
    if is.kind == link.kind.to_string() && is.alias == link.alias {
        return Ok(true);
    }
    Err(create_error(link, Refusal::errno(Errno::EXIST)))
}

/// Takes a bridge that is there already, and sees that it is up.
pub(super) async fn adopt(handle: &Handle, link: &Link) -> Result<Undo, Error> {
    let found = find(handle, &link.name).await?;
    let Some(found) = found else { return Err(Error::NoLink(link.name.clone())) };
    let is = observe(&found, &BTreeMap::new());
    if is.kind != link.kind.to_string() {
        return Err(Error::NotABridge(link.name.clone()));
    }
    if is.up {
        return Ok(Undo::Nothing);
    }
    let down = Link { up: false, ..link.clone() };
    change(handle, &down, link).await?;
    Ok(Undo::Replace(Object::Link(down), Object::Link(link.clone())))
}

/// Changes what differs between `old` and `new`.
pub(super) async fn change(handle: &Handle, old: &Link, new: &Link) -> Result<(), Error> {
    let index = need_index(handle, &new.name).await?;
    let mut message = LinkUnspec::new_with_index(index);
    if old.up != new.up {
        message = if new.up { message.up() } else { message.down() };
    }
    if old.master != new.master {
        message = match &new.master {
            Some(master) => message.controller(need_index(handle, master).await?),
            None => message.nocontroller(),
        };
    }
    if let Some(mac) = new.mac.filter(|_| old.mac != new.mac) {
        message = message.address(mac.0.to_vec());
    }
    if old.alias != new.alias {
        message = message.alias(new.alias.clone());
    }
    if let Some(mtu) = new.mtu.filter(|_| old.mtu != new.mtu) {
        message = message.mtu(mtu);
        // The peer may be in a container by now, where it is no longer ours to change.
        if let Some(peer) = new.kind.peer()
            && let Some(peer_index) = index_of(handle, peer).await?
        {
            let message = LinkUnspec::new_with_index(peer_index).mtu(mtu).build();
            send_change(handle, peer, message).await?;
        }
    }
    send_change(handle, &new.name, message.build()).await?;
    // A port that is put on a bridge begins with the kernel's defaults.
    let (hairpin, isolated) = match old.master == new.master {
        true => (old.hairpin, old.isolated),
        false => (false, false),
    };
    set_port(handle, index, new, (hairpin, isolated)).await
}

/// Sets what holds for a link as a port of its bridge, if it differs.
async fn set_port(handle: &Handle, index: u32, link: &Link, is: (bool, bool)) -> Result<(), Error> {
    if link.master.is_none() || is == (link.hairpin, link.isolated) {
        return Ok(());
    }
    let port = LinkBridgePort::new(index).hairpin(link.hairpin).isolated(link.isolated).build();
    send_change(handle, &link.name, port).await
}

/// Deletes a link by name; a missing one is fine.
pub(super) async fn delete(handle: &Handle, name: &LinkName) -> Result<(), Error> {
    let Some(index) = index_of(handle, name).await? else { return Ok(()) };
    match handle.link().del(index).execute().await.map_err(Refusal::from) {
        Err(source) if !source.is_gone() => Err(Error::DeleteLink { name: name.clone(), source }),
        _ => Ok(()),
    }
}

/// All links, and their names by index.
pub(super) async fn dump(
    handle: &Handle,
) -> Result<(BTreeMap<LinkName, ObservedLink>, BTreeMap<u32, LinkName>), Error> {
    let messages: Vec<LinkMessage> = handle
        .link()
        .get()
        .execute()
        .try_collect()
        .await
        .map_err(|error| Error::Read { what: "links", source: error.into() })?;
    let names: BTreeMap<u32, LinkName> = messages
        .iter()
        .filter_map(|message| Some((message.header.index, name_of(message)?)))
        .collect();
    let links = messages
        .iter()
        .filter_map(|message| Some((name_of(message)?, observe(message, &names))))
        .collect();
    Ok((links, names))
}

/// The name in a link message, if it is one the host could have made.
pub(super) fn name_of(message: &LinkMessage) -> Option<LinkName> {
    message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => name.parse().ok(),
        _ => None,
    })
}

/// The name of the link with this index, if there is one that the host could have made.
pub(super) async fn name_at(handle: &Handle, index: u32) -> Option<LinkName> {
    let mut answer = handle.link().get().match_index(index).execute();
    name_of(&answer.try_next().await.ok()??)
}

/// The index of the bridge that a link is a port of.
pub(super) fn master_of(message: &LinkMessage) -> Option<u32> {
    message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Controller(index) => Some(*index),
        _ => None,
    })
}

/// The index of a link, if it is there.
pub(super) async fn index_of(handle: &Handle, name: &LinkName) -> Result<Option<u32>, Error> {
    Ok(find(handle, name).await?.map(|message| message.header.index))
}

/// A link, if it is there.
async fn find(handle: &Handle, name: &LinkName) -> Result<Option<LinkMessage>, Error> {
    let mut answer = handle.link().get().match_name(name.to_string()).execute();
    match answer.try_next().await.map_err(Refusal::from) {
        Ok(message) => Ok(message),
        Err(source) if source.is_gone() => Ok(None),
        Err(source) => Err(Error::Read { what: "links", source }),
    }
}

/// The index of a link that has to be there.
pub(super) async fn need_index(handle: &Handle, name: &LinkName) -> Result<u32, Error> {
    index_of(handle, name).await?.ok_or_else(|| Error::NoLink(name.clone()))
}

async fn creation(
    handle: &Handle,
    link: &Link,
    first_name: &LinkName,
) -> Result<LinkMessage, Error> {
    Ok(match &link.kind {
        LinkKind::Bridge => {
            // Up only when all is set: `LinkBridge::new` would set it up at once.
            let message = LinkMessageBuilder::<LinkBridge>::new(first_name.as_str());
            with_mtu(with_mac(message, link.mac), link.mtu).build()
        }
        LinkKind::Veth { peer, peer_mac } => {
            let peer = LinkUnspec::new_with_name(peer.as_str());
            let peer = with_mtu(with_mac(peer, *peer_mac), link.mtu).build();
            let message = LinkVeth::new(first_name.as_str(), "")
                .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)));
            with_mtu(with_mac(message, link.mac), link.mtu).build()
        }
        LinkKind::Vxlan { vni, port, local } => {
            let message = LinkVxlan::new(first_name.as_str(), *vni).port(*port);
            let message = message.learning(false).proxy(true);
            let message = match local {
                IpAddr::V4(local) => message.local(*local),
                IpAddr::V6(local) => message.local6(*local),
            };
            with_mtu(with_mac(message, link.mac), link.mtu).build()
        }
        LinkKind::Macvlan { parent, mode } => {
            let parent = need_index(handle, parent).await?;
            let message = LinkMacVlan::new(first_name.as_str(), parent, mode_out(*mode));
            with_mtu(with_mac(message, link.mac), link.mtu).build()
        }
        LinkKind::Ipvlan { parent, mode, flag } => {
            let parent = need_index(handle, parent).await?;
            let (mode, flags) = ipvlan_out(*mode, *flag);
            let message = LinkIpVlan::new(first_name.as_str(), parent, mode).flag(flags);
            with_mtu(message, link.mtu).build()
        }
        LinkKind::Vlan { parent, id } => {
            let parent = need_index(handle, parent).await?;
            let message = LinkVlan::new(first_name.as_str(), parent, *id);
            with_mtu(with_mac(message, link.mac), link.mtu).build()
        }
    })
}

fn mode_out(mode: MacvlanMode) -> MacVlanMode {
    match mode {
        MacvlanMode::Bridge => MacVlanMode::Bridge,
        MacvlanMode::Private => MacVlanMode::Private,
        MacvlanMode::Vepa => MacVlanMode::Vepa,
        MacvlanMode::Passthru => MacVlanMode::Passthrough,
    }
}

fn ipvlan_out(mode: IpvlanMode, flag: IpvlanFlag) -> (IpVlanMode, IpVlanFlags) {
    let mode = match mode {
        IpvlanMode::L2 => IpVlanMode::L2,
        IpvlanMode::L3 => IpVlanMode::L3,
        IpvlanMode::L3s => IpVlanMode::L3S,
    };
    let flags = match flag {
        IpvlanFlag::Bridge => IpVlanFlags::empty(),
        IpvlanFlag::Private => IpVlanFlags::Private,
        IpvlanFlag::Vepa => IpVlanFlags::Vepa,
    };
    (mode, flags)
}

fn with_mtu<T>(message: LinkMessageBuilder<T>, mtu: Option<u32>) -> LinkMessageBuilder<T> {
    match mtu {
        Some(mtu) => message.mtu(mtu),
        None => message,
    }
}

fn with_mac<T>(message: LinkMessageBuilder<T>, mac: Option<Mac>) -> LinkMessageBuilder<T> {
    match mac {
        Some(mac) => message.address(mac.0.to_vec()),
        None => message,
    }
}

/// Name, tag, master and state of a link just made.
async fn finish(handle: &Handle, link: &Link, first_name: &LinkName) -> Result<(), Error> {
    let index = need_index(handle, first_name).await?;
    let mut message = LinkUnspec::new_with_index(index).alias(link.alias.clone());
    if link.name != *first_name {
        message = message.name(link.name.as_str());
    }
    if let Some(master) = &link.master {
        message = message.controller(need_index(handle, master).await?);
    }
    if matches!(link.kind, LinkKind::Vlan { .. }) {
        send_change(handle, &link.name, message.build()).await?;
        return set_up_with_parent(handle, index, link).await;
    }
    if link.up {
        message = message.up();
    }
    send_change(handle, &link.name, message.build()).await?;
    set_port(handle, index, link, (false, false)).await
}

/// Sets a VLAN up. While its parent is down that cannot be; the kernel does it when the parent
/// is set up.
async fn set_up_with_parent(handle: &Handle, index: u32, link: &Link) -> Result<(), Error> {
    let message = LinkUnspec::new_with_index(index).up().build();
    match send_change(handle, &link.name, message).await {
        Err(Error::ChangeLink { source, .. }) if source.as_errno() == Some(Errno::NETDOWN) => {
            Ok(())
        }
        done => done,
    }
}

async fn send_change(handle: &Handle, name: &LinkName, message: LinkMessage) -> Result<(), Error> {
    handle
        .link()
        .change(message)
        .execute()
        .await
        .map_err(|error| Error::ChangeLink { name: name.clone(), source: error.into() })
}

fn create_error(link: &Link, source: Refusal) -> Error {
    let kind = link.kind.to_string();
    match (source.as_errno(), &link.kind) {
        (Some(Errno::OPNOTSUPP), of) => {
            Error::LinkKindMissing { kind, option: of.kernel_option(), source }
        }
        // Of what these can be asked wrongly here, nothing else is left.
        (
            Some(Errno::INVAL | Errno::BUSY),
            LinkKind::Macvlan { parent, .. } | LinkKind::Ipvlan { parent, .. },
        ) => {
            let (name, parent) = (link.name.clone(), parent.clone());
            Error::ParentBusy { name, kind, parent, source }
        }
        _ => Error::CreateLink { name: link.name.clone(), kind, source },
    }
}

/// A link as a message describes it; its bridge's name is among `names`.
pub(super) fn observe(message: &LinkMessage, names: &BTreeMap<u32, LinkName>) -> ObservedLink {
    let mut link = ObservedLink {
        kind: String::new(),
        alias: String::new(),
        mtu: 0,
        mac: None,
        master: None,
        up: message.header.flags.contains(LinkFlags::Up),
        hairpin: false,
        isolated: false,
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfAlias(alias) => link.alias.clone_from(alias),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Address(mac) => link.mac = mac.as_slice().try_into().ok().map(Mac),
            LinkAttribute::Controller(index) => link.master = names.get(index).cloned(),
            LinkAttribute::LinkInfo(infos) => {
                for info in infos {
                    match info {
                        LinkInfo::Kind(kind) => link.kind = kind.to_string(),
                        LinkInfo::PortData(InfoPortData::BridgePort(port)) => {
                            for attribute in port {
                                match attribute {
                                    InfoBridgePort::HairpinMode(is) => link.hairpin = *is,
                                    InfoBridgePort::Isolated(is) => link.isolated = *is,
                                    _ => {}
                                }
                            }
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    link
}
