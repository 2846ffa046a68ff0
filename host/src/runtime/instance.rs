//! Instances of a component. Every call gets one of its own that nobody has used before; a
//! few are made ahead, between the calls, since making and dropping one takes longer than
//! most calls into it.
//!
//! A component that runs code of its own when it is instantiated does so without a call:
//! what it imports of the contract ends it with a trap. So it does not matter to it when
//! it is made.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::OwnedSemaphorePermit;
use wasmtime::{Store, StoreLimitsBuilder, component::ResourceTable};
use wasmtime_wasi::{WasiCtxBuilder, p2::pipe::MemoryOutputPipe};

use super::{
    CallLimits, Runtime,
    bindings::{
        ipam::{IpamPlugin, IpamPluginPre},
        network::{NetworkPlugin, NetworkPluginPre},
    },
    call::CallState,
};
use crate::{id::DriverName, ledger::Transaction};

/// Instances that are kept ready for a driver. A container's calls come one after the other, some
/// before those that the last ones took are replaced.
const READY: usize = 3;
/// Bytes of stdout and stderr that a call may write.
const OUTPUT_MAX: usize = 16 << 10;
/// Bytes that a guest may hand to the host in one crossing: an import's arguments, or an
/// export's answer.
const CROSSING_MAX: usize = 4 << 20;

/// A component that fits one of the two worlds, and can be instantiated.
pub(super) trait World: Send + Sync + 'static {
    /// Its exports, once it is.
    type Plugin: Send + Sync + 'static;

    /// Instantiates it.
    fn instantiate(
        &self,
        store: &mut Store<CallState>,
    ) -> impl Future<Output = wasmtime::Result<Self::Plugin>> + Send;
}

/// The instances of one driver.
pub(super) struct Instances<W: World> {
    world: W,
    of: Of,
    shelf: Mutex<Shelf<W::Plugin>>,
}

/// What all instances of a driver have.
#[derive(Debug, Clone)]
pub(super) struct Of {
    pub(super) driver: DriverName,
    pub(super) limits: CallLimits,
    /// What the operator wrote for the driver.
    pub(super) config: Arc<BTreeMap<String, String>>,
}

struct Shelf<P> {
    ready: Vec<Instance<P>>,
    making: usize,
}

/// An instance, for one call.
pub(super) struct Instance<P> {
    pub(super) store: Store<CallState>,
    pub(super) plugin: P,
    /// What it has printed.
    pub(super) output: MemoryOutputPipe,
    /// Its place in the pool; given back after the rest is dropped.
    place: OwnedSemaphorePermit,
}

// === impl World ===

impl World for NetworkPluginPre<CallState> {
    type Plugin = NetworkPlugin;

    async fn instantiate(&self, store: &mut Store<CallState>) -> wasmtime::Result<NetworkPlugin> {
        self.instantiate_async(store).await
    }
}

impl World for IpamPluginPre<CallState> {
    type Plugin = IpamPlugin;

    async fn instantiate(&self, store: &mut Store<CallState>) -> wasmtime::Result<IpamPlugin> {
        self.instantiate_async(store).await
    }
}

// === impl Instances ===

impl<W: World> Instances<W> {
    /// None yet.
    pub(super) fn new(world: W, of: Of) -> Arc<Self> {
        let shelf = Mutex::new(Shelf { ready: Vec::new(), making: 0 });
        Arc::new(Self { world, of, shelf })
    }

    /// One that is ready, if there is one.
    pub(super) fn take(&self) -> Option<Instance<W::Plugin>> {
        self.shelf().ready.pop()
    }

    /// Makes one that has a place in the pool, and prints to `output`.
    pub(super) async fn make(
        &self,
        runtime: &Runtime,
        place: OwnedSemaphorePermit,
        output: MemoryOutputPipe,
    ) -> wasmtime::Result<Instance<W::Plugin>> {
        let limits = self.of.limits;
        let mut wasi = WasiCtxBuilder::new();
        // No arguments, environment, files or sockets.
        wasi.stdout(output.clone()).stderr(output.clone());
        if let Some(steady) = &runtime.steady {
            steady.set_up(&mut wasi);
        }
        let state = CallState {
            driver: self.of.driver.clone(),
            transaction: None,
            table: ResourceTable::new(),
            log_lines: limits.log_lines,
            lines_lost: 0,
            config: Arc::clone(&self.of.config),
            wasi: wasi.build(),
            limits: StoreLimitsBuilder::new().memory_size(limits.memory).build(),
            steady: runtime.steady.clone(),
        };
        let mut store = Store::new(&runtime.engine, state);
        store.limiter(|state| &mut state.limits);
        prepare(&mut store)?;
        let plugin = self.world.instantiate(&mut store).await?;
        Ok(Instance { store, plugin, output, place })
    }

    /// Drops an instance that was used, and makes sure that some are ready for the next calls;
    /// all of it later and elsewhere, since the host has something to do for this one yet.
    pub(super) fn exchange(self: &Arc<Self>, runtime: &Arc<Runtime>, used: Instance<W::Plugin>) {
        if runtime.steady.is_some() {
            // What is made ahead is made at no certain time.
            return drop(used);
        }
        let (this, of) = (Arc::clone(self), Arc::clone(runtime));
        runtime.later(async move {
            drop(used);
            while this.make_ready(&of).await {}
        });
    }

    /// Makes one for later; false if there are enough, or if it cannot be made. The call that
    /// needs one will find out why.
    async fn make_ready(&self, runtime: &Runtime) -> bool {
        let Ok(place) = Arc::clone(&runtime.places).try_acquire_owned() else { return false };
        {
            let mut shelf = self.shelf();
            if shelf.ready.len() + shelf.making >= READY {
                return false;
            }
            shelf.making += 1;
        }
        let made = self.make(runtime, place, output());
        let made = tokio::time::timeout(self.of.limits.deadline, made).await;
        let mut shelf = self.shelf();
        shelf.making -= 1;
        match made {
            Ok(Ok(instance)) => shelf.ready.push(instance),
            Ok(Err(_)) | Err(_) => return false,
        }
        true
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf<W::Plugin>> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Instance ===

impl<P> Instance<P> {
    /// Gives it another place in the pool: that of the call it is for.
    pub(super) fn take_place(&mut self, place: OwnedSemaphorePermit) {
        self.place = place;
    }

    /// Makes it the instance of a call.
    pub(super) fn begin(&mut self, transaction: Transaction) -> wasmtime::Result<()> {
        self.store.data_mut().transaction = Some(transaction);
        prepare(&mut self.store)
    }

    /// Notes what a call has used, where somebody wants to know.
    pub(super) fn note(&self, method: &'static str) {
        let state = self.store.data();
        if let Some(steady) = &state.steady {
            steady.note(method, self.store.get_fuel().unwrap_or_default(), state.lines_lost);
        }
    }
}

/// Where an instance prints to.
pub(super) fn output() -> MemoryOutputPipe {
    MemoryOutputPipe::new(OUTPUT_MAX)
}

/// Sets what is counted anew for each run of the guest.
fn prepare(store: &mut Store<CallState>) -> wasmtime::Result<()> {
    // What crosses the boundary at once is copied into the host's memory.
    store.set_hostcall_fuel(CROSSING_MAX);
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    match store.data().steady.as_ref().map(|steady| steady.fuel) {
        Some(fuel) => store.set_fuel(fuel),
        None => Ok(()),
    }
}
