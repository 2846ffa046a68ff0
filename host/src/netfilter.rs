//! A socket to netfilter: what nf_tables and conntrack have in common.

use std::io;

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};

/// Room for one read: the kernel fills up to 32 KiB of a dump at a time.
const READ: usize = 64 << 10;
/// Where a message's length stands in it.
const LENGTH: usize = 4;

/// What the kernel answers.
pub type Answer = NetlinkPayload<NetfilterMessage>;

/// A socket to netfilter, of the network namespace in which it was opened.
#[derive(Debug)]
pub struct Netfilter(Socket);

// === impl Netfilter ===

impl Netfilter {
    /// Opens a socket, in the calling thread's network namespace. Errors come with a
    /// sentence, and of the request only with its header.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        socket.set_ext_ack(true)?;
        socket.set_cap_ack(true)?;
        Ok(Self(socket))
    }

    /// Opens a socket that hears what a multicast group is told
    /// (include/uapi/linux/netfilter/nfnetlink.h).
    pub fn listen(group: u32) -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind(&SocketAddr::new(0, 0))?;
        socket.add_membership(group)?;
        Ok(Self(socket))
    }

    /// The number by which the kernel knows the socket, and says who has changed something.
    pub fn port(&self) -> io::Result<u32> {
        let mut address = SocketAddr::new(0, 0);
        self.0.get_address(&mut address)?;
        Ok(address.port_number())
    }

    /// The socket itself.
    pub fn socket_mut(&mut self) -> &mut Socket {
        &mut self.0
    }

    /// Sends one message, or several that [`write`] has put behind each other.
    pub fn send(&self, messages: &[u8]) -> io::Result<()> {
        self.0.send(messages, 0).map(drop)
    }

    /// Reads what there is, or waits for something unless the socket does not block.
    pub fn read(&mut self) -> io::Result<Vec<Answer>> {
        let mut buffer = Vec::with_capacity(READ);
        self.0.recv(&mut buffer, 0)?;
        Ok(parse(&buffer))
    }
}

/// Takes the messages of one read apart; what cannot be understood is left out.
pub fn parse(buffer: &[u8]) -> Vec<Answer> {
    messages(buffer).into_iter().map(|message| message.payload).collect()
}

/// The same, with the messages' headers.
pub fn messages(mut buffer: &[u8]) -> Vec<NetlinkMessage<NetfilterMessage>> {
    let mut messages = Vec::new();
    while let Some(length) = buffer.first_chunk::<LENGTH>() {
        let length = u32::from_ne_bytes(*length) as usize;
        let Some(message) = buffer.get(..length).filter(|_| length > 0) else { break };
        if let Ok(message) = NetlinkMessage::<NetfilterMessage>::deserialize(message) {
            messages.push(message);
        }
        buffer = buffer.get(length.next_multiple_of(LENGTH)..).unwrap_or_default();
    }
    messages
}

/// Puts a message behind others.
pub fn write(
    buffer: &mut Vec<u8>,
    flags: u16,
    family: NetfilterProtoFamily,
    resource: u16,
    message: impl Into<NetfilterMessageInner>,
) {
    let header = NetfilterHeader::new(family, 0, resource);
    let mut message = NetlinkMessage::from(NetfilterMessage::new(header, message));
    message.header.flags = flags;
    message.finalize();
    let start = buffer.len();
    buffer.resize(start + message.buffer_len().next_multiple_of(LENGTH), 0);
    if let Some(room) = buffer.get_mut(start..) {
        message.serialize(room);
    }
}
