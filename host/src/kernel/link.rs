//! Links: the kinds that the host makes, and how they are set.

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::LinkName;
use crate::{id::NetworkId, mac::Mac};

/// The MTU in bytes of bridges and veth pairs if nobody says another (ETH_DATA_LEN).
pub const DEFAULT_MTU: u32 = 1500;

/// A link and how it is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its name.
    pub name: LinkName,
    /// What it is.
    pub kind: LinkKind,
    /// MTU in bytes; none keeps the kernel's default.
    pub mtu: Option<u32>,
    /// Its address; none lets the kernel pick.
    pub mac: Option<Mac>,
    /// The bridge it is a port of.
    pub master: Option<LinkName>,
    /// Whether it is set up.
    pub up: bool,
    /// As a port of a bridge: may send frames back out where they came in. A container
    /// that reaches its own published port needs it where br_netfilter is in use.
    #[serde(default)]
    pub hairpin: bool,
    /// As a port of a bridge: exchanges no frames with other isolated ports.
    #[serde(default)]
    pub isolated: bool,
    /// It was there before, and stays when it is no longer needed.
    #[serde(default)]
    pub adopted: bool,
    /// The engine moves it into the container, where it is out of the host's sight, and back.
    #[serde(default)]
    pub moves: bool,
    /// The tag that says whose it is (IFLA_IFALIAS).
    pub alias: String,
}

/// What a link is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum LinkKind {
    /// A bridge.
    Bridge,
    /// A veth pair; the link's name is the host end's.
    Veth {
        /// The end that goes into the container. It may be in another namespace.
        peer: LinkName,
        /// Its address; none lets the kernel pick.
        peer_mac: Option<Mac>,
    },
    /// A VXLAN tunnel endpoint, VTEP (RFC 7348). It learns nothing and floods nothing: it
    /// sends to where its [`Fdb`] entries say, and answers for its neighbour entries.
    Vxlan {
        /// The VXLAN network identifier, 24 bits.
        vni: u32,
        /// The UDP port of all VTEPs of the network.
        port: u16,
        /// The host's address that the others send to.
        local: IpAddr,
    },
    /// A link with an Ethernet address of its own on another link's wire
    /// (Documentation/networking/ipvlan.rst compares the two kinds).
    Macvlan {
        /// The other link.
        parent: LinkName,
        /// With whom it may talk there.
        mode: MacvlanMode,
    },
    /// A link with addresses of its own and another link's Ethernet address
    /// (Documentation/networking/ipvlan.rst).
    Ipvlan {
        /// The other link.
        parent: LinkName,
        /// How packets find it: the same for all links of the parent.
        mode: IpvlanMode,
        /// With whom it may talk there: the same for all links of the parent.
        flag: IpvlanFlag,
    },
    /// The frames of another link that have this tag (IEEE 802.1Q).
    Vlan {
        /// The other link.
        parent: LinkName,
        /// The tag's VLAN identifier, 1 to 4094.
        id: u16,
    },
}

/// With whom a macvlan link may talk (ip-link(8)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MacvlanMode {
    /// With the others of its parent, directly, and with the wire.
    Bridge,
    /// With the wire only.
    Private,
    /// With the others by way of a switch on the wire that sends frames back.
    Vepa,
    /// It has the parent to itself.
    Passthru,
}

/// How packets find an ipvlan link (ip-link(8)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpvlanMode {
    /// By its neighbours' ARP and ND, as on a wire.
    L2,
    /// By routes; there is no ARP, ND, broadcast or multicast.
    L3,
    /// The same, and the host's netfilter sees them.
    L3s,
}

/// With whom an ipvlan link may talk (ip-link(8)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpvlanFlag {
    /// With the others of its parent, directly, and with the wire.
    Bridge,
    /// With the wire only.
    Private,
    /// With the others by way of a switch on the wire that sends packets back.
    Vepa,
}

/// A link that several networks have in common. Each has one of these; the link comes with the
/// first of them and goes with the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedLink {
    /// The link.
    pub link: Link,
    /// The network that this one is for.
    pub holder: NetworkId,
}

// === impl Link ===

impl Link {
    /// A bridge of this name and nothing more said of it.
    pub fn bridge(name: LinkName) -> Self {
        Self {
            name,
            kind: LinkKind::Bridge,
            mtu: None,
            mac: None,
            master: None,
            up: false,
            hairpin: false,
            isolated: false,
            adopted: false,
            moves: false,
            alias: String::new(),
        }
    }
}

impl Link {
    /// What becomes the container's interface: a veth pair's other end, or the link itself.
    pub fn container_end(&self) -> Option<&LinkName> {
        self.kind.peer().or_else(|| self.moves.then_some(&self.name))
    }
}

// === impl LinkKind ===

impl LinkKind {
    /// The other end of a veth pair.
    pub fn peer(&self) -> Option<&LinkName> {
        match self {
            Self::Veth { peer, .. } => Some(peer),
            Self::Bridge
            | Self::Vxlan { .. }
            | Self::Macvlan { .. }
            | Self::Ipvlan { .. }
            | Self::Vlan { .. } => None,
        }
    }

    /// The link it is made on.
    pub fn parent(&self) -> Option<&LinkName> {
        match self {
            Self::Macvlan { parent, .. }
            | Self::Ipvlan { parent, .. }
            | Self::Vlan { parent, .. } => Some(parent),
            Self::Bridge | Self::Veth { .. } | Self::Vxlan { .. } => None,
        }
    }

    /// What a kernel has to be built with for links of this kind.
    pub fn kernel_option(&self) -> &'static str {
        match self {
            Self::Bridge => "CONFIG_BRIDGE",
            Self::Veth { .. } => "CONFIG_VETH",
            Self::Vxlan { .. } => "CONFIG_VXLAN",
            Self::Macvlan { .. } => "CONFIG_MACVLAN",
            Self::Ipvlan { .. } => "CONFIG_IPVLAN",
            Self::Vlan { .. } => "CONFIG_VLAN_8021Q",
        }
    }

    /// The MTU in bytes that the kernel gives it; none if that depends on another link.
    pub fn default_mtu(&self) -> Option<u32> {
        match self {
            Self::Bridge | Self::Veth { .. } => Some(DEFAULT_MTU),
            Self::Vxlan { .. } | Self::Macvlan { .. } | Self::Ipvlan { .. } | Self::Vlan { .. } => {
                None
            }
        }
    }
}

impl fmt::Display for LinkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bridge => "bridge",
            Self::Veth { .. } => "veth",
            Self::Vxlan { .. } => "vxlan",
            Self::Macvlan { .. } => "macvlan",
            Self::Ipvlan { .. } => "ipvlan",
            Self::Vlan { .. } => "vlan",
        })
    }
}
