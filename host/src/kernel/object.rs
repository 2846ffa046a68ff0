//! The things the host makes in a kernel.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Link, LinkKind, LinkName, SharedLink};
use crate::{id::NetworkId, mac::Mac, model::Protocol};

/// What tells two objects apart: there can be one of each key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ObjectKey(String);

/// One thing in the kernel, with all that is needed to make it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "object", rename_all = "lowercase")]
pub enum Object {
    /// A link.
    Link(Link),
    /// A link that other networks may have, too.
    Shared(SharedLink),
    /// An address on a link.
    Address(Address),
    /// A route through a link.
    Route(Route),
    /// A permanent neighbour entry on a link.
    Neighbour(Neighbour),
    /// Where a VXLAN link sends frames to.
    Fdb(Fdb),
    /// A link that answers for another one.
    Proxy(Proxy),
    /// A setting of a link.
    Sysctl(Sysctl),
    /// Something the firewall has to know.
    Firewall(FirewallEntry),
    /// A published port.
    Port(Port),
}

/// An address on a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The link.
    pub link: LinkName,
    /// The address with its prefix length.
    pub net: IpNet,
}

/// A route in the main table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Route {
    /// The link it goes through.
    pub link: LinkName,
    /// Where to, host bits zero.
    pub destination: IpNet,
    /// By which neighbour; none means directly connected.
    pub gateway: Option<IpAddr>,
    /// The link whose IPv4 address packets get that have none yet: the one that fits the
    /// destination best. Without, the kernel takes that of any link if this one has none.
    #[serde(default)]
    pub source: Option<LinkName>,
}

/// A permanent neighbour entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Neighbour {
    /// The link.
    pub link: LinkName,
    /// The neighbour's address.
    pub address: IpAddr,
    /// Its Ethernet address.
    pub mac: Mac,
}

/// A permanent entry of a VXLAN link's forwarding database (FDB).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fdb {
    /// The link.
    pub link: LinkName,
    /// Frames to this Ethernet address
    pub mac: Mac,
    /// go to this VTEP.
    pub vtep: IpAddr,
}

/// The host answers on a link for the IPv6 addresses of another one, whatever they are at any
/// time. For IPv4 it does so by itself (net.ipv4.conf.all.arp_ignore is 0).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Proxy {
    /// The link that answers.
    pub link: LinkName,
    /// The link that has the addresses.
    pub of: LinkName,
}

/// A setting below net.ipv4.conf.LINK or net.ipv6.conf.LINK. It goes away with the link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sysctl {
    /// The link.
    pub link: LinkName,
    /// net.ipv6.conf rather than net.ipv4.conf.
    pub ipv6: bool,
    /// The last part of the name.
    pub key: String,
    /// Its value.
    pub value: String,
    /// What it was before, where the link stays and this has to be put back.
    #[serde(default)]
    pub before: Option<String>,
}

/// Something the firewall has to know about a link.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "lowercase")]
pub enum FirewallEntry {
    /// The link is a network's bridge with this policy.
    Policy(Policy),
    /// The subnet is at home on the bridge.
    Subnet(Subnet),
    /// A port is published.
    Port(Port),
    /// Frames may take a shortcut past a bridge.
    Shortcut(Shortcut),
}

/// What has to be known of a bridge's links for frames between containers of an overlay network
/// to go from link to link, past the bridge.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "lowercase")]
pub enum Shortcut {
    /// A VTEP is a port of the bridge: only then it has shortcuts.
    Vtep {
        /// The VXLAN link.
        link: LinkName,
        /// The bridge.
        bridge: LinkName,
    },
    /// A container of this host is behind a port of the bridge.
    Port {
        /// The host's end of its veth pair.
        link: LinkName,
        /// The bridge.
        bridge: LinkName,
        /// The container's Ethernet address.
        mac: Mac,
    },
    /// A container of another host is behind a VTEP.
    Remote {
        /// The VXLAN link.
        link: LinkName,
        /// The container's Ethernet address.
        mac: Mac,
    },
}

/// Who may open connections to a network's containers from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Through published ports, by the host's address.
    Published,
    /// Everybody, by the containers' own addresses.
    Unprotected,
    /// To published ports and by ICMP, by the containers' own addresses.
    Routed,
}

/// How far the containers behind a bridge may talk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Policy {
    /// The network's bridge.
    pub link: LinkName,
    /// Not beyond the bridge.
    pub internal: bool,
    /// With each other.
    pub inter_container: bool,
    /// Who may come in by IPv4.
    pub ipv4: Access,
    /// Who may come in by IPv6.
    pub ipv6: Access,
    /// Links behind which everybody may come in.
    pub trusted: Vec<LinkName>,
}

/// What becomes of the source address of packets that leave the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceNat {
    /// It stays.
    None,
    /// It becomes the address of the link they leave by.
    Masquerade,
    /// It becomes this one.
    Address(IpAddr),
}

/// A subnet on a bridge.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Subnet {
    /// The network's bridge.
    pub link: LinkName,
    /// Host bits zero.
    pub subnet: IpNet,
    /// What becomes of its addresses.
    pub nat: SourceNat,
}

/// A published port, on one address of the host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Port {
    /// The host's end of the container's link.
    pub link: LinkName,
    /// The network's bridge.
    pub bridge: LinkName,
    /// The protocol.
    pub protocol: Protocol,
    /// Where the host listens: 0.0.0.0 and :: stand for all addresses of the family.
    /// None: nowhere, the container is reached by its own address (routed).
    pub host: Option<SocketAddr>,
    /// The container's address and port; of the other family than `host` if the host
    /// has to carry the data over itself.
    pub container: SocketAddr,
}

// === impl Object ===

impl Object {
    /// What tells it apart from others.
    pub fn key(&self) -> ObjectKey {
        ObjectKey(match self {
            Self::Link(link) => return ObjectKey::link(&link.name),
            Self::Shared(shared) => return ObjectKey::shared(&shared.link.name, &shared.holder),
            Self::Proxy(proxy) => format!("proxy {} {}", proxy.link, proxy.of),
            Self::Address(address) => return ObjectKey::address(&address.link, address.net),
            Self::Neighbour(entry) => return ObjectKey::neighbour(&entry.link, entry.address),
            Self::Fdb(entry) => return ObjectKey::fdb(&entry.link, entry.mac),
            Self::Route(route) => match route.gateway {
                Some(gateway) => format!("route {} {} {gateway}", route.link, route.destination),
                None => format!("route {} {}", route.link, route.destination),
            },
            Self::Sysctl(sysctl) => {
                let family = if sysctl.ipv6 { "ipv6" } else { "ipv4" };
                format!("sysctl {} {family} {}", sysctl.link, sysctl.key)
            }
            Self::Firewall(FirewallEntry::Policy(policy)) => format!("policy {}", policy.link),
            Self::Firewall(FirewallEntry::Subnet(Subnet { link, subnet, .. })) => {
                format!("subnet {link} {subnet}")
            }
            Self::Firewall(FirewallEntry::Shortcut(shortcut)) => {
                format!("shortcut {}", shortcut.link())
            }
            Self::Port(port) | Self::Firewall(FirewallEntry::Port(port)) => match port.host {
                Some(host) => format!("port {} {host}", port.protocol),
                None => format!("port {} {}", port.protocol, port.container),
            },
        })
    }

    /// The link it is, or is about.
    pub fn link(&self) -> &LinkName {
        match self {
            Self::Link(link) => &link.name,
            Self::Shared(shared) => &shared.link.name,
            Self::Proxy(proxy) => &proxy.link,
            Self::Address(address) => &address.link,
            Self::Route(route) => &route.link,
            Self::Neighbour(neighbour) => &neighbour.link,
            Self::Fdb(entry) => &entry.link,
            Self::Sysctl(sysctl) => &sysctl.link,
            Self::Firewall(entry) => entry.link(),
            Self::Port(port) => &port.link,
        }
    }

    /// The link that it needs beside that: when it comes back, this can be put back, too.
    pub fn stands_on(&self) -> Option<&LinkName> {
        match self {
            Self::Link(link) | Self::Shared(SharedLink { link, .. }) => link.kind.parent(),
            Self::Proxy(proxy) => Some(&proxy.of),
            Self::Route(route) => route.source.as_ref(),
            _ => None,
        }
    }

    /// What the firewall has to know about it.
    pub fn firewall_entry(&self) -> Option<FirewallEntry> {
        match self {
            Self::Firewall(entry) => Some(entry.clone()),
            Self::Port(port) => Some(FirewallEntry::Port(port.clone())),
            Self::Link(link) => Shortcut::of(link).map(FirewallEntry::Shortcut),
            Self::Fdb(Fdb { link, mac, .. }) => {
                let (link, mac) = (link.clone(), *mac);
                Some(FirewallEntry::Shortcut(Shortcut::Remote { link, mac }))
            }
            _ => None,
        }
    }

    /// Whether the kernel drops it by itself when its link goes.
    pub fn goes_with_link(&self) -> bool {
        match self {
            Self::Link(_) | Self::Shared(_) | Self::Firewall(_) | Self::Port(_) => false,
            Self::Address(_)
            | Self::Route(_)
            | Self::Neighbour(_)
            | Self::Fdb(_)
            | Self::Proxy(_)
            | Self::Sysctl(_) => true,
        }
    }

    /// Whether another one of its key can take its place in the kernel.
    pub fn is_replaceable(&self) -> bool {
        matches!(self, Self::Neighbour(_) | Self::Fdb(_))
    }
}

// === impl Policy ===

impl Policy {
    /// Whether somebody may reach the containers by their own addresses.
    pub fn opens(&self) -> bool {
        let closed = self.ipv4 == Access::Published && self.ipv6 == Access::Published;
        !closed || !self.trusted.is_empty()
    }
}

// === impl FirewallEntry ===

impl FirewallEntry {
    /// A shortcut, if it is one.
    pub fn as_shortcut(&self) -> Option<&Shortcut> {
        match self {
            Self::Shortcut(shortcut) => Some(shortcut),
            _ => None,
        }
    }

    /// The link it is about.
    pub fn link(&self) -> &LinkName {
        match self {
            Self::Policy(policy) => &policy.link,
            Self::Subnet(subnet) => &subnet.link,
            Self::Port(port) => &port.link,
            Self::Shortcut(shortcut) => shortcut.link(),
        }
    }
}

// === impl Shortcut ===

impl Shortcut {
    /// What a link is for its bridge. None for one whose frames the bridge has to see: it may
    /// not talk to all others.
    fn of(link: &Link) -> Option<Self> {
        let bridge = link.master.clone()?;
        let name = link.name.clone();
        match link.kind {
            _ if link.isolated => None,
            LinkKind::Vxlan { .. } => Some(Self::Vtep { link: name, bridge }),
            LinkKind::Veth { peer_mac: Some(mac), .. } => {
                Some(Self::Port { link: name, bridge, mac })
            }
            _ => None,
        }
    }

    /// The link it is about.
    pub fn link(&self) -> &LinkName {
        match self {
            Self::Vtep { link, .. } | Self::Port { link, .. } | Self::Remote { link, .. } => link,
        }
    }
}

// === impl ObjectKey ===

impl ObjectKey {
    /// The key of the link with this name.
    pub fn link(name: &LinkName) -> Self {
        Self(format!("link {name}"))
    }

    /// The key of the link with this name as one of a network's.
    pub fn shared(name: &LinkName, holder: &NetworkId) -> Self {
        Self(format!("shared {name} {holder}"))
    }

    /// The key of an address on a link.
    pub fn address(link: &LinkName, net: IpNet) -> Self {
        Self(format!("address {link} {net}"))
    }

    /// The key of a neighbour entry on a link.
    pub fn neighbour(link: &LinkName, address: IpAddr) -> Self {
        Self(format!("neighbour {link} {address}"))
    }

    /// The key of an entry in a VXLAN link's forwarding database.
    pub fn fdb(link: &LinkName, mac: Mac) -> Self {
        Self(format!("fdb {link} {mac}"))
    }

    /// The key of what was said to the firewall about the bridge with this name.
    pub fn policy(bridge: &LinkName) -> Self {
        Self(format!("policy {bridge}"))
    }

    /// The name of the link whose it is.
    pub fn as_link(&self) -> Option<LinkName> {
        self.0.strip_prefix("link ")?.parse().ok()
    }

    /// Whether it is a link's.
    pub fn is_link(&self) -> bool {
        self.0.starts_with("link ")
    }

    /// As it stands in the ledger.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for ObjectKey {
    fn from(key: String) -> Self {
        Self(key)
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Sysctl ===

impl Sysctl {
    /// Whether it is the same setting, whatever its value.
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.link, self.ipv6, &self.key) == (&other.link, other.ipv6, &other.key)
    }

    /// The file below /proc/sys.
    pub fn path(&self) -> String {
        let family = if self.ipv6 { "ipv6" } else { "ipv4" };
        format!("net/{family}/conf/{}/{}", self.link, self.key)
    }
}
