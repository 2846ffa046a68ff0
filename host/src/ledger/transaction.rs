//! One driver call: its kernel operations and store writes, all or nothing.
//!
//! * What a call *makes or changes* happens at once, so that the driver sees the
//!   kernel's refusals; each step leaves its inverse behind.
//! * What it *deletes* happens after the commit (see the ledger's header), so an
//!   undo never has to bring a deleted thing back to life.
//! * Firewall entries are gathered and go to the kernel as one batch in the commit.
//!
//! A call can be abandoned at any await (deadline, trap). Steps therefore run as
//! tasks of their own that always finish and leave their inverse, and whoever
//! rolls back waits for the step under way first. After that nothing more is let in.

mod error;
mod links;
mod objects;
mod outside;
mod parents;
mod permit;
mod ports;
mod shared;
mod store;
mod waiting;

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use tokio::sync::{Mutex, OwnedMutexGuard};

use self::waiting::Waited;
pub use self::{
    error::TxError,
    links::{NewLink, NewLinkKind},
    permit::{Caller, Limits},
    ports::NewPort,
    store::Keys,
};
use super::{Changes, Claim, EndpointKey, EndpointRecord, Entry, Ledger, NetworkRecord, Scope};
use crate::{
    cluster::Cluster,
    events::Bus,
    grants::Authority,
    id::{DriverName, NetworkId},
    kernel::{self, FirewallBatch, Kernel, Link, LinkName, Object, ObjectKey, Sysctl, Undo},
    store::Lasting,
};

/// How long a call waits for an object in the way of a new one to be gone.
const REAP_PATIENCE: Duration = Duration::from_secs(2);

/// One driver call.
#[derive(Clone)]
pub struct Transaction {
    shared: Arc<Shared>,
    inner: Arc<Mutex<Inner>>,
}

struct Shared {
    kernel: Arc<dyn Kernel>,
    ledger: Arc<Ledger>,
    driver: DriverName,
    /// What the call's objects belong to; none for calls about no network.
    scope: Option<Scope>,
    limits: Limits,
    authority: Authority,
    events: Option<Arc<Bus>>,
    cluster: Option<Arc<Cluster>>,
    /// Nothing that it does is to count.
    rehearsed: bool,
    /// Where steps run: the host's threads, not those that guests may keep busy.
    threads: tokio::runtime::Handle,
    /// How long the driver has waited for steps.
    waited: Arc<Waited>,
}

#[derive(Default)]
struct Inner {
    /// Committed or rolled back: nothing more is let in.
    closed: bool,
    done: Vec<Undo>,
    changes: Changes,
    firewall: FirewallBatch,
    operations: u32,
    links: u32,
    /// Keys that no other call may take meanwhile.
    claims: Vec<Claim>,
    /// While it is there, no other call takes what the driver's networks share.
    sharing: Option<OwnedMutexGuard<()>>,
}

// === impl Transaction ===

impl Transaction {
    /// Begins a call. Its steps run on the threads of the runtime that this is called in.
    pub fn begin(kernel: Arc<dyn Kernel>, ledger: Arc<Ledger>, caller: Caller) -> Self {
        let Caller { driver, scope, limits, authority, events, cluster, rehearsed } = caller;
        Self {
            shared: Arc::new(Shared {
                kernel,
                ledger,
                driver,
                scope,
                limits,
                authority,
                events,
                cluster,
                rehearsed,
                threads: tokio::runtime::Handle::current(),
                waited: Arc::default(),
            }),
            inner: Arc::default(),
        }
    }

    /// Records a network, or with none that it is gone.
    pub async fn set_network(&self, id: NetworkId, record: Option<NetworkRecord>) {
        self.inner.lock().await.changes.networks.insert(id, record);
    }

    /// Records an endpoint, or with none that it is gone.
    pub async fn set_endpoint(&self, key: EndpointKey, record: Option<EndpointRecord>) {
        self.inner.lock().await.changes.endpoints.insert(key, record);
    }

    /// How long the driver has waited for its steps so far: the host's part of its call.
    pub fn time_in_steps(&self) -> Duration {
        self.shared.waited.time()
    }

    /// What the call has changed so far.
    pub async fn changes(&self) -> Changes {
        self.inner.lock().await.changes.clone()
    }

    /// Deletes everything that is left in a scope: objects, keys, and what is published.
    pub async fn sweep(&self, scope: &Scope) {
        let mut inner = self.inner.lock().await;
        let state = self.shared.ledger.read();
        let mut left: Vec<ObjectKey> =
            state.objects.in_scope(scope).map(|(key, _)| key.clone()).collect();
        left.extend(inner.changes.objects.keys().cloned());
        // Links first: what stands on a link goes with it.
        left.sort_by_key(|key| !key.is_link());
        for key in left {
            let in_scope =
                inner.entry(&state, &key).is_some_and(|entry| scope.contains(&entry.scope));
            if in_scope {
                inner.delete(&state, &key);
            }
        }
        inner.delete_keys_of(&state, scope);
        inner.withdraw_all_of(&state, scope);
    }

    /// Gives up the published ports that are left in a scope.
    pub async fn sweep_ports(&self, scope: &Scope) {
        let mut inner = self.inner.lock().await;
        let state = self.shared.ledger.read();
        let ports: Vec<ObjectKey> = state
            .objects
            .in_scope(scope)
            .filter(|(_, entry)| matches!(entry.object, Object::Port(_)))
            .map(|(key, _)| key.clone())
            .collect();
        for key in ports {
            inner.delete(&state, &key);
        }
    }

    /// Makes everything the call did durable. On an error everything is taken back.
    ///
    /// With [`Lasting::Relaxed`] what has changed nothing except the record of an endpoint
    /// may be forgotten in a crash. For records whose loss does no harm: the write to the
    /// disk is the larger part of such a call.
    pub async fn commit_as(&self, lasting: Lasting) -> Result<(), TxError> {
        let this = self.clone();
        self.shared.detached(async move { this.commit_now(lasting).await }).await
    }

    /// Takes everything back that the call did to the kernel, and waits for it.
    pub async fn roll_back(&self) {
        let this = self.clone();
        let rolled_back = self.shared.detached(async move {
            let mut inner = this.inner.lock().await;
            this.shared.undo(&mut inner).await;
            Ok(())
        });
        if let Err(error) = rolled_back.await {
            tracing::error!(error = %crate::error::chain(&error), "roll-back failed");
        }
    }

    async fn commit_now(&self, lasting: Lasting) -> Result<(), TxError> {
        let shared = &self.shared;
        let mut inner = self.inner.lock().await;
        if inner.closed {
            return Err(TxError::Closed);
        }
        if inner.firewall != FirewallBatch::default() {
            let batch = std::mem::take(&mut inner.firewall);
            if let Err(error) = shared.kernel.firewall(&batch).await {
                shared.undo(&mut inner).await;
                return Err(TxError::Kernel(error));
            }
            inner.firewall = batch;
        }
        // Closed by now or after a failure: nobody looks at them again.
        let changes = std::mem::take(&mut inner.changes);
        let lasting = if changes.is_record_only() { lasting } else { Lasting::Durable };
        // Addresses and routes that go, go at once: they must not be in the way of the next
        // network on the subnet, nor lead to nobody.
        let ways: Vec<Object> = {
            let state = shared.ledger.read();
            let goes = |row: &Option<Entry>| row.as_ref().is_none_or(|entry| entry.doomed);
            let gone = changes.objects.iter().filter(|(_, row)| goes(row));
            gone.filter_map(|(key, _)| state.objects.get(key))
                .map(|entry| entry.object.clone())
                .filter(|object| matches!(object, Object::Address(_) | Object::Route(_)))
                .collect()
        };
        let dooms = changes.objects.values().flatten().any(|entry| entry.doomed);
        if let Err(error) = shared.ledger.commit(changes, lasting).await {
            let FirewallBatch { add, remove } = std::mem::take(&mut inner.firewall);
            let back = FirewallBatch { add: remove, remove: add };
            if let Err(error) = shared.kernel.firewall(&back).await {
                tracing::error!(error = %crate::error::chain(&error), "cannot take firewall entries back");
            }
            shared.undo(&mut inner).await;
            return Err(TxError::Ledger(error));
        }
        inner.closed = true;
        inner.sharing = None;
        drop(inner);
        if dooms {
            // The kernel takes its time to delete a link (an RCU grace period, some 20 to
            // 50 ms). The ledger knows what is to be done, so nobody has to wait for it.
            let (ledger, kernel) = (Arc::clone(&shared.ledger), Arc::clone(&shared.kernel));
            for way in ways {
                if let Err(error) = kernel.delete(&way).await {
                    tracing::debug!(error = %crate::error::chain(&error), "it goes with its link");
                }
            }
            shared.threads.spawn(async move { ledger.reap(&*kernel, None).await });
        }
        Ok(())
    }

    /// Runs one step to its end, whatever becomes of the caller.
    async fn step<T: Send + 'static>(
        &self,
        step: impl FnOnce(Arc<Shared>, OwnedMutexGuard<Inner>) -> BoxFuture<'static, Result<T, TxError>>
        + Send
        + 'static,
    ) -> Result<T, TxError> {
        let (shared, inner) = (Arc::clone(&self.shared), Arc::clone(&self.inner));
        let _waiting = self.shared.waited.begin();
        self.shared
            .detached(async move {
                let inner = inner.lock_owned().await;
                if inner.closed {
                    return Err(TxError::Closed);
                }
                step(shared, inner).await
            })
            .await
    }
}

// === impl Shared ===

impl Shared {
    /// Runs a future as a task of its own: it finishes even if the caller is dropped.
    async fn detached<T: Send + 'static>(
        &self,
        future: impl Future<Output = Result<T, TxError>> + Send + 'static,
    ) -> Result<T, TxError> {
        self.threads.spawn(future).await.map_err(TxError::Panicked)?
    }

    fn scope(&self) -> Result<&Scope, TxError> {
        self.scope.as_ref().ok_or(TxError::NoScope)
    }

    /// Takes back what was done, closes the transaction, and dooms what the
    /// kernel would not take back.
    async fn undo(&self, inner: &mut Inner) {
        inner.closed = true;
        let done = std::mem::take(&mut inner.done);
        let left = kernel::undo(&*self.kernel, done).await;
        let mut changes = Changes::default();
        for (step, error) in left {
            tracing::error!(?step, error = %crate::error::chain(&error), "cannot undo; will try again");
            if let (Undo::Delete(object), Some(scope)) = (step, &self.scope) {
                let entry = Entry {
                    sequence: self.ledger.next_sequence(),
                    scope: scope.clone(),
                    label: None,
                    object,
                    doomed: true,
                };
                changes.objects.insert(entry.object.key(), Some(entry));
            }
        }
        if let Err(error) = self.ledger.commit(changes, Lasting::Durable).await {
            tracing::error!(error = %crate::error::chain(&error), "cannot record what is left to undo");
        }
        inner.sharing = None;
    }

    /// Makes an object and notes it.
    async fn create(
        &self,
        inner: &mut Inner,
        object: Object,
        label: Option<String>,
    ) -> Result<(), TxError> {
        let scope = self.scope()?.clone();
        let key = object.key();
        // One in its way may be on its way out; if it does not go, the kernel will say so.
        let _ = tokio::time::timeout(REAP_PATIENCE, self.ledger.until_reaped(&object)).await;
        let stays = {
            let state = self.ledger.read();
            let row = inner.entry(&state, &ObjectKey::link(object.link()));
            row.is_some_and(is_adopted)
        };
        let before = {
            let state = self.ledger.read();
            let before = inner.entry(&state, &key).map(|entry| entry.object.clone());
            before.filter(Object::is_replaceable)
        };
        let made = match &before {
            Some(before) => self.kernel.replace(before, &object).await,
            None => self.kernel.create(&object).await,
        };
        let undo = match made {
            // Somebody gave the bridge this address before it was ours.
            Err(error) if stays && error.is_exists() && matches!(object, Object::Address(_)) => {
                return Ok(());
            }
            undo => undo.map_err(TxError::Kernel)?,
        };
        let object = match (object, &undo) {
            (Object::Sysctl(new), Undo::Replace(Object::Sysctl(old), _)) if stays => {
                Object::Sysctl(Sysctl { before: Some(old.value.clone()), ..new })
            }
            (object, _) => object,
        };
        inner.done.push(undo);
        if let Some(rule) = object.firewall_entry()
            && !inner.firewall.remove.remove(&rule)
        {
            inner.firewall.add.insert(rule);
        }
        let entry =
            Entry { sequence: self.ledger.next_sequence(), scope, label, object, doomed: false };
        inner.changes.objects.insert(key, Some(entry));
        Ok(())
    }
}

fn is_adopted(entry: &Entry) -> bool {
    matches!(entry.object, Object::Link(Link { adopted: true, .. }))
}

// === impl Inner ===

impl Inner {
    /// An object as this transaction sees it: its own changes over the ledger.
    fn entry<'a>(&'a self, state: &'a super::State, key: &ObjectKey) -> Option<&'a Entry> {
        match self.changes.objects.get(key) {
            Some(changed) => changed.as_ref(),
            None => state.objects.get(key),
        }
        .filter(|entry| !entry.doomed)
    }

    /// Whether a link was there before and will be afterwards, so that what is put on it
    /// has to be taken off again.
    fn link_stays(&self, state: &super::State, link: &LinkName) -> bool {
        let key = ObjectKey::link(link);
        let row = match self.changes.objects.get(&key) {
            Some(changed) => changed.as_ref(),
            None => state.objects.get(&key),
        };
        row.is_some_and(|entry| !entry.doomed || is_adopted(entry))
    }

    /// Marks an object as deleted: it goes from the kernel after the commit.
    fn delete(&mut self, state: &super::State, key: &ObjectKey) {
        let Some(entry) = self.entry(state, key).cloned() else { return };
        if let Some(rule) = entry.object.firewall_entry()
            && !self.firewall.add.remove(&rule)
        {
            self.firewall.remove.insert(rule);
        }
        if matches!(entry.object, Object::Firewall(_)) {
            self.changes.objects.insert(key.clone(), None);
            return;
        }
        let row = if entry.object.goes_with_link() && !self.link_stays(state, entry.object.link()) {
            None
        } else {
            Some(Entry { doomed: true, ..entry })
        };
        self.changes.objects.insert(key.clone(), row);
    }
}
