//! What a kernel refuses, and why.

use std::{io, net::SocketAddr};

use ipnet::IpNet;
use rustix::io::Errno;

use super::{LinkName, Object, SharedLink};
use crate::model::Protocol;

/// Why the kernel said no.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It said so, by error number and perhaps a sentence (extended ACK,
    /// Documentation/userspace-api/netlink/intro.rst).
    #[error("{}{}", io::Error::from_raw_os_error(.errno.raw_os_error()), extack(.sentence))]
    Errno {
        /// The error number.
        errno: Errno,
        /// The kernel's own words.
        sentence: Option<String>,
    },
    /// A file of /proc/sys could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// nft(8) or iptables(8) printed this.
    #[error("{0}")]
    Tool(String),
    /// The daemon was not given a capability.
    #[error("wasmnet was started without the capability {name}, which {what} need")]
    Capability {
        /// Its name.
        name: &'static str,
        /// What needs it, in plural.
        what: &'static str,
    },
    /// The answer could not be understood, or none came.
    #[error("no usable answer from the kernel")]
    NoAnswer,
}

/// What could not be done to the kernel.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A link could not be made.
    #[error("cannot create {kind} {name}")]
    CreateLink {
        /// The link's name.
        name: LinkName,
        /// Its kind, as ip-link(8) spells it.
        kind: String,
        /// Why.
        #[source]
        source: Refusal,
    },
    /// The kernel was built without this kind of link.
    #[error(
        "this kernel has no {kind} links (it was built without {option}, or the module is missing)"
    )]
    LinkKindMissing {
        /// The kind, as ip-link(8) spells it.
        kind: String,
        /// What the kernel should be built with.
        option: &'static str,
        /// What the kernel said.
        #[source]
        source: Refusal,
    },
    /// A link could not be changed.
    #[error("cannot change link {name}")]
    ChangeLink {
        /// The link's name.
        name: LinkName,
        /// Why.
        #[source]
        source: Refusal,
    },
    /// A link could not be deleted.
    #[error("cannot delete link {name}")]
    DeleteLink {
        /// The link's name.
        name: LinkName,
        /// Why.
        #[source]
        source: Refusal,
    },
    /// A link has another one to itself, or would have.
    #[error(
        "link {parent} cannot be shared: {kind} {name} is to have it to itself, or something else has it (a macvlan link in mode passthru, links of another kind, a bridge)"
    )]
    ParentBusy {
        /// The link that should be made.
        name: LinkName,
        /// Its kind, as ip-link(8) spells it.
        kind: String,
        /// The link that it should be made on.
        parent: LinkName,
        /// What the kernel said.
        #[source]
        source: Refusal,
    },
    /// There is no such link.
    #[error("there is no link {0}")]
    NoLink(LinkName),
    /// A link that should be adopted is of another kind.
    #[error("link {0} is not a bridge, so it cannot be a network's")]
    NotABridge(LinkName),
    /// A bridge that should be adopted is Docker's.
    #[error("bridge {0} is one of Docker's own; choose another name")]
    Foreign(LinkName),
    /// An address could not be added or removed.
    #[error("cannot set address {net} on {link}")]
    Address {
        /// The link.
        link: LinkName,
        /// The address.
        net: IpNet,
        /// Why.
        #[source]
        source: Refusal,
    },
    /// A route could not be added or removed.
    #[error("cannot set the route to {destination} through {link}")]
    Route {
        /// The link.
        link: LinkName,
        /// The route's destination.
        destination: IpNet,
        /// Why.
        #[source]
        source: Refusal,
    },
    /// A neighbour entry could not be added or removed.
    #[error("cannot set the neighbour entry of {address} on {link}")]
    Neighbour {
        /// The link.
        link: LinkName,
        /// The neighbour.
        address: std::net::IpAddr,
        /// Why.
        #[source]
        source: Refusal,
    },
    /// An entry of a forwarding database could not be added or removed.
    #[error("cannot set the forwarding entry of {mac} on {link}")]
    Fdb {
        /// The link.
        link: LinkName,
        /// Whose frames it is about.
        mac: crate::mac::Mac,
        /// Why.
        #[source]
        source: Refusal,
    },
    /// A link could not be made to answer for another one.
    #[error("cannot let {link} answer for another link's addresses")]
    Proxy {
        /// The link.
        link: LinkName,
        /// Why.
        #[source]
        source: Refusal,
    },
    /// A setting could not be read or written.
    #[error("cannot set {path}")]
    Sysctl {
        /// The file below /proc/sys.
        path: String,
        /// Why.
        #[source]
        source: Refusal,
    },
    /// A port could not be bound.
    #[error("cannot bind {protocol} port {host}")]
    Port {
        /// The protocol.
        protocol: Protocol,
        /// The host's address and port.
        host: SocketAddr,
        /// Why.
        #[source]
        source: Refusal,
    },
    /// The kernel was built without this protocol.
    #[error("this kernel has no {} (it was built without, or the module is missing)", .protocol.to_string().to_uppercase())]
    ProtocolMissing {
        /// The protocol.
        protocol: Protocol,
        /// What the kernel said.
        #[source]
        source: Refusal,
    },
    /// The firewall refused a batch.
    #[error("cannot program the firewall")]
    Firewall(#[source] Refusal),
    /// The state could not be read.
    #[error("cannot read the kernel's {what}")]
    Read {
        /// Links, addresses, routes.
        what: &'static str,
        /// Why.
        #[source]
        source: Refusal,
    },
    /// No connection to the kernel.
    #[error("cannot open a netlink socket")]
    Open(#[source] io::Error),
    /// This kind of object has no such verb.
    #[error("cannot replace {0} in place")]
    NotReplaceable(super::ObjectKey),
}

/// What a kernel says that has no memory.
pub fn out_of_memory() -> Refusal {
    Refusal::errno(Errno::NOMEM)
}

fn extack(sentence: &Option<String>) -> String {
    sentence.as_ref().map(|sentence| format!(" ({sentence})")).unwrap_or_default()
}

// === impl Refusal ===

impl Refusal {
    /// A bare error number.
    pub fn errno(errno: Errno) -> Self {
        Self::Errno { errno, sentence: None }
    }

    /// The error number, if there was one.
    pub fn as_errno(&self) -> Option<Errno> {
        match self {
            Self::Errno { errno, .. } => Some(*errno),
            Self::Io(error) => Errno::from_io_error(error),
            Self::Tool(_) | Self::Capability { .. } | Self::NoAnswer => None,
        }
    }

    /// Whether the kernel does not have the protocol at all.
    pub fn is_no_such_protocol(&self) -> bool {
        matches!(self.as_errno(), Some(Errno::PROTONOSUPPORT | Errno::SOCKTNOSUPPORT))
    }

    /// Whether the thing is gone already.
    pub fn is_gone(&self) -> bool {
        matches!(
            self.as_errno(),
            Some(Errno::NODEV | Errno::NOENT | Errno::ADDRNOTAVAIL | Errno::SRCH)
        )
    }
}

// === impl Error ===

impl Error {
    /// Making or changing an object was refused.
    pub fn refused(object: &Object, source: Refusal) -> Self {
        match object {
            Object::Link(link) | Object::Shared(SharedLink { link, .. }) => {
                Self::CreateLink { name: link.name.clone(), kind: link.kind.to_string(), source }
            }
            Object::Address(address) => {
                Self::Address { link: address.link.clone(), net: address.net, source }
            }
            Object::Route(route) => {
                Self::Route { link: route.link.clone(), destination: route.destination, source }
            }
            Object::Neighbour(entry) => {
                Self::Neighbour { link: entry.link.clone(), address: entry.address, source }
            }
            Object::Proxy(proxy) => Self::Proxy { link: proxy.link.clone(), source },
            Object::Fdb(entry) => Self::Fdb { link: entry.link.clone(), mac: entry.mac, source },
            Object::Sysctl(sysctl) => Self::Sysctl { path: sysctl.path(), source },
            Object::Firewall(_) => Self::Firewall(source),
            Object::Port(port) => match port.host {
                Some(host) => Self::Port { protocol: port.protocol, host, source },
                None => Self::Firewall(source),
            },
        }
    }

    /// Whether there is one of that name already.
    pub fn is_exists(&self) -> bool {
        matches!(
            self,
            Self::CreateLink { source, .. } | Self::Address { source, .. } | Self::Route { source, .. }
            if source.as_errno() == Some(Errno::EXIST)
        )
    }

    /// Whether somebody has the UDP port that the link would have.
    pub fn is_link_port_taken(&self) -> bool {
        matches!(self, Self::ChangeLink { source, .. } if source.as_errno() == Some(Errno::ADDRINUSE))
    }

    /// Whether somebody has the port.
    pub fn is_port_taken(&self) -> bool {
        matches!(self, Self::Port { source, .. } if source.as_errno() == Some(Errno::ADDRINUSE))
    }

    /// Whether the host does not speak the address's family, or does not have the address.
    pub fn is_no_such_family(&self) -> bool {
        matches!(self, Self::Port { source, .. } if matches!(
            source.as_errno(),
            Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL)
        ))
    }
}
