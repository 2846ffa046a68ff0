//! The kernel objects in memory, with the two indexes that keep the cost of a
//! call independent of how many networks there are.

use std::collections::{BTreeMap, BTreeSet};

use super::{Entry, Scope};
use crate::{
    id::NetworkId,
    kernel::{FirewallEntry, Object, ObjectKey},
};

/// Kernel objects by key.
#[derive(Debug, Default, Clone)]
pub struct Objects {
    entries: BTreeMap<ObjectKey, Entry>,
    by_network: BTreeMap<NetworkId, BTreeSet<ObjectKey>>,
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
            if let Some(keys) = self.by_network.get_mut(&old.scope.network) {
                keys.remove(&key);
                if keys.is_empty() {
                    self.by_network.remove(&old.scope.network);
                }
            }
        }
        if let Some(entry) = entry {
            if entry.doomed {
                self.doomed.insert(key.clone());
            }
            self.by_network.entry(entry.scope.network.clone()).or_default().insert(key.clone());
            self.entries.insert(key, entry);
        }
    }
}
