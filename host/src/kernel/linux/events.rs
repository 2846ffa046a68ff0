//! What the kernel announces by itself.

use futures::{StreamExt, channel::mpsc::UnboundedReceiver};
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::{
    MulticastGroup, new_multicast_connection,
    packet_route::{AddressFamily, RouteNetlinkMessage},
    sys::SocketAddr,
};
use tokio::sync::Mutex;

use super::links::name_of;
use crate::{
    firewall::Watch,
    kernel::{Error, Event},
};

type Messages = UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>;

/// A subscription to the kernel's announcements about links and the firewall.
pub(super) struct Events {
    links: Mutex<Messages>,
    firewall: Mutex<Watch>,
}

// === impl Events ===

impl Events {
    /// Subscribes, in the calling thread's network namespace.
    pub(super) fn open() -> Result<Self, Error> {
        let (connection, _, messages) =
            new_multicast_connection(&[MulticastGroup::Link]).map_err(Error::Open)?;
        tokio::spawn(connection);
        let firewall = Mutex::new(Watch::open().map_err(Error::Open)?);
        Ok(Self { links: Mutex::new(messages), firewall })
    }

    /// The next announcement that matters.
    pub(super) async fn next(&self) -> Event {
        let mut firewall = self.firewall.lock().await;
        tokio::select! {
            event = self.next_link() => event,
            () = firewall.next() => Event::Firewall,
        }
    }

    async fn next_link(&self) -> Event {
        let mut messages = self.links.lock().await;
        loop {
            let Some((message, _)) = messages.next().await else {
                // The socket is closed: the runtime is shutting down.
                return std::future::pending().await;
            };
            match message.payload {
                // A bridge announces a lost port as the loss of a link of its own family.
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link))
                    if link.header.interface_family == AddressFamily::Unspec =>
                {
                    if let Some(name) = name_of(&link) {
                        return Event::LinkGone(name);
                    }
                }
                NetlinkPayload::Overrun(_) => return Event::Overrun,
                _ => {}
            }
        }
    }
}
