//! A kernel on which operations fail, and on which the daemon dies.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use ipnet::IpNet;

use crate::{
    kernel::{
        Beside, Error, Event, FirewallBatch, FirewallDrift, FirewallEntry, Kernel, Object, Refusal,
        Snapshot, Undo, out_of_memory,
    },
    store::Store,
};

/// A kernel that does what another one does, until its fate is met.
pub(super) struct Mortal {
    kernel: Arc<dyn Kernel>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    operations: u64,
    fate: Option<(u64, Fate)>,
    met: bool,
    /// The daemon is dead: what it still tries to do does not happen.
    dead: bool,
    /// The store as it was when the daemon died.
    left: Option<Store>,
}

/// What becomes of an operation.
#[derive(Clone)]
pub(super) enum Fate {
    /// It fails, as if there were no memory.
    Fail,
    /// The daemon dies before it, and this is its store.
    Die(Arc<Store>),
}

// === impl Mortal ===

impl Mortal {
    pub(super) fn new(kernel: Arc<dyn Kernel>) -> Self {
        Self { kernel, state: Mutex::default() }
    }

    /// Decides over the nth operation from now (0: the next).
    pub(super) fn doom(&self, n: u64, fate: Fate) {
        let mut state = self.lock();
        state.fate = Some((state.operations + n, fate));
        state.met = false;
    }

    /// Nothing is decided any more; says whether that operation was reached.
    pub(super) fn spare(&self) -> bool {
        let mut state = self.lock();
        state.fate = None;
        state.met
    }

    /// The store that a dead daemon has left.
    pub(super) fn take_left(&self) -> Option<Store> {
        self.lock().left.take()
    }

    /// Counts an operation, and refuses it if that is its fate.
    fn count(&self) -> Result<(), Refusal> {
        let mut state = self.lock();
        let now = state.operations;
        state.operations += 1;
        let fate = state.fate.clone().filter(|(at, _)| *at == now);
        match fate {
            _ if state.dead => return Err(out_of_memory()),
            None => return Ok(()),
            Some((_, Fate::Fail)) => {}
            Some((_, Fate::Die(store))) => {
                state.dead = true;
                state.left = store.copy().ok();
            }
        }
        state.met = true;
        Err(out_of_memory())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Kernel for Mortal {
    async fn create(&self, object: &Object) -> Result<Undo, Error> {
        self.count().map_err(|refusal| Error::refused(object, refusal))?;
        self.kernel.create(object).await
    }

    async fn replace(&self, old: &Object, new: &Object) -> Result<Undo, Error> {
        self.count().map_err(|refusal| Error::refused(new, refusal))?;
        self.kernel.replace(old, new).await
    }

    async fn delete(&self, object: &Object) -> Result<(), Error> {
        self.count().map_err(|refusal| Error::refused(object, refusal))?;
        self.kernel.delete(object).await
    }

    async fn firewall(&self, batch: &FirewallBatch) -> Result<(), Error> {
        self.count().map_err(Error::Firewall)?;
        self.kernel.firewall(batch).await
    }

    async fn reset_firewall(&self, entries: &BTreeSet<FirewallEntry>) -> Result<(), Error> {
        self.kernel.reset_firewall(entries).await
    }

    async fn repair_firewall(&self) -> Result<Option<FirewallDrift>, Error> {
        self.kernel.repair_firewall().await
    }

    async fn tidy_firewall(&self) -> Result<(), Error> {
        self.kernel.tidy_firewall().await
    }

    async fn is_firewall_silent(&self) -> bool {
        self.kernel.is_firewall_silent().await
    }

    async fn ephemeral_ports(&self) -> Result<Vec<u16>, Error> {
        self.kernel.ephemeral_ports().await
    }

    async fn look(&self, beside: &Beside) -> Result<Snapshot, Error> {
        self.kernel.look(beside).await
    }

    async fn networks(&self) -> Result<BTreeSet<IpNet>, Error> {
        self.kernel.networks().await
    }

    async fn next_event(&self) -> Event {
        self.kernel.next_event().await
    }
}
