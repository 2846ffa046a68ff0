//! Follows what other nodes publish, and tells the drivers.
//!
//! Each group is read and then watched from that revision on; when the watch ends, for
//! whatever reason, all of it again. Each network that follows it is told of changes one
//! call after the other: what comes while a call runs is gathered for the next.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use tokio::task::{AbortHandle, JoinSet};

use super::{
    Change, Cluster, Entry, Error, Listing, Node,
    keys::{entry_of, node_of},
    known::{Mailbox, View},
    nodes_of,
};
use crate::{
    events::{About, Bus, What},
    id::{DriverName, NetworkId, NodeId},
    ledger::{FollowedKey, Group, Ledger},
};

/// How long the store may take to be read.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait before something is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(1);
/// The same for a driver that fails.
const LAST_DRIVER_PAUSE: Duration = Duration::from_secs(30);

/// Who is told of entries that have changed.
#[async_trait]
pub trait Listener: Send + Sync {
    /// Tells a network that follows a group which keys have changed; none: any. Says whether
    /// it wants to be told the same again; an error (in a sentence) means so, too, but later.
    async fn entries_changed(
        &self,
        network: &NetworkId,
        group: &Group,
        keys: Option<Vec<String>>,
    ) -> Result<bool, String>;

    /// The drivers that are told of agreed values.
    fn sharers(&self) -> Vec<DriverName>;

    /// Tells one that agreed values may have changed; says whether it wants to be told once
    /// more. An error (in a sentence) means that it has to be.
    async fn agreed_changed(&self, driver: &DriverName) -> Result<bool, String>;
}

/// Follows what the ledger says is followed, for as long as this is polled.
pub(super) async fn run(cluster: Arc<Cluster>, ledger: Arc<Ledger>, listener: Arc<dyn Listener>) {
    let mut shared = ledger.shared();
    // Gone with it when this ends.
    let mut tasks = JoinSet::new();
    let mut groups: BTreeMap<Group, AbortHandle> = BTreeMap::new();
    let mut tellers: BTreeMap<FollowedKey, AbortHandle> = BTreeMap::new();
    loop {
        shared.mark_unchanged();
        let followed: BTreeSet<FollowedKey> = ledger.read().shares.followed().clone();
        let wanted: BTreeSet<&Group> = followed.iter().map(|key| &key.group).collect();
        tellers.retain(|key, teller| {
            let stays = followed.contains(key);
            if !stays {
                teller.abort();
                cluster.known.unsubscribe(&key.group, &key.network);
            }
            stays
        });
        groups.retain(|group, reader| {
            let stays = wanted.contains(group);
            if !stays {
                reader.abort();
                cluster.known.close(group);
            }
            stays
        });
        for group in wanted {
            if !groups.contains_key(group) {
                cluster.known.open(group);
                let reader = read(Arc::clone(&cluster), group.clone());
                groups.insert(group.clone(), tasks.spawn(reader));
            }
        }
        for key in &followed {
            if !tellers.contains_key(key) {
                let mailbox = cluster.known.subscribe(&key.group, &key.network);
                let teller =
                    tell(Arc::clone(&cluster), Arc::clone(&listener), key.clone(), mailbox);
                tellers.insert(key.clone(), tasks.spawn(teller));
            }
        }
        while tasks.try_join_next().is_some() {}
        if shared.changed().await.is_err() {
            return;
        }
    }
}

/// Tells one network of one group's changes.
async fn tell(
    cluster: Arc<Cluster>,
    listener: Arc<dyn Listener>,
    key: FollowedKey,
    mailbox: Arc<Mailbox>,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        let gathered = mailbox.take().await;
        let (listener, key, keys) = (Arc::clone(&listener), key.clone(), gathered.keys());
        let call = Arc::clone(&cluster.calls).read_owned().await;
        // Apart: a call must not be dropped in the middle.
        let told = tokio::spawn(async move {
            let _call = call;
            listener.entries_changed(&key.network, &key.group, keys).await
        });
        let error = match told.await {
            Ok(Ok(again)) => {
                pause = FIRST_PAUSE;
                if again {
                    mailbox.put(gathered);
                }
                continue;
            }
            Ok(Err(error)) => error,
            Err(error) => error.to_string(),
        };
        tracing::warn!(%error, "a driver does not take what other nodes publish; will tell it again");
        mailbox.put(gathered);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_DRIVER_PAUSE);
    }
}

/// Keeps one group's entries up to date.
async fn read(cluster: Arc<Cluster>, group: Group) {
    let prefix = cluster.settings.prefix.entries(&group);
    let mut pause = FIRST_PAUSE;
    loop {
        let error = match first(&cluster, &prefix).await {
            Ok(Listing { revision, rows }) => {
                pause = FIRST_PAUSE;
                let entries =
                    rows.iter().filter_map(|row| entry_of(&cluster.settings.prefix, &group, row));
                let mut view = View::new();
                for entry in entries {
                    let of_key = view.entry(entry.key.clone()).or_default();
                    of_key.insert(entry.node.id.clone(), entry);
                }
                cluster.known.set_view(&group, view);
                let Err(error) = watch(&cluster, &prefix, revision + 1, |changes| {
                    let changes = changes.into_iter();
                    let read = |change| changed_entry(&cluster, &group, change);
                    cluster.known.change(&group, changes.filter_map(read));
                })
                .await;
                error
            }
            Err(error) => error,
        };
        tracing::debug!(group = %group.name, %error, "reading what other nodes publish again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// Keeps the list of nodes up to date.
pub(super) async fn run_nodes(cluster: Arc<Cluster>, events: Arc<Bus>) {
    let prefix = cluster.settings.prefix.nodes();
    let mut pause = FIRST_PAUSE;
    let mut is_first = true;
    loop {
        match first(&cluster, &prefix).await {
            Ok(Listing { revision, rows }) => {
                pause = FIRST_PAUSE;
                set_nodes(&cluster, nodes_of(rows), (!is_first).then_some(&events));
                cluster.known.begin_watch();
                is_first = false;
                let Err(error) = watch(&cluster, &prefix, revision + 1, |changes| {
                    changes.into_iter().for_each(|change| change_node(&cluster, change, &events));
                })
                .await;
                cluster.known.end_watch();
                tracing::debug!(%error, "reading the nodes again");
            }
            Err(error) => tracing::debug!(%error, "cannot read the nodes"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// Notes which nodes there are, and tells of those that have come and gone.
fn set_nodes(cluster: &Cluster, nodes: BTreeMap<NodeId, Node>, events: Option<&Arc<Bus>>) {
    let before = cluster.known.set_nodes(nodes.clone());
    let Some(events) = events else { return };
    let others = |of: &BTreeMap<NodeId, Node>, known: &BTreeMap<NodeId, Node>| -> Vec<Node> {
        of.values().filter(|node| !known.contains_key(&node.id)).cloned().collect()
    };
    others(&nodes, &before).into_iter().for_each(|node| appeared(cluster, node, events));
    others(&before, &nodes).into_iter().for_each(|node| gone(cluster, node, events));
}

/// The same of one node.
fn change_node(cluster: &Cluster, change: Change, events: &Bus) {
    match change {
        Change::Put(row) => {
            let Some(node) = node_of(&row.value) else { return };
            if cluster.known.put_node(node.clone()).is_none() {
                appeared(cluster, node, events);
            }
        }
        Change::Deleted(key) => {
            let id = cluster.settings.prefix.read_node(&key);
            if let Some(node) = id.and_then(|id| cluster.known.remove_node(&id)) {
                gone(cluster, node, events);
            }
        }
    }
}

fn appeared(cluster: &Cluster, node: Node, events: &Bus) {
    if node.id != cluster.identity.id {
        events.send(About::default(), What::NodeAppeared { node });
    }
}

fn gone(cluster: &Cluster, node: Node, events: &Bus) {
    if node.id != cluster.identity.id {
        events.send(About::default(), What::NodeGone { node });
    }
}

pub(super) async fn first(cluster: &Cluster, prefix: &str) -> Result<Listing, Error> {
    let late = || Err(Error::Unreachable("it does not answer".to_owned()));
    let listing = tokio::time::timeout(PATIENCE, cluster.store.list(prefix, false));
    listing.await.unwrap_or_else(|_elapsed| late())
}

/// Hands on what changes, until that is not known any more.
pub(super) async fn watch(
    cluster: &Cluster,
    prefix: &str,
    from: u64,
    mut changed: impl FnMut(Vec<Change>),
) -> Result<std::convert::Infallible, Error> {
    let late = || Err(Error::Unreachable("it does not answer".to_owned()));
    let watch = tokio::time::timeout(PATIENCE, cluster.store.watch(prefix, from));
    let mut watch = watch.await.unwrap_or_else(|_elapsed| late())?;
    loop {
        changed(watch.next().await?);
    }
}

fn changed_entry(
    cluster: &Cluster,
    group: &Group,
    change: Change,
) -> Option<((String, NodeId), Option<Entry>)> {
    let prefix = &cluster.settings.prefix;
    match change {
        Change::Put(row) => {
            let id = prefix.read_entry(group, &row.key)?;
            // What cannot be read is as good as gone.
            Some((id, entry_of(prefix, group, &row)))
        }
        Change::Deleted(key) => Some((prefix.read_entry(group, &key)?, None)),
    }
}
