//! The ledger: the durable record of every network, endpoint, kernel object and
//! driver key, by the scope it belongs to.
//!
//! The invariant it owns: *what is in the kernel and ours is in the ledger*, but
//! for the objects of the calls under way. Those belong to a [`Transaction`],
//! which brings the ledger up to date when it commits, in one durable write, and
//! takes everything back when it does not.
//!
//! Deleting takes two steps. An object is first *doomed*, in the same durable
//! write in which the network or endpoint goes; then it is deleted from the kernel
//! and forgotten. So a crash in between, or a kernel that refuses for a while,
//! leaves a row that says what is still to be deleted.
//!
//! All of it is also held in memory: a host has thousands of objects, not millions.

mod changes;
mod flusher;
mod keys;
mod load;
mod object_rows;
mod objects;
mod record;
mod shared;
mod state;
mod transaction;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use tokio::sync::{Notify, OwnedMutexGuard, watch};

use self::flusher::Flusher;
pub use self::{
    changes::Changes,
    keys::{KeyScope, StoreKey},
    objects::Objects,
    record::{ALIAS_PREFIX, EndpointKey, EndpointRecord, Entry, Joined, NetworkRecord, Scope},
    shared::{EntryKey, FollowedKey, Group, Published, PublishedKey, Shares},
    state::State,
    transaction::{Caller, Keys, Limits, NewLink, NewLinkKind, NewPort, Transaction, TxError},
};
use crate::{
    id::{DriverName, NetworkId, NodeId},
    kernel::{Kernel, Object, ObjectKey},
    store::{self, Batch, Lasting, Store, Table},
};

/// The ledger of one host.
#[derive(Debug)]
pub struct Ledger {
    store: Arc<Store>,
    state: RwLock<State>,
    /// Rung whenever a doomed object has been forgotten.
    reaped: Notify,
    /// Held by whoever deletes doomed objects: one at a time, or the slower would delete
    /// what was made anew under the same name behind the faster.
    reaping: tokio::sync::Mutex<()>,
    /// For each driver, held by a call that takes something which its networks share, until it
    /// is over, and by whoever deletes such a thing: nobody may take it in between.
    sharing: Mutex<BTreeMap<DriverName, Arc<tokio::sync::Mutex<()>>>>,
    /// Keys that calls under way want, and that the kernel would give to two.
    claims: Arc<Mutex<BTreeSet<ObjectKey>>>,
    /// Counts up when something is published or followed, or no longer.
    shared: watch::Sender<u64>,
    /// What has been published, or no longer, and not been asked for.
    touched: Mutex<BTreeSet<EntryKey>>,
    flusher: Flusher,
}

/// A key that no other call can take while this lives.
#[derive(Debug)]
pub struct Claim {
    claims: Arc<Mutex<BTreeSet<ObjectKey>>>,
    key: ObjectKey,
}

/// Why the ledger does not work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store does not.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A row cannot be understood.
    #[error("the state has a row that cannot be read: {table:?} {key}")]
    Row {
        /// Its table.
        table: Table,
        /// Its key.
        key: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A row cannot be written.
    #[error("cannot encode a row")]
    Encode(#[source] serde_json::Error),
    /// The kernel has no randomness.
    #[error("cannot make an id for this node")]
    NodeId(#[source] std::io::Error),
    /// The thread that writes has died.
    #[error("the state could not be written: its thread has died")]
    Writer(#[source] tokio::task::JoinError),
}

// === impl Ledger ===

impl Ledger {
    /// Reads everything in a store.
    pub fn open(store: impl Into<Arc<Store>>) -> Result<Self, Error> {
        let store = store.into();
        // What a ledger before this one may have left.
        store.flush()?;
        if store.is_outdated()? {
            store.upgrade(object_rows::upgrade(store.rows(Table::Objects)?)?)?;
        }
        let mut state = load::load(&store)?;
        if state.node_id.is_none() {
            let id = NodeId::random().map_err(Error::NodeId)?;
            let row = ((Table::Meta, load::NODE_ID.into()), Some(id.as_str().into()));
            store.write(&Batch::from([row]), Lasting::Durable)?;
            state.node_id = Some(id);
        }
        Ok(Self {
            store,
            state: RwLock::new(state),
            reaped: Notify::new(),
            reaping: tokio::sync::Mutex::default(),
            sharing: Mutex::default(),
            claims: Arc::default(),
            shared: watch::Sender::new(0),
            touched: Mutex::default(),
            flusher: Flusher::default(),
        })
    }

    /// Where it is kept.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// This node's id: made once, and kept with the state.
    pub fn node_id(&self) -> Option<NodeId> {
        self.read().node_id.clone()
    }

    /// Changes whenever something is published or followed, or no longer.
    pub fn shared(&self) -> watch::Receiver<u64> {
        self.shared.subscribe()
    }

    /// The entries that have been published, or no longer, since this was asked last.
    pub fn take_touched(&self) -> BTreeSet<EntryKey> {
        std::mem::take(&mut *self.touched.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the ledger holds now. Do not keep the guard across an await.
    pub fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes changes: to the store first, then to memory.
    pub async fn commit(&self, changes: Changes, lasting: Lasting) -> Result<(), Error> {
        let batch = changes.to_batch(&self.read().objects)?;
        if batch.is_empty() {
            // A call that only asked, say: no thread has to be woken for it.
            return Ok(());
        }
        match lasting {
            Lasting::Durable => {
                let store = Arc::clone(&self.store);
                let written = tokio::task::spawn_blocking(move || store.write(&batch, lasting));
                written.await.map_err(Error::Writer)??;
            }
            Lasting::Relaxed => {
                self.store.write(&batch, lasting)?;
                self.flusher.wake(&self.store);
            }
        }
        let touched: Vec<_> = changes.published.keys().map(|key| key.entry.clone()).collect();
        let shares = !touched.is_empty() || !changes.followed.is_empty();
        self.write().apply(changes);
        if shares {
            // After the rows, or whoever takes them could find the old ones.
            self.touched.lock().unwrap_or_else(PoisonError::into_inner).extend(touched);
            self.shared.send_modify(|count| *count += 1);
        }
        Ok(())
    }

    /// Deletes doomed objects from the kernel and forgets them; all of them, or
    /// those of one network. What the kernel refuses stays doomed for the next time.
    pub async fn reap(&self, kernel: &dyn Kernel, network: Option<&NetworkId>) {
        let of_network =
            |entry: &Entry| network.is_none_or(|network| entry.scope.network == *network);
        let is_shared = |entry: &Entry| matches!(entry.object, Object::Shared(_));
        {
            let _alone = self.reaping.lock().await;
            let mut doomed = self.read().objects.doomed();
            doomed.retain(|(_, entry)| of_network(entry) && !is_shared(entry));
            self.reap_these(kernel, doomed).await;
        }
        let shared = |(_, entry): &(ObjectKey, Entry)| of_network(entry) && is_shared(entry);
        let drivers: BTreeSet<DriverName> = {
            let doomed = self.read().objects.doomed();
            doomed.into_iter().filter(shared).map(|(_, entry)| entry.scope.driver).collect()
        };
        for driver in drivers {
            let _nobody_takes_one = self.share(&driver).await;
            let mut doomed = self.read().objects.doomed();
            doomed.retain(|row| shared(row) && row.1.scope.driver == driver);
            self.reap_these(kernel, doomed).await;
        }
    }

    async fn reap_these(&self, kernel: &dyn Kernel, doomed: Vec<(ObjectKey, Entry)>) {
        if doomed.is_empty() {
            return;
        }
        // Nothing of a network is left when its last object is forgotten.
        if let Err(error) = kernel.tidy_firewall().await {
            tracing::warn!(error = %crate::error::chain(&error), "cannot take the firewall away; will try again");
        }
        let mut forgotten = Changes::default();
        for (key, entry) in doomed {
            let link = entry.object.link();
            let is_shared = matches!(entry.object, Object::Shared(_));
            if is_shared && self.read().objects.sharing(link).next().is_some() {
                // Others still have it.
                forgotten.objects.insert(key, None);
                continue;
            }
            match kernel.delete(&entry.object).await {
                Ok(()) => drop(forgotten.objects.insert(key, None)),
                Err(error) => {
                    tracing::warn!(object = %key, error = %crate::error::chain(&error), "cannot delete; will try again");
                }
            }
        }
        if let Err(error) = self.commit(forgotten, Lasting::Relaxed).await {
            tracing::warn!(error = %crate::error::chain(&error), "cannot forget deleted objects; will try again");
        }
        self.reaped.notify_waiters();
    }

    /// Waits while something is doomed but not yet gone that is in an object's way.
    pub async fn until_reaped(&self, object: &Object) {
        loop {
            let reaped = self.reaped.notified();
            if !self.read().objects.is_obstructed(object) {
                return;
            }
            reaped.await;
        }
    }

    /// Takes a key for one call; none if there is an object of it, or another call has it.
    fn claim(&self, key: ObjectKey) -> Option<Claim> {
        // Seen under the lock: who commits drops the claim afterwards.
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        let standing = self.read().objects.get(&key).is_some_and(|entry| !entry.doomed);
        let free = !standing && claims.insert(key.clone());
        free.then(|| Claim { claims: Arc::clone(&self.claims), key })
    }

    /// Until the guard is dropped, nobody else takes what a driver's networks share, and none
    /// of it is deleted.
    async fn share(&self, driver: &DriverName) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.sharing.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(locks.entry(driver.clone()).or_default())
        };
        lock.lock_owned().await
    }

    /// A number greater than that of any object so far.
    fn next_sequence(&self) -> u64 {
        let mut state = self.write();
        state.next_sequence += 1;
        state.next_sequence
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Claim ===

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}
