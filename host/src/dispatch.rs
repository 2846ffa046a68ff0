//! From a protocol call to a driver call: the order of calls, the transaction
//! around each, and the answers that need no driver.
//!
//! The engine repeats calls, forgets calls and asks about ids nobody knows (after a
//! crash of either side). The host knows every network and endpoint from its ledger,
//! so all of that is dealt with here, once, and drivers see clean lives:
//!
//! * A repeated call gets the answer it got before; one that contradicts what was
//!   made before is an error.
//! * Leaving or deleting what is not there is a success.
//! * A failing driver cannot keep what the engine has given up: leaving and deleting
//!   happen in any case, with an error for the log. The engine does not ask again.
//! * An address given to a new endpoint evicts the endpoint that had it.
//!
//! * A driver that fails again and again is not called for a while ([`Quarantine`]).
//!
//! Calls of one network happen in order; those of different networks side by side. Calls of
//! one IPAM driver happen in order.

mod check;
mod cluster;
mod drivers;
mod endpoint;
mod error;
mod ipam;
mod locks;
mod network;
mod plan;
mod quarantine;

use std::{sync::Arc, time::Duration};

pub use self::{
    drivers::{Drivers, Roles, Slot},
    error::Error,
    quarantine::{Confined, Quarantine},
};
use self::{locks::Locks, quarantine::Admitted};
use crate::{
    cluster::Cluster,
    events::{About, Bus, What, of_changes},
    grants::{self, Authority},
    id::{DriverName, NetworkId},
    kernel::Kernel,
    ledger::{Caller, Ledger, Limits, Scope, Transaction},
    model::Network,
    runtime::{Call, Driver},
    store::Lasting,
};

/// How long a failed call is taken back before its answer goes out.
const ROLL_BACK_PATIENCE: Duration = Duration::from_secs(2);

/// Keeps other calls of the same network, or IPAM driver, waiting while it lives.
pub type Order = Arc<dyn Send + Sync>;

/// Takes calls to drivers.
pub struct Dispatcher {
    kernel: Arc<dyn Kernel>,
    ledger: Arc<Ledger>,
    drivers: Drivers,
    events: Arc<Bus>,
    quarantine: Quarantine,
    cluster: Option<Arc<Cluster>>,
    networks: Locks<NetworkId>,
    ipam: Locks<DriverName>,
    sessions: Locks<DriverName>,
}

// === impl Dispatcher ===

impl Dispatcher {
    /// A dispatcher for these drivers, which tells `events` what happens.
    pub fn new(
        kernel: Arc<dyn Kernel>,
        ledger: Arc<Ledger>,
        drivers: Drivers,
        events: Arc<Bus>,
    ) -> Self {
        drivers.all().iter().for_each(|(name, slot)| tell_loaded(&events, name, slot));
        let (networks, ipam, sessions) = (Locks::default(), Locks::default(), Locks::default());
        let quarantine = Quarantine::new(Arc::clone(&events));
        let cluster = None;
        Self { kernel, ledger, drivers, events, quarantine, cluster, networks, ipam, sessions }
    }

    /// Lets drivers share what they may with other nodes.
    pub fn in_cluster(self, cluster: Arc<Cluster>) -> Self {
        Self { cluster: Some(cluster), ..self }
    }

    /// What is shared with other nodes.
    pub fn cluster(&self) -> Option<&Arc<Cluster>> {
        self.cluster.as_ref()
    }

    /// The ledger.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// The kernel.
    pub fn kernel(&self) -> &Arc<dyn Kernel> {
        &self.kernel
    }

    /// The drivers.
    pub fn drivers(&self) -> &Drivers {
        &self.drivers
    }

    /// Where events go.
    pub fn events(&self) -> &Arc<Bus> {
        &self.events
    }

    /// The drivers that are not called for a while.
    pub fn quarantine(&self) -> &Quarantine {
        &self.quarantine
    }

    /// Puts a driver under a name, or another in the place of the one that has it.
    pub fn set_driver(&self, name: &DriverName, slot: Slot) {
        tell_loaded(&self.events, name, &slot);
        // A new one is not to blame for what the last one did.
        self.quarantine.reset(name);
        self.drivers.insert(name.clone(), slot);
    }

    /// Takes a driver away, of which nobody has a network.
    pub fn remove_driver(&self, name: &DriverName) {
        self.quarantine.reset(name);
        self.drivers.remove(name);
        self.events.send(About::driver(name), What::DriverRemoved);
    }

    /// What the engine is told about a driver. Answered from memory, whatever the
    /// driver's state.
    pub fn roles(&self, name: &DriverName) -> Roles {
        self.drivers.roles(name)
    }

    /// Keeps calls of a network out until the guard is dropped.
    pub async fn lock_network(&self, network: &NetworkId) -> Order {
        Arc::new(self.networks.lock(network.clone()).await)
    }

    /// A driver, to be called once, unless it must not be called now.
    fn driver(&self, name: &DriverName) -> Result<Admitted<'_>, Error> {
        Ok(self.quarantine.admit(self.drivers.get(name)?)?)
    }

    /// Begins a call about a network, or about none.
    fn begin(&self, name: &DriverName, scope: Option<Scope>, of: Option<&Network>) -> Transaction {
        let (kernel, ledger) = (Arc::clone(&self.kernel), Arc::clone(&self.ledger));
        // Without its driver the host only removes, and needs no leave for that.
        let (limits, permits) = match self.drivers.get(name) {
            Ok(driver) => (driver.settings.limits, Arc::clone(&driver.permits)),
            Err(_) => (Limits::default(), Arc::default()),
        };
        let authority = Authority::new(permits, of.map(grants::About::from).unwrap_or_default());
        let events = Some(Arc::clone(&self.events));
        let cluster = self.cluster.clone();
        let driver = name.clone();
        let caller = Caller { driver, scope, limits, authority, events, cluster, rehearsed: false };
        Transaction::begin(kernel, ledger, caller)
    }

    fn call(&self, driver: &Driver, transaction: &Transaction) -> Call {
        Call { transaction: transaction.clone(), limits: driver.settings.call_limits }
    }

    /// Ends a transaction by what came of the call: rolls it back, or leaves it to
    /// be committed.
    ///
    /// A kernel that does not answer keeps the user waiting for a while and no longer; the
    /// network's other calls wait until all is taken back.
    async fn settle<T, E: Into<Error>>(
        &self,
        transaction: &Transaction,
        order: &Order,
        result: Result<T, E>,
    ) -> Result<T, Error> {
        if result.is_err() {
            let (transaction, order) = (transaction.clone(), Arc::clone(order));
            let rolled_back = tokio::spawn(async move {
                transaction.roll_back().await;
                drop(order);
            });
            if tokio::time::timeout(ROLL_BACK_PATIENCE, rolled_back).await.is_err() {
                tracing::error!("the kernel does not answer; the call is taken back behind it");
            }
        }
        result.map_err(Into::into)
    }

    /// What has to happen happens, whatever the driver said: the transaction to do it in,
    /// without what a failing driver did, and its failure.
    async fn insist(
        &self,
        transaction: Transaction,
        asked: Result<(), Error>,
        again: impl FnOnce() -> Transaction,
    ) -> (Transaction, Option<Error>) {
        match asked {
            Ok(()) => (transaction, None),
            Err(error) => {
                transaction.roll_back().await;
                (again(), Some(error))
            }
        }
    }

    /// Makes what a call did durable, and tells what it was.
    async fn commit(&self, transaction: &Transaction) -> Result<(), Error> {
        self.commit_as(transaction, Lasting::Durable).await
    }

    /// The same where a crash may take it back if nothing but a record has changed.
    async fn commit_record(&self, transaction: &Transaction) -> Result<(), Error> {
        self.commit_as(transaction, Lasting::Relaxed).await
    }

    async fn commit_as(&self, transaction: &Transaction, lasting: Lasting) -> Result<(), Error> {
        let changes = transaction.changes().await;
        let events = of_changes(&self.ledger.read(), &changes);
        transaction.commit_as(lasting).await?;
        events.into_iter().for_each(|(about, what)| self.events.send(about, what));
        Ok(())
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_secs())
}

fn tell_loaded(events: &Bus, name: &DriverName, slot: &Slot) {
    let what = match slot {
        Slot::Ready(driver) => What::DriverLoaded {
            version: driver.manifest.version.clone(),
            digest: driver.digest.clone(),
        },
        Slot::Failed(reason) => What::DriverFailed { reason: reason.clone() },
    };
    events.send(About::driver(name), what);
}
