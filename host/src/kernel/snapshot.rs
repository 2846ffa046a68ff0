//! What a kernel holds at one moment, as far as the host cares.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

use ipnet::IpNet;

use super::{Fdb, LinkName, Neighbour, Object, ObjectKey, Proxy, Route, Sysctl};
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
    /// As a port of a bridge: see [`Link::hairpin`](super::Link::hairpin).
    pub hairpin: bool,
    /// As a port of a bridge: see [`Link::isolated`](super::Link::isolated).
    pub isolated: bool,
}

/// What to look at beside links and addresses. None of it is looked at in vain: a host
/// may have a million routes that are not ours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beside {
    /// The main table's routes.
    pub routes: bool,
    /// Permanent neighbour entries.
    pub neighbours: bool,
    /// Permanent entries of VXLAN links' forwarding databases.
    pub fdb: bool,
    /// The IPv6 addresses that links answer for though they do not have them.
    pub proxies: bool,
    /// The values of these settings.
    pub settings: Vec<Sysctl>,
}

/// Links, addresses and what else was asked for at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The links by name.
    pub links: BTreeMap<LinkName, ObservedLink>,
    /// The addresses on each of them.
    pub addresses: BTreeMap<LinkName, BTreeSet<IpNet>>,
    /// The main table's routes that somebody made, if asked for.
    pub routes: Option<BTreeSet<Route>>,
    /// The permanent neighbour entries, if asked for.
    pub neighbours: Option<BTreeSet<Neighbour>>,
    /// The permanent entries of VXLAN links' forwarding databases, if asked for.
    pub fdb: Option<BTreeSet<Fdb>>,
    /// The IPv6 addresses that links answer for though they do not have them, if asked for.
    pub proxies: Option<BTreeSet<(LinkName, IpAddr)>>,
    /// The values of settings, of those that were asked for and are there.
    pub settings: BTreeMap<ObjectKey, String>,
}

// === impl Beside ===

impl Beside {
    /// All that is needed to compare these objects.
    pub fn of<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Self {
        let mut beside = Self::default();
        for object in objects {
            match object {
                Object::Route(_) => beside.routes = true,
                Object::Neighbour(_) => beside.neighbours = true,
                Object::Fdb(_) => beside.fdb = true,
                Object::Proxy(_) => beside.proxies = true,
                Object::Sysctl(setting) => beside.settings.push(setting.clone()),
                Object::Link(_)
                | Object::Shared(_)
                | Object::Address(_)
                | Object::Firewall(_)
                | Object::Port(_) => {}
            }
        }
        beside
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// The MTU in bytes of the link that has this address, if one has.
    pub fn mtu_at(&self, address: IpAddr) -> Option<u32> {
        let has = |on: &BTreeSet<IpNet>| on.iter().any(|net| net.addr() == address);
        let (link, _) = self.addresses.iter().find(|(_, on)| has(on))?;
        self.links.get(link).map(|link| link.mtu)
    }

    /// Whether an object is there. What was not looked at, firewall entries and published
    /// ports count as there while their link is.
    pub fn holds(&self, object: &Object) -> bool {
        if !self.links.contains_key(object.link()) {
            return false;
        }
        match object {
            Object::Address(address) => {
                self.addresses.get(&address.link).is_some_and(|on| on.contains(&address.net))
            }
            Object::Route(route) => self.routes.as_ref().is_none_or(|routes| {
                // The kernel drops it with its source address.
                routes.contains(&Route { source: None, ..route.clone() })
            }),
            Object::Neighbour(entry) => {
                self.neighbours.as_ref().is_none_or(|entries| entries.contains(entry))
            }
            Object::Fdb(entry) => self.fdb.as_ref().is_none_or(|entries| entries.contains(entry)),
            Object::Proxy(proxy) => self.proxies.as_ref().is_none_or(|_| {
                self.links.contains_key(&proxy.of)
                    && self.answers_of(&proxy.link) == self.answers_for(proxy)
            }),
            Object::Sysctl(setting) => {
                self.settings.get(&object.key()).is_none_or(|value| *value == setting.value)
            }
            Object::Link(_) | Object::Shared(_) | Object::Firewall(_) | Object::Port(_) => true,
        }
    }

    /// The source address of packets that take a route, if the route says whose.
    pub fn source_of(&self, route: &Route) -> Option<Ipv4Addr> {
        let of = self.addresses.get(route.source.as_ref()?)?;
        let nets =
            || of.iter().filter_map(|net| if let IpNet::V4(net) = net { Some(net) } else { None });
        let IpNet::V4(destination) = route.destination else { return None };
        let fits = nets().find(|net| net.contains(&destination));
        fits.or_else(|| nets().next()).map(|net| net.addr())
    }

    /// The addresses that a link answers for though it does not have them.
    pub fn answers_of(&self, link: &LinkName) -> BTreeSet<IpAddr> {
        let all = self.proxies.iter().flatten();
        all.filter(|(on, _)| on == link).map(|(_, address)| *address).collect()
    }

    /// The addresses that it should answer for.
    pub fn answers_for(&self, proxy: &Proxy) -> BTreeSet<IpAddr> {
        let of = self.addresses.get(&proxy.of).into_iter().flatten();
        of.map(IpNet::addr).filter(is_answered_for).collect()
    }
}

/// Whether one link answers for such an address of another: link-local ones are each link's own.
pub(super) fn is_answered_for(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_multicast() && !v6.is_unicast_link_local(),
    }
}
