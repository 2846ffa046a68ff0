//! A socket to netfilter: what nf_tables and conntrack have in common.

use std::io;

use netlink_packet_core::{NetlinkBuffer, NetlinkMessage, NetlinkPayload, NlasIterator};
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};

/// Room for one read: the kernel fills up to 32 KiB of a dump at a time.
const READ: usize = 64 << 10;
/// Where a message's length stands in it.
const LENGTH: usize = 4;
/// The header of every message of netfilter's (struct nfgenmsg).
const GENERAL: usize = 4;
/// The header of every attribute (struct nlattr).
const NLA_HEADER: usize = 4;

/// What the kernel answers.
pub type Answer = NetlinkPayload<NetfilterMessage>;

/// A message whose attributes are left as they are. To take thousands of elements apart into
/// the library's types would cost a hundred times as much: it words an error for each of
/// them before it knows whether there is one.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a> {
    /// Whose doing it is: see [`Netfilter::port`].
    pub sender: u32,
    /// Subsystem and message (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE).
    pub kind: u16,
    attributes: &'a [u8],
}

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
        self.read_bytes().map(|buffer| parse(&buffer))
    }

    /// The same, not yet taken apart.
    pub fn read_bytes(&mut self) -> io::Result<Vec<u8>> {
        let mut buffer = Vec::with_capacity(READ);
        self.0.recv(&mut buffer, 0)?;
        Ok(buffer)
    }
}

// === impl Raw ===

impl<'a> Raw<'a> {
    /// Its attributes, by number.
    pub fn attributes(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        attributes(self.attributes)
    }

    /// A text among its attributes.
    pub fn text(&self, attribute: u16) -> Option<&'a str> {
        let (_, bytes) = self.attributes().find(|(kind, _)| *kind == attribute)?;
        std::str::from_utf8(bytes.strip_suffix(b"\0").unwrap_or(bytes)).ok()
    }
}

/// Takes the messages of one read apart; what cannot be understood is left out.
pub fn parse(buffer: &[u8]) -> Vec<Answer> {
    messages(buffer).filter_map(read).collect()
}

/// Those of netlink itself: errors, the end of a dump.
pub fn control(buffer: &[u8]) -> Vec<Answer> {
    messages(buffer).filter(|bytes| kind(bytes).is_some_and(is_control)).filter_map(read).collect()
}

fn read(message: &[u8]) -> Option<Answer> {
    NetlinkMessage::deserialize(message).ok().map(|message| message.payload)
}

fn kind(message: &[u8]) -> Option<u16> {
    NetlinkBuffer::new_checked(message).ok().map(|message| message.message_type())
}

/// Whether it is no subsystem's.
fn is_control(kind: u16) -> bool {
    kind >> 8 == 0
}

/// The messages of one read, but for those of netlink itself (errors, the end of a dump).
pub fn raw(buffer: &[u8]) -> impl Iterator<Item = Raw<'_>> {
    messages(buffer).filter_map(|bytes| {
        let message = NetlinkBuffer::new_checked(bytes).ok()?;
        let kind = message.message_type();
        let attributes = message.payload().get(GENERAL..)?;
        (!is_control(kind)).then(|| Raw { sender: message.port_number(), kind, attributes })
    })
}

/// Attributes behind each other, by number.
pub fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(bytes).map_while(Result::ok).map(|one| {
        let (kind, length) = (one.kind(), one.value_length());
        let value = one.into_inner().get(NLA_HEADER..).and_then(|value| value.get(..length));
        (kind, value.unwrap_or_default())
    })
}

fn messages(mut buffer: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*buffer.first_chunk::<LENGTH>()?) as usize;
        let message = buffer.get(..length).filter(|_| length > 0)?;
        buffer = buffer.get(length.next_multiple_of(LENGTH)..).unwrap_or_default();
        Some(message)
    })
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
