//! What a kernel holds at one moment, as far as the host cares.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::{LinkName, Object};
use crate::mac::Mac;

/// A link as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedLink {
    /// Its kind, as ip-link(8) spells it; empty for hardware.
    pub kind: String,
    /// IFLA_IFALIAS; empty without.
    pub alias: String,
    /// MTU in bytes.
    pub mtu: u32,
    /// Its Ethernet address.
    pub mac: Option<Mac>,
    /// The bridge it is a port of.
    pub master: Option<LinkName>,
    /// Whether it is set up.
    pub up: bool,
}

/// Links and addresses at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The links by name.
    pub links: BTreeMap<LinkName, ObservedLink>,
    /// The addresses on each of them.
    pub addresses: BTreeMap<LinkName, BTreeSet<IpNet>>,
}

// === impl Snapshot ===

impl Snapshot {
    /// Whether an object is there. Routes, neighbours, settings and firewall
    /// entries are not part of a snapshot and count as there while their link is.
    pub fn holds(&self, object: &Object) -> bool {
        match object {
            Object::Link(link) => self.links.contains_key(&link.name),
            Object::Address(address) => {
                self.addresses.get(&address.link).is_some_and(|on| on.contains(&address.net))
            }
            Object::Route(_)
            | Object::Neighbour(_)
            | Object::Sysctl(_)
            | Object::Firewall(_)
            | Object::Port(_) => self.links.contains_key(object.link()),
        }
    }
}
