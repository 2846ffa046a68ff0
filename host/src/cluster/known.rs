//! What this node knows of the others: nodes, and the entries of the groups that are
//! followed here; and what of it the drivers have not been told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{Entry, Node};
use crate::{
    id::{NetworkId, NodeId},
    ledger::Group,
};

/// So many keys are told one by one, and more as any.
const KEYS_MAX: usize = 1024;

/// Entries by key and node.
pub(super) type View = BTreeMap<String, BTreeMap<NodeId, Entry>>;

/// Nodes, and groups that are followed.
#[derive(Debug, Default)]
pub(super) struct Known {
    nodes: Mutex<Nodes>,
    groups: Mutex<BTreeMap<Group, Followed>>,
}

#[derive(Debug, Default)]
struct Nodes {
    there: BTreeMap<NodeId, Node>,
    /// Since when all that come and go are seen; none: they are not.
    watched: Option<Instant>,
    /// When those went that went since then.
    gone: BTreeMap<NodeId, Instant>,
}

#[derive(Debug, Default)]
struct Followed {
    /// None before the store has been read for the first time.
    view: Option<View>,
    mailboxes: BTreeMap<NetworkId, Arc<Mailbox>>,
}

/// What a network's driver is to be told.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    gathered: Mutex<Gathered>,
    filled: Notify,
}

/// What has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Gathered {
    /// Nothing.
    #[default]
    Nothing,
    /// These keys.
    Keys(BTreeSet<String>),
    /// Anything.
    Any,
}

// === impl Known ===

impl Known {
    /// The nodes that are there.
    pub(super) fn nodes(&self) -> BTreeMap<NodeId, Node> {
        self.lock_nodes().there.clone()
    }

    /// Sets the nodes that are there and returns those that were.
    pub(super) fn set_nodes(&self, nodes: BTreeMap<NodeId, Node>) -> BTreeMap<NodeId, Node> {
        let mut known = self.lock_nodes();
        let before = std::mem::replace(&mut known.there, nodes);
        let Nodes { there, gone, .. } = &mut *known;
        gone.retain(|id, _| !there.contains_key(id));
        let went = before.keys().filter(|id| !there.contains_key(*id));
        gone.extend(went.map(|id| (id.clone(), Instant::now())));
        before
    }

    /// Notes that a node is there, and returns what it was.
    pub(super) fn put_node(&self, node: Node) -> Option<Node> {
        let mut known = self.lock_nodes();
        known.gone.remove(&node.id);
        known.there.insert(node.id.clone(), node)
    }

    /// Notes that a node is there no more, and returns what it was.
    pub(super) fn remove_node(&self, id: &NodeId) -> Option<Node> {
        let mut known = self.lock_nodes();
        let was = known.there.remove(id)?;
        known.gone.insert(id.clone(), Instant::now());
        Some(was)
    }

    /// From now on all nodes that come and go are seen.
    pub(super) fn begin_watch(&self) {
        self.lock_nodes().watched = Some(Instant::now());
    }

    /// They are not any more: who has gone may have come back.
    pub(super) fn end_watch(&self) {
        let mut nodes = self.lock_nodes();
        nodes.watched = None;
        nodes.gone.clear();
    }

    /// For how long a node has not been there without a break; none: it is there, or nobody
    /// knows.
    pub(super) fn away(&self, id: &NodeId) -> Option<Duration> {
        let nodes = self.lock_nodes();
        let watched = nodes.watched.filter(|_| !nodes.there.contains_key(id))?;
        let since = nodes.gone.get(id).map_or(watched, |gone| watched.max(*gone));
        Some(since.elapsed())
    }

    /// Entries of a group, by key and node; none if they are not known.
    pub(super) fn entries(&self, group: &Group, key: Option<&str>) -> Option<Vec<Entry>> {
        let groups = self.lock();
        let view = groups.get(group)?.view.as_ref()?;
        Some(match key {
            Some(key) => view.get(key).into_iter().flat_map(BTreeMap::values).cloned().collect(),
            None => view.values().flat_map(BTreeMap::values).cloned().collect(),
        })
    }

    /// A group is going to be read.
    pub(super) fn open(&self, group: &Group) {
        self.lock().entry(group.clone()).or_default();
    }

    /// Nobody reads it any more.
    pub(super) fn close(&self, group: &Group) {
        self.lock().remove(group);
    }

    /// Begins to gather changes of an open group for a network.
    pub(super) fn subscribe(&self, group: &Group, network: &NetworkId) -> Arc<Mailbox> {
        let mailbox = Arc::<Mailbox>::default();
        if let Some(followed) = self.lock().get_mut(group) {
            if followed.view.is_some() {
                mailbox.put(Gathered::Any);
            }
            followed.mailboxes.insert(network.clone(), Arc::clone(&mailbox));
        }
        mailbox
    }

    /// Gathers no more.
    pub(super) fn unsubscribe(&self, group: &Group, network: &NetworkId) {
        if let Some(followed) = self.lock().get_mut(group) {
            followed.mailboxes.remove(network);
        }
    }

    /// Everything there is in a group.
    pub(super) fn set_view(&self, group: &Group, view: View) {
        if let Some(followed) = self.lock().get_mut(group) {
            followed.view = Some(view);
            followed.mailboxes.values().for_each(|mailbox| mailbox.put(Gathered::Any));
        }
    }

    /// What has changed in a group: entries that are there now, or (none) no more.
    pub(super) fn change(
        &self,
        group: &Group,
        changes: impl IntoIterator<Item = ((String, NodeId), Option<Entry>)>,
    ) {
        let mut groups = self.lock();
        let Some(followed) = groups.get_mut(group) else { return };
        let Some(view) = &mut followed.view else { return };
        let mut keys = BTreeSet::new();
        for ((key, node), entry) in changes {
            let of_key = view.entry(key.clone()).or_default();
            let before = match entry.clone() {
                Some(entry) => of_key.insert(node, entry),
                None => of_key.remove(&node),
            };
            if of_key.is_empty() {
                view.remove(&key);
            }
            // A node that has a new lease publishes again what is known already.
            let same =
                |one: &Entry, other: &Entry| (&one.node, &one.value) == (&other.node, &other.value);
            if !before.iter().zip(&entry).any(|(before, now)| same(before, now))
                && (before.is_some() || entry.is_some())
            {
                keys.insert(key);
            }
        }
        if !keys.is_empty() {
            let gathered = Gathered::Keys(keys);
            followed.mailboxes.values().for_each(|mailbox| mailbox.put(gathered.clone()));
        }
    }

    fn lock_nodes(&self) -> MutexGuard<'_, Nodes> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Group, Followed>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Mailbox ===

impl Mailbox {
    /// Adds something to what is to be told.
    pub(super) fn put(&self, more: Gathered) {
        let mut gathered = self.lock();
        *gathered = match (std::mem::take(&mut *gathered), more) {
            (Gathered::Nothing, other) | (other, Gathered::Nothing) => other,
            (Gathered::Keys(mut keys), Gathered::Keys(more)) => {
                keys.extend(more);
                if keys.len() > KEYS_MAX { Gathered::Any } else { Gathered::Keys(keys) }
            }
            (Gathered::Any, _) | (_, Gathered::Any) => Gathered::Any,
        };
        self.filled.notify_one();
    }

    /// What is to be told, as soon as there is something.
    pub(super) async fn take(&self) -> Gathered {
        loop {
            let gathered = std::mem::take(&mut *self.lock());
            if gathered != Gathered::Nothing {
                return gathered;
            }
            self.filled.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Gathered ===

impl Gathered {
    /// As the driver is told.
    pub(super) fn keys(&self) -> Option<Vec<String>> {
        match self {
            Self::Keys(keys) => Some(keys.iter().cloned().collect()),
            Self::Nothing | Self::Any => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(ids: &[&NodeId]) -> BTreeMap<NodeId, Node> {
        let node = |id: &&NodeId| Node {
            id: (*id).clone(),
            name: String::new(),
            address: "192.0.2.1".parse().unwrap(),
        };
        ids.iter().map(|id| ((*id).clone(), node(id))).collect()
    }

    #[test]
    fn who_is_away_is_counted_from_when_it_was_seen_to_go() {
        let known = Known::default();
        let (one, other) = (NodeId::random().unwrap(), NodeId::random().unwrap());
        assert_eq!(known.away(&one), None, "nobody looks");
        known.set_nodes(nodes(&[&one]));
        known.begin_watch();
        assert_eq!(known.away(&one), None, "it is there");
        // Not longer than somebody has looked.
        let tick = Duration::from_millis(20);
        std::thread::sleep(tick);
        assert!(known.away(&other).unwrap() >= tick);
        known.set_nodes(nodes(&[]));
        assert!(known.away(&one).unwrap() < known.away(&other).unwrap());
        known.set_nodes(nodes(&[&one]));
        assert_eq!(known.away(&one), None, "it is back");
        known.set_nodes(nodes(&[]));
        std::thread::sleep(tick);
        assert!(known.away(&one).unwrap() >= tick);
        known.end_watch();
        assert_eq!(known.away(&one), None, "nobody looks");
        known.begin_watch();
        assert!(known.away(&one).unwrap() < tick, "it may have been there in between");
    }
}
