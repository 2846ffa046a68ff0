//! Several nodes in one process, with the faults that a real store has: for tests and
//! simulations.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;

use super::{Change, Error, Lease, Listing, Session, Store, Watch, Write, kv::Kv};

/// One node's way to a store that several share.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    kv: Arc<Kv>,
    faults: Arc<Faults>,
}

#[derive(Default)]
struct Faults {
    unreachable: AtomicBool,
    /// Writes that happen although nobody hears of it.
    unheard: AtomicU64,
    /// How many more are held up.
    hold: AtomicU64,
    /// Those that are.
    held: Mutex<Vec<Held>>,
    /// Watches that began before this was counted up are lost.
    watches: AtomicU64,
}

/// A write that is held up, as what is to be done.
type Held = Box<dyn Fn(&Kv) + Send>;

struct MemoryWatch {
    of: Memory,
    prefix: String,
    next: u64,
    began: u64,
    changed: tokio::sync::watch::Receiver<u64>,
}

// === impl Memory ===

impl Memory {
    /// Another node's way to the same store.
    pub fn another(&self) -> Self {
        Self { kv: Arc::clone(&self.kv), faults: Arc::default() }
    }

    /// Cuts this node off from the store, or lets it back.
    pub fn set_reachable(&self, reachable: bool) {
        self.faults.unreachable.store(!reachable, Ordering::SeqCst);
        if !reachable {
            self.lose_watches();
        }
    }

    /// Ends all watches of this node.
    pub fn lose_watches(&self) {
        self.faults.watches.fetch_add(1, Ordering::SeqCst);
        self.kv.wake();
    }

    /// The next so many writes of this node are done but seem to fail.
    pub fn lose_answers(&self, writes: u64) {
        self.faults.unheard.store(writes, Ordering::SeqCst);
    }

    /// The next so many writes of this node get no answer, and are done only when they are
    /// let go: so does a member that is frozen.
    pub fn hold_writes(&self, writes: u64) {
        self.faults.hold.store(writes, Ordering::SeqCst);
    }

    /// How many are held up.
    pub fn held_writes(&self) -> usize {
        self.held().len()
    }

    /// Does what was held up, if the store still does it.
    pub fn let_writes_go(&self) {
        let held = std::mem::take(&mut *self.held());
        held.iter().for_each(|write| write(&self.kv));
    }

    /// Makes the store forget what has changed.
    pub fn compact(&self) {
        self.kv.compact();
    }

    /// Ends the leases whose time is over.
    pub fn expire(&self) {
        self.kv.expire();
    }

    /// Puts what there was before.
    pub(super) fn load(&self, rows: impl IntoIterator<Item = (String, Vec<u8>)>) {
        self.kv.load(rows);
    }

    fn reach(&self) -> Result<&Kv, Error> {
        if self.faults.unreachable.load(Ordering::SeqCst) {
            return Err(Error::Unreachable("it was cut off".to_owned()));
        }
        Ok(&self.kv)
    }

    /// Writes something, if nothing is in the way.
    fn do_write<T>(
        &self,
        write: impl Fn(&Kv) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let kv = self.reach()?;
        if one_less(&self.faults.hold) {
            // Nobody is there any more then to hear of it.
            self.held().push(Box::new(move |kv| drop(write(kv))));
            return Err(Error::Unknown);
        }
        let answer = write(kv)?;
        if one_less(&self.faults.unheard) { Err(Error::Unknown) } else { Ok(answer) }
    }

    fn held(&self) -> MutexGuard<'_, Vec<Held>> {
        self.faults.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").field("unreachable", &self.unreachable).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for Memory {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn endpoints(&self) -> Vec<String> {
        Vec::new()
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.reach()?.get(key))
    }

    async fn list(&self, prefix: &str, _keys_only: bool) -> Result<Listing, Error> {
        Ok(self.reach()?.list(prefix))
    }

    async fn compare_and_set(
        &self,
        session: &Session,
        key: &str,
        old: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<bool, Error> {
        let (session, key) = (session.clone(), key.to_owned());
        let (old, new) = (old.map(<[u8]>::to_vec), new.map(<[u8]>::to_vec));
        self.do_write(move |kv| kv.compare_and_set(&session, &key, old.as_deref(), new.as_deref()))
    }

    async fn grant(&self, time: Duration) -> Result<Lease, Error> {
        Ok(self.reach()?.grant(time))
    }

    async fn keep_alive(&self, lease: Lease) -> Result<bool, Error> {
        Ok(self.reach()?.keep_alive(lease))
    }

    async fn lease_of(&self, key: &str) -> Result<Option<Lease>, Error> {
        Ok(self.reach()?.lease_of(key))
    }

    async fn keys_of(&self, lease: Lease) -> Result<Vec<String>, Error> {
        Ok(self.reach()?.keys_of(lease))
    }

    async fn begin(&self, session: &Session) -> Result<(), Error> {
        self.reach()?.open(session)
    }

    async fn write(&self, session: &Session, writes: &[Write]) -> Result<(), Error> {
        let (session, writes) = (session.clone(), writes.to_vec());
        self.do_write(move |kv| kv.write(&session, &writes))
    }

    async fn watch(&self, prefix: &str, from: u64) -> Result<Box<dyn Watch>, Error> {
        let changed = self.reach()?.subscribe();
        let began = self.faults.watches.load(Ordering::SeqCst);
        let (of, prefix) = (self.clone(), prefix.to_owned());
        Ok(Box::new(MemoryWatch { of, prefix, next: from, began, changed }))
    }
}

/// Counts down; false: there is nothing left.
fn one_less(count: &AtomicU64) -> bool {
    let less = |left: u64| left.checked_sub(1);
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
}

// === impl MemoryWatch ===

#[async_trait]
impl Watch for MemoryWatch {
    async fn next(&mut self) -> Result<Vec<Change>, Error> {
        loop {
            self.changed.mark_unchanged();
            if self.of.faults.watches.load(Ordering::SeqCst) != self.began {
                return Err(Error::Unreachable("the watch was lost".to_owned()));
            }
            let (changes, next) = self.of.reach()?.changes(&self.prefix, self.next)?;
            self.next = next;
            if !changes.is_empty() {
                return Ok(changes);
            }
            // The sender lives as long as `self`.
            let _ = self.changed.changed().await;
        }
    }
}
