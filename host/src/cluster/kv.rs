//! A store in memory: rows, leases, and what has changed lately.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use super::{Change, Error, Lease, Listing, Row, Session, Write};

/// Changes that are remembered for who watches.
const REMEMBERED: usize = 4096;

/// Rows, leases and changes.
#[derive(Debug)]
pub(super) struct Kv {
    inner: Mutex<Inner>,
    /// Counts up with the revision, and whenever who watches has to look.
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    revision: u64,
    rows: BTreeMap<String, (Row, Option<Lease>)>,
    changes: VecDeque<(u64, Change)>,
    /// Changes up to this revision are forgotten.
    forgotten: u64,
    leases: BTreeMap<Lease, Granted>,
    last_lease: i64,
}

#[derive(Debug)]
struct Granted {
    time: Duration,
    until: Instant,
    /// What goes with it.
    keys: BTreeSet<String>,
}

// === impl Kv ===

impl Default for Kv {
    fn default() -> Self {
        Self { inner: Mutex::default(), changed: watch::Sender::new(0) }
    }
}

impl Kv {
    /// A value.
    pub(super) fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.lock().rows.get(key).map(|(row, _)| row.value.clone())
    }

    /// The rows whose keys begin with `prefix`.
    pub(super) fn list(&self, prefix: &str) -> Listing {
        let inner = self.lock();
        let from = inner.rows.range(prefix.to_owned()..);
        let rows = from.take_while(|(key, _)| key.starts_with(prefix));
        let rows = rows.map(|(_, (row, _))| row.clone()).collect();
        Listing { revision: inner.revision, rows }
    }

    /// Writes `new` if the value is `old`.
    pub(super) fn compare_and_set(
        &self,
        session: &Session,
        key: &str,
        old: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<bool, Error> {
        let mut inner = self.lock();
        inner.check(session)?;
        let is = inner.rows.get(key).map(|(row, _)| row.value.as_slice());
        if is != old {
            return Ok(false);
        }
        inner.begin();
        match new {
            Some(new) => inner.put(key, new, None),
            None => inner.delete(key),
        }
        self.tell(inner);
        Ok(true)
    }

    /// A lease.
    pub(super) fn grant(&self, time: Duration) -> Lease {
        let mut inner = self.lock();
        inner.last_lease += 1;
        let lease = Lease(inner.last_lease);
        let granted = Granted { time, until: Instant::now() + time, keys: BTreeSet::new() };
        inner.leases.insert(lease, granted);
        lease
    }

    /// Keeps a lease alive; false: it has ended.
    pub(super) fn keep_alive(&self, lease: Lease) -> bool {
        let mut inner = self.lock();
        let granted = inner.leases.get_mut(&lease);
        granted.is_some_and(|granted| {
            granted.until = Instant::now() + granted.time;
            true
        })
    }

    /// The lease that a key goes with.
    pub(super) fn lease_of(&self, key: &str) -> Option<Lease> {
        self.lock().rows.get(key).and_then(|(_, lease)| *lease)
    }

    /// The keys that go with a lease.
    pub(super) fn keys_of(&self, lease: Lease) -> Vec<String> {
        let inner = self.lock();
        inner.leases.get(&lease).map_or_else(Vec::new, |of| of.keys.iter().cloned().collect())
    }

    /// Begins a session, and ends its node's others.
    pub(super) fn open(&self, session: &Session) -> Result<(), Error> {
        let mut inner = self.lock();
        if !inner.leases.contains_key(&session.lease) {
            return Err(Error::NoLease);
        }
        inner.begin();
        let from = inner.rows.range(session.prefix.clone()..).map(|(key, _)| key);
        let others = from.take_while(|key| key.starts_with(&session.prefix));
        let others: Vec<String> = others.cloned().collect();
        others.iter().for_each(|key| inner.delete(key));
        inner.put(&session.key, b"", Some(session.lease));
        self.tell(inner);
        Ok(())
    }

    /// Writes all or nothing.
    pub(super) fn write(&self, session: &Session, writes: &[Write]) -> Result<(), Error> {
        let mut inner = self.lock();
        inner.check(session)?;
        inner.begin();
        for write in writes {
            match write {
                Write::Put(key, value) => inner.put(key, value, Some(session.lease)),
                Write::Delete(key) => inner.delete(key),
            }
        }
        self.tell(inner);
        Ok(())
    }

    /// Puts what there was before without anybody hearing of it.
    pub(super) fn load(&self, rows: impl IntoIterator<Item = (String, Vec<u8>)>) {
        let mut inner = self.lock();
        inner.begin();
        rows.into_iter().for_each(|(key, value)| inner.put(&key, &value, None));
        self.tell(inner);
    }

    /// Ends the leases whose time is over.
    pub(super) fn expire(&self) {
        let mut inner = self.lock();
        let now = Instant::now();
        let over = |(lease, granted): (&Lease, &Granted)| (granted.until <= now).then_some(*lease);
        let over: Vec<Lease> = inner.leases.iter().filter_map(over).collect();
        if over.is_empty() {
            return;
        }
        inner.begin();
        for lease in over {
            let keys = inner.leases.remove(&lease).map(|granted| granted.keys);
            keys.iter().flatten().for_each(|key| inner.delete(key));
        }
        self.tell(inner);
    }

    /// Forgets what has changed so far.
    pub(super) fn compact(&self) {
        let mut inner = self.lock();
        inner.forgotten = inner.revision;
        inner.changes.clear();
    }

    /// Has who watches look again.
    pub(super) fn wake(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// What wakes who watches.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Changes among keys that begin with `prefix`, and the revision to go on from.
    pub(super) fn changes(&self, prefix: &str, from: u64) -> Result<(Vec<Change>, u64), Error> {
        let inner = self.lock();
        if from <= inner.forgotten {
            return Err(Error::Compacted);
        }
        // Most of who watch have seen all but the last.
        let first = inner.changes.partition_point(|(revision, _)| *revision < from);
        let new =
            inner.changes.range(first..).filter(|(_, change)| change.key().starts_with(prefix));
        Ok((new.map(|(_, change)| change.clone()).collect(), inner.revision + 1))
    }

    fn tell(&self, inner: MutexGuard<'_, Inner>) {
        drop(inner);
        self.wake();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Inner ===

impl Inner {
    fn begin(&mut self) {
        self.revision += 1;
    }

    /// Whether the session lasts.
    fn check(&self, session: &Session) -> Result<(), Error> {
        if self.rows.contains_key(&session.key) { Ok(()) } else { Err(Error::Superseded) }
    }

    fn put(&mut self, key: &str, value: &[u8], lease: Option<Lease>) {
        let row = Row { key: key.to_owned(), value: value.to_vec(), revision: self.revision };
        let before = self.rows.insert(key.to_owned(), (row.clone(), lease));
        self.untie(key, before.and_then(|(_, lease)| lease));
        if let Some(granted) = lease.and_then(|lease| self.leases.get_mut(&lease)) {
            granted.keys.insert(key.to_owned());
        }
        self.remember(Change::Put(row));
    }

    fn delete(&mut self, key: &str) {
        if let Some((_, lease)) = self.rows.remove(key) {
            self.untie(key, lease);
            self.remember(Change::Deleted(key.to_owned()));
        }
    }

    /// A key goes with this lease no longer.
    fn untie(&mut self, key: &str, lease: Option<Lease>) {
        if let Some(granted) = lease.and_then(|lease| self.leases.get_mut(&lease)) {
            granted.keys.remove(key);
        }
    }

    fn remember(&mut self, change: Change) {
        self.changes.push_back((self.revision, change));
        while self.changes.len() > REMEMBERED {
            if let Some((revision, _)) = self.changes.pop_front() {
                self.forgotten = revision;
            }
        }
    }
}

// === impl Change ===

impl Change {
    fn key(&self) -> &str {
        match self {
            Self::Put(row) => &row.key,
            Self::Deleted(key) => key,
        }
    }
}
