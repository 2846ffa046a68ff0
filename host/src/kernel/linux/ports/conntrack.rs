//! Forgetting the flows of a UDP port that is no longer published.
//!
//! conntrack keeps sending a flow's datagrams to the container it was first sent to, for
//! as long as the client goes on. So when the port goes, its flows are looked up and
//! deleted, by one dump for all ports that go at the same time.

use std::{
    collections::HashSet,
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkPayload};
use netlink_packet_netfilter::{
    NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
    conntrack::{self, ConntrackAttribute, ConntrackMessage, IPTuple, ProtoTuple, Tuple},
};
use tokio::sync::mpsc;

use crate::netfilter::{Netfilter, write};

/// How long to gather ports before a dump.
const GATHER: Duration = Duration::from_millis(5);

/// The host's port, and the container's address and port.
type Mapping = (SocketAddr, SocketAddr);

/// Forgets flows in the background.
pub(super) struct Flusher(mpsc::UnboundedSender<Mapping>);

// === impl Flusher ===

impl Flusher {
    /// Opens a socket, in the calling thread's network namespace, and begins to wait.
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Netfilter::open()?;
        let (sender, mut receiver) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(first) = receiver.recv().await {
                tokio::time::sleep(GATHER).await;
                let mut gone = HashSet::from([first]);
                while let Ok(more) = receiver.try_recv() {
                    gone.insert(more);
                }
                let flushed = tokio::task::spawn_blocking(move || {
                    let done = flush(&mut socket, &gone);
                    (socket, done)
                });
                let Ok((back, done)) = flushed.await else { return };
                socket = back;
                if let Err(error) = done {
                    tracing::warn!(%error, "cannot forget the flows of a UDP port");
                }
            }
        });
        Ok(Self(sender))
    }

    /// Forgets the flows of a port, soon.
    pub(super) fn forget(&self, host: SocketAddr, container: SocketAddr) {
        // The receiver lives as long as the process.
        let _ = self.0.send((host, container));
    }
}

fn flush(socket: &mut Netfilter, gone: &HashSet<Mapping>) -> io::Result<()> {
    for family in [NetfilterProtoFamily::IPv4, NetfilterProtoFamily::IPv6] {
        let get = ConntrackMessage::Get(Vec::new());
        send(socket, family, get, NLM_F_REQUEST | NLM_F_DUMP)?;
        for flow in receive(socket)? {
            if is_of(&flow, gone) {
                let id: Vec<ConntrackAttribute> = flow
                    .into_iter()
                    .filter(|attribute| matches!(attribute, ConntrackAttribute::CtaTupleOrig(_)))
                    .collect();
                let delete = ConntrackMessage::Delete(id);
                send(socket, family, delete, NLM_F_REQUEST | NLM_F_ACK)?;
                receive(socket)?;
            }
        }
    }
    Ok(())
}

/// Whether a flow went through one of these mappings.
fn is_of(flow: &[ConntrackAttribute], gone: &HashSet<Mapping>) -> bool {
    let (mut protocol, mut host_port, mut container) = (None, None, (None, None));
    for attribute in flow {
        match attribute {
            ConntrackAttribute::CtaTupleOrig(tuples) => {
                for tuple in tuples {
                    if let Tuple::Proto(parts) = tuple {
                        for part in parts {
                            match part {
                                ProtoTuple::Protocol(number) => protocol = Some(*number),
                                ProtoTuple::DestinationPort(port) => host_port = Some(*port),
                                _ => {}
                            }
                        }
                    }
                }
            }
            // The answers come from where the flow really went.
            ConntrackAttribute::CtaTupleReply(tuples) => {
                for tuple in tuples {
                    match tuple {
                        Tuple::Ip(parts) => {
                            for part in parts {
                                if let IPTuple::SourceAddress(ip) = part {
                                    container.0 = Some(*ip);
                                }
                            }
                        }
                        Tuple::Proto(parts) => {
                            for part in parts {
                                if let ProtoTuple::SourcePort(port) = part {
                                    container.1 = Some(*port);
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
    let (Some(protocol), Some(host_port), (Some(ip), Some(port))) =
        (protocol, host_port, container)
    else {
        return false;
    };
    let to: (IpAddr, u16) = (ip, port);
    protocol == conntrack::Protocol::Udp
        && gone.iter().any(|(host, container)| {
            host.port() == host_port && (container.ip(), container.port()) == to
        })
}

fn send(
    socket: &Netfilter,
    family: NetfilterProtoFamily,
    message: ConntrackMessage,
    flags: u16,
) -> io::Result<()> {
    let mut buffer = Vec::new();
    write(&mut buffer, flags, family, 0, NetfilterMessageInner::Conntrack(message));
    socket.send(&buffer)
}

/// Reads up to the end of a dump, or one answer.
fn receive(socket: &mut Netfilter) -> io::Result<Vec<Vec<ConntrackAttribute>>> {
    let mut flows = Vec::new();
    loop {
        for answer in socket.read()? {
            match answer {
                NetlinkPayload::Done(_) | NetlinkPayload::Error(_) => return Ok(flows),
                NetlinkPayload::InnerMessage(NetfilterMessage {
                    inner: NetfilterMessageInner::Conntrack(ConntrackMessage::New(flow)),
                    ..
                }) => flows.push(flow),
                _ => {}
            }
        }
    }
}
