//! The driver that is checked, and where.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    Options,
    bench::{self, Bench},
    mortal::Mortal,
    underlay,
};
use crate::{
    dispatch::{Drivers, Slot},
    id::DriverName,
    kernel::{Kernel, Simulated, linux::Linux},
    runtime::{CallLimits, Driver, LoadError, Runtime, Settings, Steady},
    store::Store,
};

/// The name that the driver has here.
const NAME: &str = "driver";
/// The longest that a call may take when fuel does not end it first: it waits for nobody.
const DEADLINE: Duration = Duration::from_secs(120);

/// A driver, and the kernel it is checked on.
pub(super) struct Subject {
    /// Ready to be called.
    pub driver: Arc<Driver>,
    /// Its world.
    pub steady: Arc<Steady>,
    /// Options that every network or pool is made with.
    pub options: BTreeMap<String, String>,
    /// Where.
    pub ground: Ground,
}

/// A kernel to check on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ground {
    /// One in memory.
    Memory,
    /// The real one, in this thread's namespace.
    Kernel,
}

/// A host for one case.
pub(super) struct Stage {
    pub bench: Bench,
    pub mortal: Arc<Mortal>,
    pub simulated: Option<Arc<Simulated>>,
}

/// Why the driver is not loaded.
pub(super) enum LoadFailed {
    /// That is its own fault.
    Driver(LoadError),
    /// It is not.
    Bench(bench::Error),
}

/// Loads a driver, granted what it asks for.
pub(super) async fn load(
    runtime: &Arc<Runtime>,
    bytes: Arc<[u8]>,
    options: &Options,
) -> Result<Arc<Driver>, LoadFailed> {
    let settings = Settings {
        global: true,
        call_limits: CallLimits { deadline: DEADLINE, ..CallLimits::default() },
        config: Arc::new(options.config.clone()),
        ..Settings::default()
    };
    let name = NAME.parse().map_err(|error| LoadFailed::Bench(bench::Error::Name(error)))?;
    match bench::load(runtime, name, bytes, settings).await.map_err(LoadFailed::Bench)? {
        Ok(Slot::Ready(driver)) => Ok(driver),
        Ok(Slot::Failed(_)) => Err(LoadFailed::Driver(LoadError::NoRole)),
        Err(error) => Err(LoadFailed::Driver(error)),
    }
}

// === impl Subject ===

impl Subject {
    /// On a kernel in memory.
    pub(super) fn new(
        driver: Arc<Driver>,
        steady: Arc<Steady>,
        options: BTreeMap<String, String>,
    ) -> Self {
        Self { driver, steady, options, ground: Ground::Memory }
    }

    /// The same somewhere else.
    pub(super) fn on(self, ground: Ground) -> Self {
        Self { ground, ..self }
    }

    /// The driver's name here.
    pub(super) fn name(&self) -> &DriverName {
        &self.driver.name
    }

    /// An empty host.
    pub(super) async fn stage(&self) -> Result<Stage, bench::Error> {
        self.stage_with(Arc::clone(&self.driver)).await
    }

    /// An empty host where the driver has other settings.
    pub(super) async fn stage_with(&self, driver: Arc<Driver>) -> Result<Stage, bench::Error> {
        let (kernel, simulated): (Arc<dyn Kernel>, _) = match self.ground {
            Ground::Memory => {
                let simulated = Arc::new(Simulated::default());
                underlay::connect(&simulated)?;
                (Arc::clone(&simulated) as _, Some(simulated))
            }
            Ground::Kernel => (Arc::new(Linux::open()?), None),
        };
        let mortal = Arc::new(Mortal::new(kernel));
        let store = Arc::new(Store::in_memory()?);
        let drivers = bench::drivers([(driver.name.clone(), Slot::Ready(driver))]);
        let bench = self.start(&mortal, store, drivers).await?;
        Ok(Stage { bench, mortal, simulated })
    }

    async fn start(
        &self,
        mortal: &Arc<Mortal>,
        store: Arc<Store>,
        drivers: Drivers,
    ) -> Result<Bench, bench::Error> {
        Bench::start_alone(Arc::clone(mortal) as _, store, drivers).await
    }

    /// A new daemon where the last one has died.
    pub(super) async fn resurrect(&self, dead: Stage) -> Result<Stage, bench::Error> {
        let Stage { bench, mortal, simulated } = dead;
        let left = mortal.take_left();
        let (_, store, drivers) = bench.end().await?;
        let store = left.map_or(store, Arc::new);
        let kernel = match &simulated {
            Some(simulated) => {
                simulated.close_ports();
                Arc::clone(simulated) as Arc<dyn Kernel>
            }
            None => Arc::new(Linux::open()?),
        };
        let mortal = Arc::new(Mortal::new(kernel));
        let bench = self.start(&mortal, store, drivers).await?;
        Ok(Stage { bench, mortal, simulated })
    }
}

// === impl Stage ===

impl Stage {
    /// The same after the daemon was started anew, and before that the machine if `rebooted`.
    pub(super) async fn restart(self, rebooted: bool) -> Result<Self, bench::Error> {
        let Self { bench, mortal, simulated } = self;
        if let Some(simulated) = &simulated {
            simulated.close_ports();
        }
        if rebooted {
            bench.forget_boot().await?;
            if let Some(simulated) = &simulated {
                simulated.reboot();
                underlay::connect(simulated)?;
            }
        }
        let bench = bench.restart().await?;
        Ok(Self { bench, mortal, simulated })
    }
}
