//! The drivers of a daemon: those it starts with, and those that come, change and go while
//! it runs.
//!
//! There is one way to change them: the operator's files say what is wanted, and
//! [`Roster::reload`] makes it so. It first gets everything that the change needs, and only
//! then changes anything, so that a file with a mistake leaves all as it was.

use std::{
    collections::BTreeMap,
    num::NonZero,
    path::{Path, PathBuf},
    sync::Arc,
    thread::available_parallelism,
};

use futures::{StreamExt, stream};
use tokio::sync::{Mutex, mpsc, watch};

use crate::{
    builtin,
    config::{self, Config},
    dispatch::{Dispatcher, Drivers, Slot},
    error::chain,
    grants::Authority,
    id::{DriverName, NetworkId, short},
    kernel::Kernel,
    ledger::{Caller, Ledger, Limits, Transaction},
    runtime::{Call, CallLimits, Driver, LoadError, Runtime, Settings},
    sockets::{self, Socket},
    trust::Trust,
};

/// A driver to be loaded: a file, or bytes of the daemon's own.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    File(PathBuf),
    BuiltIn(&'static [u8]),
}

/// A driver as the operator wants it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    source: Source,
    settings: Settings,
    trust: Trust,
}

/// Loads drivers.
pub(super) struct Loader {
    runtime: Arc<Runtime>,
    kernel: Arc<dyn Kernel>,
    ledger: Arc<Ledger>,
}

/// A driver's socket that is to be served until `stop` is true.
pub(super) struct Opening {
    pub(super) driver: DriverName,
    pub(super) socket: Socket,
    pub(super) stop: watch::Receiver<bool>,
}

/// Sockets that are to be served, as they come.
pub(super) type Openings = mpsc::UnboundedReceiver<Opening>;

/// The drivers that there are.
pub struct Roster {
    config: Option<PathBuf>,
    plugin_dir: PathBuf,
    loader: Loader,
    dispatcher: Arc<Dispatcher>,
    on_duty: Mutex<BTreeMap<DriverName, OnDuty>>,
    open: mpsc::UnboundedSender<Opening>,
}

struct OnDuty {
    wanted: Wanted,
    stop: watch::Sender<bool>,
}

/// Why the drivers stay as they were.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The operator's files have a mistake.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// A driver cannot be loaded.
    #[error("driver {driver} cannot be loaded")]
    Load {
        /// The driver.
        driver: DriverName,
        /// Why.
        #[source]
        source: LoadError,
    },
    /// A driver's socket cannot be had.
    #[error(transparent)]
    Socket(#[from] sockets::Error),
    /// A driver that is not wanted any more still has networks.
    #[error(
        "driver {driver} still has networks ({}); remove them first", 
        .networks.iter().map(|id| short(id.as_str())).collect::<Vec<_>>().join(", ")
    )]
    Networks {
        /// The driver.
        driver: DriverName,
        /// Its networks.
        networks: Vec<NetworkId>,
    },
    /// A driver that is not wanted any more still has pools.
    #[error(
        "driver {driver} still has addresses of networks ({pools} pools); remove these networks first"
    )]
    Pools {
        /// The driver.
        driver: DriverName,
        /// How many.
        pools: usize,
    },
}

/// The drivers by name: the built-in ones, and the operator's over them.
pub(super) fn wanted(config: &Config) -> BTreeMap<DriverName, Wanted> {
    let configured = |name: &DriverName| config.drivers.iter().find(|driver| driver.name == *name);
    let built_in = builtin::DRIVERS.iter().filter_map(|built_in| {
        let name: DriverName = built_in.name.parse().ok()?;
        let settings = match configured(&name) {
            Some(driver) if driver.component.is_some() => return None,
            Some(driver) => driver.settings.clone(),
            None => Settings { limits: built_in.limits(), ..Settings::default() },
        };
        let source = Source::BuiltIn(built_in.component);
        Some((name, Wanted { source, settings, trust: Trust::default() }))
    });
    let files = config.drivers.iter().filter_map(|driver| {
        let source = Source::File(driver.component.clone()?);
        let (settings, trust) = (driver.settings.clone(), config.trust.clone());
        Some((driver.name.clone(), Wanted { source, settings, trust }))
    });
    built_in.chain(files).collect()
}

// === impl Loader ===

impl Loader {
    pub(super) fn new(runtime: Arc<Runtime>, kernel: Arc<dyn Kernel>, ledger: Arc<Ledger>) -> Self {
        Self { runtime, kernel, ledger }
    }

    /// Loads drivers, as many at once as there are processors: at the first start all of them
    /// are compiled. One that fails does not keep the others from working.
    pub(super) async fn load_all(&self, wanted: &BTreeMap<DriverName, Wanted>) -> Drivers {
        let drivers = Drivers::default();
        let at_once = available_parallelism().map_or(1, NonZero::get);
        let loading =
            wanted.iter().map(async |(name, wanted)| (name, self.load(name, wanted).await));
        let mut loaded = stream::iter(loading).buffered(at_once);
        while let Some((name, loaded)) = loaded.next().await {
            let slot = match loaded {
                Ok(driver) => Slot::Ready(Arc::new(driver)),
                Err(error) => {
                    tracing::error!(driver = %name, error = %chain(&error), "driver cannot be loaded");
                    Slot::Failed(chain(&error))
                }
            };
            drivers.insert(name.clone(), slot);
        }
        drivers
    }

    async fn load(&self, name: &DriverName, wanted: &Wanted) -> Result<Driver, LoadError> {
        let call = || Call {
            transaction: Transaction::begin(
                Arc::clone(&self.kernel),
                Arc::clone(&self.ledger),
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
            limits: CallLimits::default(),
        };
        let (runtime, settings) = (&self.runtime, wanted.settings.clone());
        match &wanted.source {
            Source::File(path) => {
                let signed = |bytes: &[u8]| wanted.trust.check_file(path, bytes).map(drop);
                Driver::load(runtime, name.clone(), path, settings, signed, call).await
            }
            Source::BuiltIn(bytes) => {
                Driver::from_bytes(runtime, name.clone(), *bytes, settings, call).await
            }
        }
    }
}

// === impl Roster ===

impl Roster {
    /// Nobody is on duty yet.
    pub(super) fn new(
        config: Option<PathBuf>,
        plugin_dir: PathBuf,
        loader: Loader,
        dispatcher: Arc<Dispatcher>,
    ) -> (Self, Openings) {
        let (open, openings) = mpsc::unbounded_channel();
        let on_duty = Mutex::default();
        (Self { config, plugin_dir, loader, dispatcher, on_duty, open }, openings)
    }

    /// The file that says what is wanted.
    pub fn config(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new(config::DEFAULT_PATH))
    }

    /// Has a driver that the dispatcher knows answer on its socket.
    pub(super) async fn begin(&self, name: DriverName, wanted: Wanted, socket: Socket) {
        let (stop, stopped) = watch::channel(false);
        self.on_duty.lock().await.insert(name.clone(), OnDuty { wanted, stop });
        // Whoever serves outlives all who ask for it.
        let _ = self.open.send(Opening { driver: name, socket, stop: stopped });
    }

    /// Closes all sockets.
    pub(super) async fn close(&self) {
        for OnDuty { stop, .. } in self.on_duty.lock().await.values() {
            stop.send_replace(true);
        }
    }

    /// Reads the operator's files again and makes the drivers what they say. If anything of
    /// it cannot be, nothing changes.
    pub async fn reload(&self) -> Result<(), ReloadError> {
        let mut on_duty = self.on_duty.lock().await;
        let wanted = wanted(&Config::load(self.config.as_deref())?);
        let gone: Vec<DriverName> =
            on_duty.keys().filter(|name| !wanted.contains_key(*name)).cloned().collect();
        for name in &gone {
            self.check_unused(name).await?;
        }
        let differs = |(name, wanted): &(DriverName, Wanted)| {
            on_duty.get(name).is_none_or(|is| is.wanted != *wanted) || self.has_failed(name)
        };
        let mut changes = Vec::new();
        for (name, wanted) in wanted.into_iter().filter(differs) {
            let driver = match self.loader.load(&name, &wanted).await {
                Ok(driver) => Arc::new(driver),
                Err(source) => return Err(ReloadError::Load { driver: name, source }),
            };
            let socket = match on_duty.contains_key(&name) {
                true => None,
                false => Some(Socket::bind(&self.plugin_dir.join(format!("{name}.sock")))?),
            };
            changes.push((name, wanted, driver, socket));
        }
        for (name, wanted, driver, socket) in changes {
            tracing::info!(driver = %name, digest = %driver.digest, "driver loaded");
            self.dispatcher.set_driver(&name, Slot::Ready(driver));
            match (socket, on_duty.get_mut(&name)) {
                (Some(socket), _) => {
                    let (stop, stopped) = watch::channel(false);
                    on_duty.insert(name.clone(), OnDuty { wanted, stop });
                    let _ = self.open.send(Opening { driver: name, socket, stop: stopped });
                }
                (None, Some(is)) => is.wanted = wanted,
                (None, None) => {}
            }
        }
        for name in gone {
            tracing::info!(driver = %name, "driver removed");
            if let Some(OnDuty { stop, .. }) = on_duty.remove(&name) {
                stop.send_replace(true);
            }
            self.dispatcher.remove_driver(&name);
        }
        Ok(())
    }

    fn has_failed(&self, name: &DriverName) -> bool {
        matches!(self.dispatcher.drivers().all().get(name), Some(Slot::Failed(_)))
    }

    async fn check_unused(&self, name: &DriverName) -> Result<(), ReloadError> {
        let networks: Vec<NetworkId> = {
            let state = self.dispatcher.ledger().read();
            let of_driver = state.networks.iter().filter(|(_, record)| record.driver == *name);
            of_driver.map(|(id, _)| id.clone()).collect()
        };
        if !networks.is_empty() {
            return Err(ReloadError::Networks { driver: name.clone(), networks });
        }
        let drivers = self.dispatcher.drivers().all();
        let has_pools = match drivers.get(name) {
            Some(Slot::Ready(driver)) => driver.ipam_capabilities.is_some(),
            _ => false,
        };
        if has_pools
            && let Ok(pools) = self.dispatcher.pools(name).await
            && !pools.is_empty()
        {
            return Err(ReloadError::Pools { driver: name.clone(), pools: pools.len() });
        }
        Ok(())
    }
}
