//! A dispatcher on a kernel, without sockets and files.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    cluster::{self, Cluster, Embedded, Identity},
    config::ClusterOptions,
    dispatch::{Dispatcher, Drivers, Slot},
    grants::Authority,
    id::{DriverName, InvalidId},
    kernel::{self, Kernel, Snapshot},
    ledger::{self, Caller, Changes, Ledger, Limits, Transaction},
    reconcile,
    runtime::{Call, CallLimits, Driver, LoadError, Runtime, Settings},
    store::{self, Lasting, Store},
};

/// How long whatever still works on a store may take to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// This host's address where a cluster is only for itself (RFC 5737).
pub(super) const ADDRESS: std::net::IpAddr =
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

/// A dispatcher on a kernel.
pub struct Bench {
    /// The kernel.
    pub kernel: Arc<dyn Kernel>,
    /// The dispatcher.
    pub dispatcher: Arc<Dispatcher>,
    store: Arc<Store>,
    drivers: Drivers,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store does not work.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The ledger does not work.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// Kernel and ledger could not be brought together.
    #[error(transparent)]
    Reconcile(#[from] reconcile::Error),
    /// The kernel could not be read.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// There is no cluster for one alone.
    #[error(transparent)]
    Cluster(#[from] cluster::SetupError),
    /// There is no identity in it.
    #[error(transparent)]
    Identity(#[from] cluster::Error),
    /// A name will not do.
    #[error(transparent)]
    Name(#[from] InvalidId),
    /// A link's name will not do.
    #[error(transparent)]
    LinkName(#[from] kernel::InvalidLinkName),
    /// Somebody works on the store for ever.
    #[error("what the last daemon did in the background does not end")]
    Busy,
}

// === impl Bench ===

impl Bench {
    /// Starts on a kernel and a store, as the daemon does.
    pub async fn start(
        kernel: Arc<dyn Kernel>,
        store: Arc<Store>,
        drivers: Drivers,
    ) -> Result<Self, Error> {
        Self::begin(kernel, store, drivers, false).await
    }

    /// The same as the only node of a cluster. Entries of others are never heard of.
    pub async fn start_alone(
        kernel: Arc<dyn Kernel>,
        store: Arc<Store>,
        drivers: Drivers,
    ) -> Result<Self, Error> {
        Self::begin(kernel, store, drivers, true).await
    }

    async fn begin(
        kernel: Arc<dyn Kernel>,
        store: Arc<Store>,
        drivers: Drivers,
        in_cluster: bool,
    ) -> Result<Self, Error> {
        let ledger = Arc::new(Ledger::open(Arc::clone(&store))?);
        let cluster = if in_cluster { Some(cluster(&store, &ledger).await?) } else { None };
        let events = Arc::default();
        let dispatcher = Dispatcher::new(Arc::clone(&kernel), ledger, drivers.clone(), events);
        let dispatcher = Arc::new(match cluster {
            Some(cluster) => dispatcher.in_cluster(Arc::new(cluster)),
            None => dispatcher,
        });
        let bench = Self { kernel, dispatcher, store, drivers };
        reconcile::start(&bench.dispatcher).await?;
        Ok(bench)
    }

    /// Starts again on the same store and kernel, as after a crash.
    pub async fn restart(self) -> Result<Self, Error> {
        let in_cluster = self.dispatcher.cluster().is_some();
        let (kernel, store, drivers) = self.end().await?;
        Self::begin(kernel, store, drivers, in_cluster).await
    }

    /// Ends, and waits until nobody works on the store any more.
    pub async fn end(self) -> Result<(Arc<dyn Kernel>, Arc<Store>, Drivers), Error> {
        let Self { kernel, dispatcher, store, drivers } = self;
        drop(dispatcher);
        // What is deleted in the background goes on for a moment.
        let last = async {
            while Arc::strong_count(&store) > 1 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, last).await.map_err(|_elapsed| Error::Busy)?;
        Ok((kernel, store, drivers))
    }

    /// The store that it works on.
    pub fn store(&self) -> Arc<Store> {
        Arc::clone(&self.store)
    }

    /// Lets the ledger believe that it is of another boot of the machine.
    pub async fn forget_boot(&self) -> Result<(), Error> {
        let boot_id = Some("another boot".to_owned());
        let changes = Changes { boot_id, ..Changes::default() };
        Ok(self.dispatcher.ledger().commit(changes, Lasting::Durable).await?)
    }

    /// Waits until what was deleted is gone.
    pub async fn settle(&self) {
        self.dispatcher.ledger().reap(&*self.kernel, None).await;
    }

    /// The kernel's state when what was deleted is gone.
    pub async fn snapshot(&self) -> Result<Snapshot, Error> {
        self.settle().await;
        Ok(self.kernel.snapshot().await?)
    }
}

/// A cluster of this node alone.
async fn cluster(store: &Arc<Store>, ledger: &Ledger) -> Result<Cluster, Error> {
    let settings = ClusterOptions::default().settings;
    let shared = Embedded::open(Arc::clone(store), &settings.prefix)?;
    let id = ledger.node_id().ok_or(cluster::Error::NotKnownYet)?;
    let identity = Identity { id, name: "this".to_owned(), address: Some(ADDRESS) };
    let cluster = Cluster::new(Arc::new(shared), identity, settings);
    cluster.stand_alone().await?;
    Ok(cluster)
}

/// Makes a driver ready, with a call that is about nothing and reaches nothing.
pub async fn load(
    runtime: &Arc<Runtime>,
    name: DriverName,
    bytes: impl AsRef<[u8]> + Send + Sync + 'static,
    settings: Settings,
) -> Result<Result<Slot, LoadError>, Error> {
    let kernel: Arc<dyn Kernel> = Arc::new(kernel::Simulated::default());
    let ledger = Arc::new(Ledger::open(Store::in_memory()?)?);
    let call = || Call {
        transaction: Transaction::begin(
            Arc::clone(&kernel),
            Arc::clone(&ledger),
            Caller {
                driver: name.clone(),
                scope: None,
                limits: Limits::default(),
                authority: Authority::default(),
                events: None,
                cluster: None,
                rehearsed: false,
            },
        ),
        limits: CallLimits { deadline: settings.call_limits.deadline, ..CallLimits::default() },
    };
    let driver = Driver::from_bytes(runtime, name.clone(), bytes, settings.clone(), call).await;
    Ok(driver.map(|driver| Slot::Ready(Arc::new(driver))))
}

/// Drivers by name.
pub fn drivers(slots: impl IntoIterator<Item = (DriverName, Slot)>) -> Drivers {
    let drivers = Drivers::default();
    for (name, slot) in slots.into_iter().collect::<BTreeMap<_, _>>() {
        drivers.insert(name, slot);
    }
    drivers
}
