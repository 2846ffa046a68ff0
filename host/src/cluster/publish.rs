//! Brings the store up to date with what the ledger says this node publishes.
//!
//! A session begins with a lease and a full comparison; then follow differences, at once
//! after each commit. Whatever fails, the session ends, and the next one begins as soon as
//! the store can be reached. Nobody waits for any of it.
//!
//! What the comparison reads is newer than the session when it has the session itself, and
//! so it knows of all that was ever written before.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior};

use super::{
    Cluster, Error, LOOK_AGAIN, Lease, Node, PATIENCE, Session, Write, in_time, keys,
    session::random,
};
use crate::{
    events::Bus,
    ledger::{EntryKey, Ledger},
    since_boot::SinceBoot,
};

/// Writes of one transaction.
const BATCH: usize = 100;
/// How often at least the lease is renewed, so that it is soon known if the store is away.
const RENEWAL: Duration = Duration::from_secs(2);
/// How long to wait before the store is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(1);
/// The same where this host does not know its address.
const NO_ADDRESS_PAUSE: Duration = Duration::from_secs(4);

/// What the store has of this node, as far as is known.
struct Publisher {
    cluster: Arc<Cluster>,
    ledger: Arc<Ledger>,
    lease: Option<Lease>,
    /// Another one with each lease.
    term: u64,
    /// As whom it was written.
    node: Option<Node>,
    written: BTreeMap<String, Vec<u8>>,
}

/// Publishes for as long as this is polled.
pub(super) async fn run(cluster: Arc<Cluster>, ledger: Arc<Ledger>, events: Arc<Bus>) {
    let written = BTreeMap::new();
    let mut publisher = Publisher { cluster, ledger, lease: None, term: 0, node: None, written };
    let mut pause = FIRST_PAUSE;
    loop {
        let began = Instant::now();
        let Err(error) = publisher.session(&events).await;
        // Who has no address can agree on something nevertheless.
        if !matches!(error, Error::NoAddress) {
            publisher.cluster.session.end();
        }
        match error {
            Error::NoLease => publisher.lose_lease(),
            // Nobody has noticed: there is nothing to publish.
            Error::NoAddress if publisher.ledger.read().shares.published() == 0 => {
                tokio::time::sleep(NO_ADDRESS_PAUSE).await;
            }
            // The next one hears more, or all is well.
            Error::Unknown => {}
            error => publisher.cluster.is_lost(&error, &events),
        }
        if began.elapsed() > LAST_PAUSE + PATIENCE {
            pause = FIRST_PAUSE;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

// === impl Publisher ===

impl Publisher {
    /// One session, until something fails.
    async fn session(&mut self, events: &Bus) -> Result<std::convert::Infallible, Error> {
        let time = self.cluster.settings.lease;
        let mut shared = self.ledger.shared();
        shared.mark_unchanged();
        let began = SinceBoot::now();
        let lease = self.have_lease(time).await?;
        let session = in_time(Session::begin(&self.cluster, lease)).await?;
        self.compare_all(&session).await?;
        self.cluster.presence.seen(self.term, began);
        self.cluster.is_reachable(events);
        let mut renewal = tokio::time::interval(RENEWAL.min(time / 3));
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        renewal.tick().await;
        loop {
            tokio::select! {
                biased;
                _ = renewal.tick() => {
                    let began = SinceBoot::now();
                    if !in_time(self.cluster.store.keep_alive(lease)).await? {
                        return Err(Error::NoLease);
                    }
                    self.cluster.presence.seen(self.term, began);
                }
                () = self.cluster.session.ended(&session) => return Err(Error::Unknown),
                // The ledger lives as long as `self`.
                _ = shared.changed() => {
                    let touched = self.ledger.take_touched();
                    let wanted = self.wanted(&touched);
                    self.bring(&session, wanted).await?;
                }
            }
        }
    }

    /// The lease of the last session, if it still holds, or a new one.
    async fn have_lease(&mut self, time: Duration) -> Result<Lease, Error> {
        let store = Arc::clone(&self.cluster.store);
        if let Some(lease) = self.lease {
            if in_time(store.keep_alive(lease)).await? {
                return Ok(lease);
            }
            self.lose_lease();
        }
        let lease = in_time(store.grant(time)).await?;
        self.lease = Some(lease);
        self.term = random()?;
        // What is there hangs on another lease.
        self.written.clear();
        Ok(lease)
    }

    fn lose_lease(&mut self) {
        self.lease = None;
        self.cluster.presence.missed();
    }

    /// Writes everything that is not known to be there, and deletes what should not be.
    async fn compare_all(&mut self, session: &Session) -> Result<(), Error> {
        let node = self.cluster.this_node()?;
        if self.node.as_ref() != Some(&node) {
            self.written.clear();
            self.node = Some(node.clone());
        }
        let prefix = self.cluster.settings.prefix.clone();
        self.ledger.take_touched();
        let all: BTreeSet<EntryKey> = self.ledger.read().shares.entries().cloned().collect();
        let mut wanted = self.wanted(&all);
        wanted.insert(prefix.node(&node.id), Some(keys::node_value(&node)));
        let stored = self.stored(&prefix.node(&node.id), session).await?;
        // What was thought to be there may have gone.
        self.written.retain(|key, _| stored.contains(key));
        for key in stored {
            if !wanted.contains_key(&key) {
                wanted.insert(key.clone(), None);
                // Else it would seem to be gone already.
                self.written.entry(key).or_default();
            }
        }
        self.bring(session, wanted).await
    }

    /// The keys of this node's that the store has: those of its lease, and of the one that
    /// it had when it was here last. What hangs on any other goes with that by itself. (To
    /// look for them among everybody's would cost each node as much as there are of all.)
    async fn stored(&self, node: &str, session: &Session) -> Result<BTreeSet<String>, Error> {
        let store = &self.cluster.store;
        let of_session = async {
            loop {
                let keys = store.keys_of(session.lease).await?;
                // A leader answers with what it has got to, which may be what was long ago.
                if keys.contains(&session.key) {
                    return Ok(keys);
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        let mut stored = BTreeSet::from_iter(in_time(of_session).await?);
        let last = in_time(store.lease_of(node)).await?;
        if let Some(last) = last.filter(|last| *last != session.lease) {
            stored.extend(in_time(store.keys_of(last)).await?);
        }
        stored.retain(|key| !key.starts_with(&session.prefix));
        Ok(stored)
    }

    /// What should stand in the store for these entries.
    fn wanted(&self, entries: &BTreeSet<EntryKey>) -> BTreeMap<String, Option<Vec<u8>>> {
        let Some(node) = &self.node else { return BTreeMap::new() };
        let prefix = &self.cluster.settings.prefix;
        let state = self.ledger.read();
        let row = |entry: &EntryKey| {
            let value = state.shares.value(entry);
            (prefix.entry(entry, &node.id), value.map(|value| keys::entry_value(node, value)))
        };
        entries.iter().map(row).collect()
    }

    /// Writes what differs from what is there.
    async fn bring(
        &mut self,
        session: &Session,
        wanted: BTreeMap<String, Option<Vec<u8>>>,
    ) -> Result<(), Error> {
        let differs =
            |(key, value): &(String, Option<Vec<u8>>)| self.written.get(key) != value.as_ref();
        let writes: Vec<Write> = wanted
            .into_iter()
            .filter(differs)
            .map(|(key, value)| match value {
                Some(value) => Write::Put(key, value),
                None => Write::Delete(key),
            })
            .collect();
        for batch in writes.chunks(BATCH) {
            // If it fails it may have happened or not: the next session looks.
            for write in batch {
                self.written.remove(write.key());
            }
            in_time(self.cluster.store.write(session, batch)).await?;
            for write in batch {
                if let Write::Put(key, value) = write {
                    self.written.insert(key.clone(), value.clone());
                }
            }
        }
        Ok(())
    }
}

// === impl Write ===

impl Write {
    fn key(&self) -> &str {
        match self {
            Self::Put(key, _) | Self::Delete(key) => key,
        }
    }
}
