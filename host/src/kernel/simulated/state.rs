//! What the kernel in memory holds, and what it refuses.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    ops::Range,
};

use rustix::io::Errno;

use crate::kernel::{
    Error, FirewallEntry, Link, LinkKind, LinkName, MacvlanMode, Object, ObjectKey, Port, Proxy,
    Refusal, SharedLink, Undo, out_of_memory, snapshot::is_answered_for,
};

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) objects: BTreeMap<ObjectKey, Object>,
    pub(super) firewall: BTreeSet<FirewallEntry>,
    pub(super) proxies: BTreeSet<(LinkName, IpAddr)>,
    pub(super) verbs: u64,
    pub(super) failing: Range<u64>,
}

// === impl State ===

impl State {
    pub(super) fn create(&mut self, object: &Object) -> Result<Undo, Error> {
        self.count(object)?;
        let key = object.key();
        match object {
            Object::Link(link) => {
                let taken = |errno| Error::CreateLink {
                    name: link.name.clone(),
                    kind: link.kind.to_string(),
                    source: Refusal::errno(errno),
                };
                if link.adopted {
                    return self.adopt(link);
                }
                if let LinkKind::Vlan { parent, .. } = &link.kind
                    && !self.has_link(parent)
                {
                    return Err(Error::NoLink(parent.clone()));
                }
                if self.has_link(&link.name) {
                    return Err(taken(Errno::EXIST));
                }
                if let Some(peer) = link.kind.peer()
                    && (self.has_link(peer) || peer == &link.name)
                {
                    return Err(taken(Errno::EXIST));
                }
                if let LinkKind::Macvlan { parent, .. } | LinkKind::Ipvlan { parent, .. } =
                    &link.kind
                {
                    if !self.has_link(parent) {
                        return Err(Error::NoLink(parent.clone()));
                    }
                    if self.is_busy(&link.kind) {
                        let (name, kind) = (link.name.clone(), link.kind.to_string());
                        let (parent, source) = (parent.clone(), Refusal::errno(Errno::INVAL));
                        return Err(Error::ParentBusy { name, kind, parent, source });
                    }
                }
                if self.has_vni(&link.kind) {
                    return Err(taken(Errno::EXIST));
                }
                if let Some(master) = &link.master
                    && !self.has_link(master)
                {
                    return Err(Error::NoLink(master.clone()));
                }
            }
            Object::Shared(SharedLink { link, .. }) => {
                return match self.objects.get(&ObjectKey::link(&link.name)) {
                    Some(Object::Link(is)) if is.alias == link.alias => Ok(Undo::Nothing),
                    Some(_) => Err(Error::refused(object, Refusal::errno(Errno::EXIST))),
                    None => {
                        self.create(&Object::Link(link.clone()))?;
                        Ok(Undo::Delete(object.clone()))
                    }
                };
            }
            Object::Proxy(proxy) => {
                self.need_link(&proxy.link)?;
                self.need_link(&proxy.of)?;
                self.answer_for(proxy);
            }
            Object::Sysctl(_) => {
                self.need_link(object.link())?;
                let old = self.objects.insert(key, object.clone());
                return Ok(match old {
                    Some(old) => Undo::Replace(old, object.clone()),
                    None => Undo::Delete(object.clone()),
                });
            }
            Object::Port(port) => {
                self.need_link(object.link())?;
                if self.clashes(port) {
                    return Err(Error::refused(object, Refusal::errno(Errno::ADDRINUSE)));
                }
            }
            _ => {
                self.need_link(object.link())?;
                if self.objects.contains_key(&key) {
                    return Err(Error::refused(object, Refusal::errno(Errno::EXIST)));
                }
            }
        }
        self.objects.insert(key, object.clone());
        Ok(Undo::Delete(object.clone()))
    }

    fn adopt(&mut self, link: &Link) -> Result<Undo, Error> {
        match self.objects.get_mut(&ObjectKey::link(&link.name)) {
            Some(Object::Link(is)) if is.kind == link.kind => {
                let was = std::mem::replace(&mut is.up, true);
                let down = Link { up: was, ..link.clone() };
                Ok(Undo::Replace(Object::Link(down), Object::Link(link.clone())))
            }
            Some(_) => Err(Error::NotABridge(link.name.clone())),
            None => Err(Error::NoLink(link.name.clone())),
        }
    }

    pub(super) fn count(&mut self, object: &Object) -> Result<(), Error> {
        self.tick().map_err(|refusal| Error::refused(object, refusal))
    }

    pub(super) fn tick(&mut self) -> Result<(), Refusal> {
        let now = self.verbs;
        self.verbs += 1;
        if self.failing.contains(&now) { Err(out_of_memory()) } else { Ok(()) }
    }

    fn has_link(&self, name: &LinkName) -> bool {
        let is_peer = |link: &Link| link.kind.peer() == Some(name);
        self.objects.contains_key(&ObjectKey::link(name))
            || self
                .objects
                .values()
                .any(|object| matches!(object, Object::Link(link) if is_peer(link)))
    }

    /// Whether there is a VTEP of this VNI and port.
    fn has_vni(&self, new: &LinkKind) -> bool {
        let LinkKind::Vxlan { vni, port, .. } = new else { return false };
        let is_same = |kind: &LinkKind| matches!(kind, LinkKind::Vxlan { vni: v, port: p, .. } if v == vni && p == port);
        let mut objects = self.objects.values();
        objects.any(|object| matches!(object, Object::Link(link) if is_same(&link.kind)))
    }

    /// Makes a link answer for the addresses that another one has now.
    fn answer_for(&mut self, proxy: &Proxy) {
        self.proxies.retain(|(link, _)| *link != proxy.link);
        let of = self.objects.values().filter_map(|object| match object {
            Object::Address(address) if address.link == proxy.of => Some(address.net.addr()),
            _ => None,
        });
        let new = of.filter(is_answered_for).map(|address| (proxy.link.clone(), address));
        self.proxies.extend(new.collect::<Vec<_>>());
    }

    /// Whether the parent of a macvlan or ipvlan link has one that shares it with nobody, or
    /// not with such a one.
    fn is_busy(&self, new: &LinkKind) -> bool {
        let clashes = |kind: &LinkKind| {
            let same = new.parent().is_some() && kind.parent() == new.parent();
            same && match (kind, new) {
                (LinkKind::Vlan { .. }, _) | (_, LinkKind::Vlan { .. }) => false,
                (LinkKind::Macvlan { mode, .. }, LinkKind::Macvlan { mode: new, .. }) => {
                    [*mode, *new].contains(&MacvlanMode::Passthru)
                }
                (LinkKind::Ipvlan { .. }, LinkKind::Ipvlan { .. }) => false,
                _ => true,
            }
        };
        let mut objects = self.objects.values();
        objects.any(|object| matches!(object, Object::Link(link) if clashes(&link.kind)))
    }

    /// Whether somebody listens there already, or on all addresses of the family.
    fn clashes(&self, new: &Port) -> bool {
        let Some(wanted) = new.host else { return false };
        self.objects.values().any(|object| match object {
            Object::Port(Port { protocol, host: Some(host), .. }) => {
                *protocol == new.protocol
                    && host.port() == wanted.port()
                    && host.is_ipv4() == wanted.is_ipv4()
                    && (host.ip() == wanted.ip()
                        || host.ip().is_unspecified()
                        || wanted.ip().is_unspecified())
            }
            _ => false,
        })
    }

    fn need_link(&self, name: &LinkName) -> Result<(), Error> {
        if self.has_link(name) { Ok(()) } else { Err(Error::NoLink(name.clone())) }
    }

    /// Removes a link with all that is on it; says which links are gone.
    pub(super) fn remove_link(&mut self, name: &LinkName) -> Vec<LinkName> {
        let Some(Object::Link(link)) = self.objects.remove(&ObjectKey::link(name)) else {
            return Vec::new();
        };
        self.objects.retain(|_, object| object.link() != name || matches!(object, Object::Port(_)));
        self.proxies.retain(|(on, _)| on != name);
        for object in self.objects.values_mut() {
            if let Object::Link(port) = object
                && port.master.as_ref() == Some(name)
            {
                port.master = None;
                (port.hairpin, port.isolated) = (false, false);
            }
        }
        let on_it = self.objects.values().filter_map(|object| match object {
            Object::Link(link) if link.kind.parent() == Some(name) => Some(link.name.clone()),
            _ => None,
        });
        let gone: Vec<LinkName> = on_it.collect();
        let gone = gone.iter().flat_map(|link| self.remove_link(link)).collect::<Vec<_>>();
        [name.clone()].into_iter().chain(link.kind.peer().cloned()).chain(gone).collect()
    }
}
