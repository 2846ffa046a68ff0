//! What a driver can make, for tests to look at.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use ipnet::IpNet;

use crate::{
    IpAddress, IpFamily, IpNetwork, MacAddress, Protocol,
    common::mac_to_text,
    firewall::{Access, NetworkPolicy, SourceNat},
    links::{IpvlanFlag, IpvlanMode, MacvlanMode},
};

/// Something that a driver made and that stands. Links are named by [`Link::place`].
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    /// A link.
    Link(Link),
    /// An address on a link.
    Address {
        /// The link's name.
        link: String,
        /// The address.
        address: IpNetwork,
    },
    /// A route.
    Route {
        /// The link's name.
        link: String,
        /// Where to.
        destination: IpNetwork,
        /// By which neighbour.
        gateway: Option<IpAddress>,
    },
    /// A permanent neighbour entry.
    Neighbour {
        /// The link's name.
        link: String,
        /// The neighbour.
        address: IpAddress,
        /// Its Ethernet address.
        mac: MacAddress,
    },
    /// An entry of a VXLAN link's forwarding database.
    Forwarding {
        /// The link's name.
        link: String,
        /// Whose frames.
        mac: MacAddress,
        /// Where they are sent.
        vtep: IpAddress,
    },
    /// A setting of a link.
    Setting {
        /// The link's name.
        link: String,
        /// The family.
        family: IpFamily,
        /// The last part of its name.
        key: String,
        /// Its value.
        value: String,
    },
    /// What was said about a bridge.
    Policy {
        /// The link's name.
        link: String,
        /// What was said.
        policy: NetworkPolicy,
    },
    /// A subnet that is at home on a bridge.
    Subnet {
        /// The link's name.
        link: String,
        /// The subnet.
        subnet: IpNetwork,
        /// What becomes of its addresses.
        nat: SourceNat,
    },
    /// A published port.
    Port {
        /// The link's name.
        link: String,
        /// Its protocol.
        protocol: Protocol,
        /// Where the host listens; none where the containers' own addresses are reached.
        host: Option<SocketAddr>,
        /// Where it leads.
        container: SocketAddr,
    },
}

/// A link of the driver's.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// Network, endpoint and label with slashes between them: "n1/bridge", "n1/e1/port".
    pub place: String,
    /// The driver's word for it.
    pub label: String,
    /// Its name in the kernel.
    pub name: String,
    /// What it is.
    pub kind: LinkKind,
    /// MTU in bytes, if the driver said.
    pub mtu: Option<u32>,
    /// Its own address; of a veth pair the container's end's.
    pub mac: Option<MacAddress>,
    /// The name of the bridge that it is a port of.
    pub master: Option<String>,
    /// The name of the container's end of a veth pair.
    pub peer: Option<String>,
    /// Whether it is up.
    pub up: bool,
}

/// What a link is.
#[derive(Debug, Clone, PartialEq)]
pub enum LinkKind {
    /// A bridge.
    Bridge,
    /// Somebody else's bridge that is used.
    AdoptedBridge,
    /// A veth pair.
    Veth,
    /// A VXLAN tunnel endpoint.
    Vxlan {
        /// The network identifier.
        vni: u32,
        /// The UDP port.
        port: u16,
        /// This host's address.
        local: IpAddress,
    },
    /// A macvlan link.
    Macvlan {
        /// What it is on.
        parent: String,
        /// With whom it may talk.
        mode: MacvlanMode,
    },
    /// An ipvlan link.
    Ipvlan {
        /// What it is on.
        parent: String,
        /// How packets find it.
        mode: IpvlanMode,
        /// With whom it may talk.
        flag: IpvlanFlag,
    },
}

// === impl Object ===

impl Object {
    /// The name of the link that it is, or is on.
    pub fn link(&self) -> &str {
        match self {
            Self::Link(link) => &link.name,
            Self::Address { link, .. }
            | Self::Route { link, .. }
            | Self::Neighbour { link, .. }
            | Self::Forwarding { link, .. }
            | Self::Setting { link, .. }
            | Self::Policy { link, .. }
            | Self::Subnet { link, .. }
            | Self::Port { link, .. } => link,
        }
    }

    /// In one line for people and for comparing, with links' names replaced by `place`.
    pub(super) fn line(&self, place: impl Fn(&str) -> String) -> String {
        let on = place(self.link());
        match self {
            Self::Link(link) => {
                let master = link.master.as_deref().map(|master| format!(" at {}", place(master)));
                let mtu = link.mtu.map(|mtu| format!(", MTU {mtu}")).unwrap_or_default();
                let down = if link.up { "" } else { ", down" };
                format!("{} {on}{}{mtu}{down}", link.kind, master.unwrap_or_default())
            }
            Self::Address { address, .. } => format!("address {address} on {on}"),
            Self::Route { destination, gateway, .. } => {
                let by = gateway.map(|gateway| format!(" by {gateway}")).unwrap_or_default();
                format!("route to {destination}{by} through {on}")
            }
            Self::Neighbour { address, mac, .. } => {
                format!("neighbour {address} is {} on {on}", mac_to_text(*mac))
            }
            Self::Forwarding { mac, vtep, .. } => {
                format!("forwarding of {} to {vtep} on {on}", mac_to_text(*mac))
            }
            Self::Setting { family, key, value, .. } => {
                let family = if *family == IpFamily::Ipv4 { "ipv4" } else { "ipv6" };
                format!("setting {family} {key}={value} of {on}")
            }
            Self::Policy { policy, .. } => format!("policy of {on}: {}", words(policy)),
            Self::Subnet { subnet, nat, .. } => {
                let nat = match nat {
                    SourceNat::None => "no NAT".to_owned(),
                    SourceNat::Masquerade => "masquerade".to_owned(),
                    SourceNat::Address(address) => format!("as {address}"),
                };
                format!("subnet {subnet} on {on}, {nat}")
            }
            Self::Port { protocol, host, container, .. } => {
                let host = host.map_or("routed".to_owned(), |host| host.to_string());
                let protocol = match protocol {
                    Protocol::Tcp => "tcp",
                    Protocol::Udp => "udp",
                    Protocol::Sctp => "sctp",
                };
                format!("port {host} to {container}/{protocol}")
            }
        }
    }
}

fn words(policy: &NetworkPolicy) -> String {
    let access = |access: Access| match access {
        Access::Published => "published",
        Access::Unprotected => "unprotected",
        Access::Routed => "routed",
    };
    let mut words = Vec::new();
    if policy.internal {
        words.push("internal".to_owned());
    }
    if !policy.inter_container {
        words.push("no talk between containers".to_owned());
    }
    words.push(format!("IPv4 {}", access(policy.access_ipv4)));
    words.push(format!("IPv6 {}", access(policy.access_ipv6)));
    if !policy.trusted_links.is_empty() {
        words.push(format!("trusts {}", policy.trusted_links.join(" ")));
    }
    words.join(", ")
}

// === impl LinkKind ===

impl fmt::Display for LinkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bridge => f.write_str("bridge"),
            Self::AdoptedBridge => f.write_str("adopted bridge"),
            Self::Veth => f.write_str("veth"),
            Self::Vxlan { vni, port, local } => write!(f, "vxlan {vni} ({local}:{port})"),
            Self::Macvlan { parent, mode } => {
                let mode = match mode {
                    MacvlanMode::Bridge => "bridge",
                    MacvlanMode::Private => "private",
                    MacvlanMode::Vepa => "vepa",
                    MacvlanMode::Passthru => "passthru",
                };
                write!(f, "macvlan ({mode}, on {parent})")
            }
            Self::Ipvlan { parent, mode, flag } => {
                let mode = match mode {
                    IpvlanMode::L2 => "l2",
                    IpvlanMode::L3 => "l3",
                    IpvlanMode::L3s => "l3s",
                };
                let flag = match flag {
                    IpvlanFlag::Bridge => "bridge",
                    IpvlanFlag::Private => "private",
                    IpvlanFlag::Vepa => "vepa",
                };
                write!(f, "ipvlan ({mode} {flag}, on {parent})")
            }
        }
    }
}

/// A network as `ipnet` has it, to compare.
pub(super) fn net(network: IpNetwork) -> Option<IpNet> {
    IpNet::new(IpAddr::from(network.address), network.prefix_length).ok()
}
