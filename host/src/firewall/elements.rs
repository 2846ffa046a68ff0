//! From firewall entries to the elements of our sets and maps, and from those to
//! the two ways in which they go to the kernel: text for nft(8), bytes for netlink.

use std::{
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
};

use crate::{
    kernel::{Access, FirewallEntry, LinkName, Policy, Port, SourceNat, Subnet},
    model::Protocol,
};

/// One element of a set or map of our table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Element {
    /// The set's or map's name.
    pub(super) set: &'static str,
    /// What is looked up.
    pub(super) key: Vec<Field>,
    /// What a map says; empty for a set.
    pub(super) data: Vec<Field>,
}

/// One part of a key or of data.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    /// A link's name.
    Name(LinkName),
    /// An address.
    Ip(IpAddr),
    /// An IP protocol.
    Protocol(Protocol),
    /// A port.
    Port(u16),
}

/// The elements these entries stand for; one that two entries share comes twice.
pub(super) fn of<'a>(
    entries: impl IntoIterator<Item = &'a FirewallEntry>,
) -> impl Iterator<Item = Element> {
    entries.into_iter().flat_map(of_entry)
}

fn of_entry(entry: &FirewallEntry) -> Vec<Element> {
    match entry {
        FirewallEntry::Policy(policy) => of_policy(policy),
        FirewallEntry::Subnet(subnet) => of_subnet(subnet).into_iter().collect(),
        FirewallEntry::Port(port) => of_port(port).into_iter().collect(),
        // They have a table of their own.
        FirewallEntry::Shortcut(_) => Vec::new(),
    }
}

fn of_policy(policy: &Policy) -> Vec<Element> {
    let bridge = || Field::Name(policy.link.clone());
    let mut elements = vec![set("bridges", vec![bridge()]), set("same", vec![bridge(), bridge()])];
    if policy.internal {
        elements.push(set("internal", vec![bridge()]));
    }
    if !policy.inter_container {
        elements.push(set("quiet", vec![bridge()]));
    }
    for (access, unprotected, routed) in
        [(policy.ipv4, "unprotected4", "routed4"), (policy.ipv6, "unprotected6", "routed6")]
    {
        match access {
            Access::Published => {}
            Access::Unprotected => elements.push(set(unprotected, vec![bridge()])),
            Access::Routed => elements.push(set(routed, vec![bridge()])),
        }
    }
    for link in &policy.trusted {
        elements.push(set("trusted", vec![Field::Name(link.clone()), bridge()]));
    }
    elements
}

/// All subnets of a family on a bridge have the same (see `set-subnet`), and so the same element.
fn of_subnet(subnet: &Subnet) -> Option<Element> {
    let Subnet { link, subnet, nat } = subnet;
    let (masquerade, snat) = match subnet.addr() {
        IpAddr::V4(_) => ("masquerade4", "snat4"),
        IpAddr::V6(_) => ("masquerade6", "snat6"),
    };
    let key = vec![Field::Name(link.clone())];
    match nat {
        SourceNat::None => None,
        SourceNat::Masquerade => Some(set(masquerade, key)),
        SourceNat::Address(ip) => Some(Element { set: snat, key, data: vec![Field::Ip(*ip)] }),
    }
}

fn of_port(port: &Port) -> Option<Element> {
    let protocol = Field::Protocol(port.protocol);
    let container = vec![Field::Ip(port.container.ip()), Field::Port(port.container.port())];
    match (port.host, port.container) {
        // Reached by its own address.
        (None, SocketAddr::V4(_)) => Some(set("open4", [vec![protocol], container].concat())),
        (None, SocketAddr::V6(_)) => Some(set("open6", [vec![protocol], container].concat())),
        // NAT does not cross families, and ::1 cannot leave the host: the daemon carries
        // those itself.
        (Some(host), _) if host.is_ipv4() != port.container.is_ipv4() => None,
        (Some(SocketAddr::V6(host)), _) if host.ip().is_loopback() => None,
        (Some(host), _) => {
            let (any, at) = match host {
                SocketAddr::V4(_) => ("ports4", "ports4_at"),
                SocketAddr::V6(_) => ("ports6", "ports6_at"),
            };
            let number = Field::Port(host.port());
            Some(if host.ip().is_unspecified() {
                Element { set: any, key: vec![protocol, number], data: container }
            } else {
                let key = vec![protocol, Field::Ip(host.ip()), number];
                Element { set: at, key, data: container }
            })
        }
    }
}

/// What makes a bridge known as one of Docker's.
pub(super) fn foreign_bridge(bridge: &LinkName) -> Element {
    set("foreign", vec![Field::Name(bridge.clone())])
}

fn set(set: &'static str, key: Vec<Field>) -> Element {
    Element { set, key, data: Vec::new() }
}

// === impl Element ===

impl Element {
    /// As nft(8) writes it. Names are [`LinkName`]s and so have nothing to escape.
    pub(super) fn text(&self) -> String {
        let mut text = join(&self.key);
        if !self.data.is_empty() {
            // Writing to a String cannot fail.
            let _ = write!(text, " : {}", join(&self.data));
        }
        text
    }

    /// The key's bytes.
    pub(super) fn key_bytes(&self) -> Vec<u8> {
        bytes(&self.key)
    }

    /// The data's bytes.
    pub(super) fn data_bytes(&self) -> Vec<u8> {
        bytes(&self.data)
    }
}

fn bytes(fields: &[Field]) -> Vec<u8> {
    let mut bytes = Vec::new();
    fields.iter().for_each(|field| field.write(&mut bytes));
    bytes
}

fn join(fields: &[Field]) -> String {
    fields.iter().map(Field::text).collect::<Vec<_>>().join(" . ")
}

// === impl Field ===

impl Field {
    fn text(&self) -> String {
        match self {
            Self::Name(name) => format!("\"{name}\""),
            Self::Ip(ip) => ip.to_string(),
            Self::Protocol(protocol) => protocol.to_string(),
            Self::Port(port) => port.to_string(),
        }
    }

    /// Writes it as the kernel keeps it in a register: network order, padded to four
    /// bytes; names to the sixteen of IFNAMSIZ.
    fn write(&self, bytes: &mut Vec<u8>) {
        const REGISTER: usize = 4;
        const IFNAMSIZ: usize = 16;
        let start = bytes.len();
        match self {
            Self::Name(name) => {
                bytes.extend(name.as_str().bytes());
                bytes.resize(start + IFNAMSIZ, 0);
            }
            Self::Ip(ip) => write_ip(bytes, *ip),
            Self::Protocol(protocol) => bytes.push(protocol.number()),
            Self::Port(port) => bytes.extend(port.to_be_bytes()),
        }
        bytes.resize(start + (bytes.len() - start).next_multiple_of(REGISTER), 0);
    }
}

fn write_ip(bytes: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(v4) => bytes.extend(v4.octets()),
        IpAddr::V6(v6) => bytes.extend(v6.octets()),
    }
}
