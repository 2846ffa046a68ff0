//! What the kernel announces by itself.
//!
//! The announcements are read by a task of their own, which looks names up where a
//! message has only a link's number, so that a reader may come and go.

use std::collections::BTreeMap;

use futures::{StreamExt, channel::mpsc::UnboundedReceiver};
use netlink_packet_core::{NetlinkMessage, NetlinkPayload, Nla};
use netlink_sys::AsyncSocket;
use rtnetlink::{
    Handle, MulticastGroup, new_multicast_connection,
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        link::{LinkAttribute, LinkMessage, LinkProtoInfoBridge},
        neighbour::NeighbourFlags,
    },
    sys::SocketAddr,
};
use tokio::sync::{Mutex, mpsc};

use super::{
    fdb,
    links::{master_of, name_at, name_of, observe},
    routing::{neighbour_of, net_of, route_of},
};
use crate::{
    firewall::Watch,
    kernel::{Error, Event, LinkName, Object, ObjectKey, Route},
};

/// What is listened to.
const GROUPS: [MulticastGroup; 6] = [
    MulticastGroup::Link,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
    MulticastGroup::Neigh,
];
/// Room for announcements that are still to be read, in bytes; with too many at once
/// some are lost, and everything has to be compared.
const ROOM: i32 = 4 << 20;
/// A bridge port's flags (include/uapi/linux/if_link.h).
const IFLA_BRPORT_MODE: u16 = 4;
const IFLA_BRPORT_ISOLATED: u16 = 33;

type Messages = UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>;

/// A subscription to the kernel's announcements.
pub(super) struct Events {
    routing: Mutex<mpsc::UnboundedReceiver<Event>>,
    firewall: Mutex<Watch>,
}

/// Makes events of announcements.
struct Listener {
    handle: Handle,
    names: BTreeMap<u32, LinkName>,
    events: mpsc::UnboundedSender<Event>,
}

// === impl Events ===

impl Events {
    /// Subscribes, in the calling thread's network namespace. What the netlink socket
    /// `own` does to the firewall is no news.
    pub(super) fn open(handle: Handle, own: u32) -> Result<Self, Error> {
        let (mut connection, _, messages) =
            new_multicast_connection(&GROUPS).map_err(Error::Open)?;
        let socket = connection.socket_mut().socket_mut();
        socket.set_rx_buf_sz(ROOM).map_err(Error::Open)?;
        tokio::spawn(connection);
        let (events, routing) = mpsc::unbounded_channel();
        let listener = Listener { handle, names: BTreeMap::new(), events };
        tokio::spawn(listener.run(messages));
        let firewall = Watch::open(own).map_err(Error::Open)?;
        Ok(Self { routing: Mutex::new(routing), firewall: Mutex::new(firewall) })
    }

    /// The next announcement that may matter. Dropping the future loses none.
    pub(super) async fn next(&self) -> Event {
        let (mut routing, mut firewall) = tokio::join!(self.routing.lock(), self.firewall.lock());
        tokio::select! {
            event = routing.recv() => match event {
                Some(event) => event,
                // The socket is closed: the runtime is shutting down.
                None => std::future::pending().await,
            },
            () = firewall.next() => Event::Firewall,
        }
    }
}

// === impl Listener ===

impl Listener {
    async fn run(mut self, mut messages: Messages) {
        while let Some((message, _)) = messages.next().await {
            let event = match message.payload {
                NetlinkPayload::InnerMessage(message) => self.event(message).await,
                NetlinkPayload::Overrun(_) => Some(Event::Overrun),
                _ => None,
            };
            if let Some(event) = event
                && self.events.send(event).is_err()
            {
                return;
            }
        }
    }

    async fn event(&mut self, message: RouteNetlinkMessage) -> Option<Event> {
        match message {
            RouteNetlinkMessage::NewLink(link) => self.link(&link).await,
            // A bridge announces a lost port as the loss of a link of its own family.
            RouteNetlinkMessage::DelLink(link)
                if link.header.interface_family == AddressFamily::Unspec =>
            {
                self.names.remove(&link.header.index);
                Some(Event::Object(ObjectKey::link(&name_of(&link)?)))
            }
            RouteNetlinkMessage::DelAddress(address) => {
                let net = net_of(&address)?;
                let link = self.name(address.header.index).await?;
                let _ = self.events.send(Event::Addresses(link.clone()));
                Some(Event::Object(ObjectKey::address(&link, net)))
            }
            RouteNetlinkMessage::NewAddress(address) => {
                Some(Event::Addresses(self.name(address.header.index).await?))
            }
            RouteNetlinkMessage::DelRoute(route) => {
                let (index, destination, gateway) = route_of(&route)?;
                let link = self.name(index).await?;
                let route = Route { link, destination, gateway, source: None };
                Some(Event::Object(Object::Route(route).key()))
            }
            RouteNetlinkMessage::NewNeighbour(entry) | RouteNetlinkMessage::DelNeighbour(entry)
                // Not what bridges learn about where an address is.
                if matches!(entry.header.family, AddressFamily::Inet | AddressFamily::Inet6) =>
            {
                let (index, address) = neighbour_of(&entry)?;
                let link = self.name(index).await?;
                Some(Event::Object(ObjectKey::neighbour(&link, address)))
            }
            RouteNetlinkMessage::NewNeighbour(entry) | RouteNetlinkMessage::DelNeighbour(entry)
                if entry.header.family == AddressFamily::Bridge
                    && entry.header.flags.contains(NeighbourFlags::Own) =>
            {
                let (index, mac, vtep) = fdb::parts(&entry)?;
                vtep?;
                let link = self.name(index).await?;
                Some(Event::Object(ObjectKey::fdb(&link, mac)))
            }
            _ => None,
        }
    }

    async fn link(&mut self, message: &LinkMessage) -> Option<Event> {
        let name = name_of(message);
        match message.header.interface_family {
            AddressFamily::Bridge => return port(message, name?),
            AddressFamily::Unspec => {}
            // IPv6's view of it.
            _ => return None,
        }
        let index = message.header.index;
        let before = match &name {
            Some(name) => self.names.insert(index, name.clone()),
            None => self.names.remove(&index),
        };
        if before != name {
            // A link under a new name; one under the old is no more.
            if let Some(before) = before {
                let _ = self.events.send(Event::Object(ObjectKey::link(&before)));
            }
            return Some(Event::Object(ObjectKey::link(&name?)));
        }
        if let Some(master) = master_of(message) {
            // Known from here on.
            let _ = self.name(master).await;
        }
        let name = name?;
        let link = observe(message, &self.names);
        Some(Event::Link(name, link))
    }

    /// The name of a link, remembered or looked up.
    async fn name(&mut self, index: u32) -> Option<LinkName> {
        if let Some(name) = self.names.get(&index) {
            return Some(name.clone());
        }
        let name = name_at(&self.handle, index).await?;
        self.names.insert(index, name.clone());
        Some(name)
    }
}

/// What a bridge announces about a port.
fn port(message: &LinkMessage, link: LinkName) -> Option<Event> {
    let flags = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::ProtoInfoBridge(flags) => Some(flags),
        _ => None,
    })?;
    let is_set = |kind: u16| {
        flags.iter().any(|flag| match flag {
            LinkProtoInfoBridge::Other(flag) if flag.kind() == kind => {
                let mut value = vec![0; flag.value_len()];
                flag.emit_value(&mut value);
                value.first().is_some_and(|byte| *byte != 0)
            }
            _ => false,
        })
    };
    let (hairpin, isolated) = (is_set(IFLA_BRPORT_MODE), is_set(IFLA_BRPORT_ISOLATED));
    Some(Event::Port { link, hairpin, isolated })
}
