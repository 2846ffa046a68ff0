use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use wasmnet_sdk::{Error, cluster::Standing};

/// A second, in nanoseconds.
pub const SECOND: u64 = 1_000_000_000;
/// How long a node may be missed until it is not there.
pub const LEASE: u64 = 15 * SECOND;

/// What the nodes share.
#[derive(Default)]
pub struct Agreed {
    pub rows: RefCell<BTreeMap<String, Vec<u8>>>,
    /// Time that does not jump.
    pub clock: Cell<u64>,
    /// When each node was last seen.
    seen: RefCell<BTreeMap<String, u64>>,
    /// What is done while somebody waits.
    pub meanwhile: RefCell<Option<Box<dyn Fn()>>>,
    last_term: Cell<u64>,
    /// Counts up whenever something is to be told.
    pub told: Cell<u64>,
}

/// One node's part.
#[derive(Default)]
pub struct Member {
    pub id: String,
    pub agreed: Rc<Agreed>,
    /// Whether the store can be reached.
    pub cut: Cell<bool>,
    /// After so many operations it cannot be reached for the rest of the call.
    pub cut_after: Cell<Option<u32>>,
    /// The next write seems to fail.
    pub unheard: Cell<bool>,
    /// None: not since it started.
    term: Cell<Option<u64>>,
    seen: Cell<u64>,
    /// Since when it watches the others.
    watching: Cell<u64>,
    pub wake: Cell<Option<u64>>,
    pub warnings: RefCell<Vec<String>>,
    /// Operations on the store.
    pub trips: Cell<u64>,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Member {
    /// A node that the others can see.
    pub fn new(id: &str, agreed: &Rc<Agreed>) -> Self {
        let member = Self { id: id.to_owned(), agreed: Rc::clone(agreed), ..Self::default() };
        member.start();
        member
    }

    /// Starts the daemon.
    pub fn start(&self) {
        self.term.set(None);
        self.wake.set(Some(0));
        self.watching.set(self.agreed.clock.get());
        self.renew();
    }

    /// Keeps the lease, or has a new one.
    pub fn renew(&self) {
        if self.cut.get() {
            // What it has seen of the others is not known any more.
            self.watching.set(u64::MAX);
            return;
        }
        let now = self.agreed.clock.get();
        if self.watching.get() == u64::MAX {
            self.watching.set(now);
            self.wake.set(Some(0));
        }
        if self.term.get().is_none() || self.is_gone() {
            self.agreed.last_term.set(self.agreed.last_term.get() + 1);
            self.term.set(Some(self.agreed.last_term.get()));
            self.wake.set(Some(0));
        }
        self.seen.set(now);
        self.agreed.seen.borrow_mut().insert(self.id.clone(), now);
    }

    /// For how long it is gone, as who always looks sees it.
    pub fn gone_for(&self) -> u64 {
        let seen = self.agreed.seen.borrow().get(&self.id).copied().unwrap_or_default();
        self.agreed.clock.get().saturating_sub(seen + LEASE)
    }

    fn is_gone(&self) -> bool {
        self.gone_for() > 0
    }

    /// Takes the faults of a call back.
    pub fn end_of_call(&self) {
        self.cut_after.set(None);
        self.unheard.set(false);
    }

    pub fn presence(&self) -> Result<Standing, Error> {
        let age = self.agreed.clock.get() - self.seen.get();
        self.term.get().map(|term| Standing { term, age }).ok_or_else(unreachable)
    }

    pub fn away(&self, node: &str) -> Result<Option<u64>, Error> {
        self.reach()?;
        let now = self.agreed.clock.get();
        let seen = self.agreed.seen.borrow().get(node).copied().unwrap_or_default();
        if now <= seen + LEASE || self.watching.get() == u64::MAX {
            return Ok(None);
        }
        Ok(Some(now - (seen + LEASE).max(self.watching.get())))
    }

    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        self.reach()?;
        Ok(self.agreed.rows.borrow().get(key).cloned())
    }

    pub fn keys(&self, prefix: &str) -> Result<Vec<String>, Error> {
        self.reach()?;
        let rows = self.agreed.rows.borrow();
        Ok(rows.keys().filter(|key| key.starts_with(prefix)).cloned().collect())
    }

    pub fn set(&self, key: &str, old: Option<&[u8]>, new: Option<&[u8]>) -> Result<bool, Error> {
        self.reach()?;
        assert!((1..=255).contains(&key.len()), "the host refuses key {key}");
        let mut rows = self.agreed.rows.borrow_mut();
        let done = rows.get(key).map(Vec::as_slice) == old;
        if done {
            match new {
                Some(new) => drop(rows.insert(key.to_owned(), new.to_vec())),
                None => drop(rows.remove(key)),
            }
            if key.starts_with("tell/") {
                self.agreed.told.set(self.agreed.told.get() + 1);
            }
        }
        if self.unheard.take() { Err(unreachable()) } else { Ok(done) }
    }

    pub fn wait(&self, key: &str, old: Option<&[u8]>) -> Result<Option<Vec<u8>>, Error> {
        let value = self.get(key)?;
        if value.as_deref() != old {
            return Ok(value);
        }
        if let Some(meanwhile) = &*self.agreed.meanwhile.borrow() {
            meanwhile();
        }
        self.get(key)
    }

    pub fn call_later(&self, after: u64) {
        let at = self.agreed.clock.get() + after;
        self.wake.set(Some(self.wake.get().map_or(at, |wake| wake.min(at))));
    }

    fn reach(&self) -> Result<(), Error> {
        self.trips.set(self.trips.get() + 1);
        match self.cut_after.get() {
            Some(0) => return Err(unreachable()),
            Some(left) => self.cut_after.set(Some(left - 1)),
            None => {}
        }
        if self.cut.get() { Err(unreachable()) } else { Ok(()) }
    }
}

fn unreachable() -> Error {
    Error::unavailable("the cluster store cannot be reached")
}
