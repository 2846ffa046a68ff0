//! The kernel objects in memory, with the indexes that keep the cost of a
//! call independent of how many networks there are.

use std::collections::{BTreeMap, BTreeSet};

use super::{Entry, Scope};
use crate::{
    id::NetworkId,
    kernel::{FirewallEntry, LinkName, Object, ObjectKey},
};

/// Kernel objects by key.
#[derive(Debug, Default, Clone)]
pub struct Objects {
    entries: BTreeMap<ObjectKey, Entry>,
    by_network: BTreeMap<NetworkId, BTreeSet<ObjectKey>>,
    /// By the links that they stand on, or share.
    by_link: BTreeMap<LinkName, BTreeSet<ObjectKey>>,
    doomed: BTreeSet<ObjectKey>,
}

// === impl Objects ===

impl Objects {
    /// The object with this key.
    pub fn get(&self, key: &ObjectKey) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// How many there are, doomed ones included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Those of one network, its endpoints' included.
    pub fn of_network(&self, network: &NetworkId) -> impl Iterator<Item = (&ObjectKey, &Entry)> {
        let keys = self.by_network.get(network).into_iter().flatten();
        keys.filter_map(|key| self.entries.get_key_value(key))
    }

    /// Those that go when `scope` goes and stand (are not doomed).
    pub fn in_scope(&self, scope: &Scope) -> impl Iterator<Item = (&ObjectKey, &Entry)> {
        self.of_network(&scope.network)
            .filter(|(_, entry)| !entry.doomed && scope.contains(&entry.scope))
    }

    /// Those that stand on this link of others', or that share it.
    pub fn on_link(&self, link: &LinkName) -> impl Iterator<Item = (&ObjectKey, &Entry)> {
        let keys = self.by_link.get(link).into_iter().flatten();
        keys.filter_map(|key| self.entries.get_key_value(key))
    }

    /// The networks of all drivers that share this link and stand.
    pub fn sharing(&self, link: &LinkName) -> impl Iterator<Item = &Scope> {
        let shares = move |(_, entry): &(&ObjectKey, &Entry)| {
            !entry.doomed && matches!(&entry.object, Object::Shared(of) if of.link.name == *link)
        };
        self.on_link(link).filter(shares).map(|(_, entry)| &entry.scope)
    }

    /// Whether one that is to be deleted would be in the way of this one: of the same key,
    /// or of the same port on another address of the host, which may be all of them.
    pub fn is_obstructed(&self, object: &Object) -> bool {
        if self.doomed.contains(&object.key()) {
            return true;
        }
        let Object::Port(port) = object else { return false };
        self.doomed.iter().filter_map(|key| self.entries.get(key)).any(|entry| {
            matches!(&entry.object, Object::Port(other) if other.protocol == port.protocol
                && other.host.map(|host| host.port()) == port.host.map(|host| host.port()))
        })
    }

    /// Those that are to be deleted; the last made first.
    pub fn doomed(&self) -> Vec<(ObjectKey, Entry)> {
        let mut doomed: Vec<_> = self
            .doomed
            .iter()
            .filter_map(|key| Some((key.clone(), self.entries.get(key)?.clone())))
            .collect();
        doomed.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.sequence));
        doomed
    }

    /// Those that stand, the first made first.
    pub fn standing(&self) -> Vec<(&ObjectKey, &Entry)> {
        let mut entries: Vec<_> = self.entries.iter().filter(|(_, entry)| !entry.doomed).collect();
        entries.sort_by_key(|(_, entry)| entry.sequence);
        entries
    }

    /// The firewall entries that stand.
    pub fn firewall(&self) -> BTreeSet<FirewallEntry> {
        let standing = self.entries.values().filter(|entry| !entry.doomed);
        standing.filter_map(|entry| entry.object.firewall_entry()).collect()
    }

    /// Writes or (with none) forgets an object.
    pub(super) fn set(&mut self, key: ObjectKey, entry: Option<Entry>) {
        if let Some(old) = self.entries.remove(&key) {
            self.doomed.remove(&key);
            forget(&mut self.by_network, &old.scope.network, &key);
            for link in links_of(&old.object) {
                forget(&mut self.by_link, link, &key);
            }
        }
        if let Some(entry) = entry {
            for link in links_of(&entry.object) {
                self.by_link.entry(link.clone()).or_default().insert(key.clone());
            }
            if entry.doomed {
                self.doomed.insert(key.clone());
            }
            self.by_network.entry(entry.scope.network.clone()).or_default().insert(key.clone());
            self.entries.insert(key, entry);
        }
    }
}

/// The links by which an object is found, beside its own.
fn links_of(object: &Object) -> impl Iterator<Item = &LinkName> {
    let shared = matches!(object, Object::Shared(_)).then(|| object.link());
    object.stands_on().into_iter().chain(shared)
}

fn forget<K: Ord>(index: &mut BTreeMap<K, BTreeSet<ObjectKey>>, at: &K, key: &ObjectKey) {
    if let Some(keys) = index.get_mut(at) {
        keys.remove(key);
        if keys.is_empty() {
            index.remove(at);
        }
    }
}
