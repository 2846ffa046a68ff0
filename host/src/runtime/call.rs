//! One call into a driver: its state, its limits, its end.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use wasmtime::{Store, StoreLimits, component::ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView, p2::pipe::MemoryOutputPipe};

use super::{
    CallError, Driver,
    bindings::network::wasmnet::driver::types,
    convert, engine,
    instance::{self, Instances, World},
    steady::Steady,
};
use crate::{id::DriverName, ledger::Transaction};

/// How much time and memory a call has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// From the moment it has its instance's place.
    pub deadline: Duration,
    /// Memory of the instance, in bytes.
    pub memory: usize,
    /// Lines it may write to the log.
    pub log_lines: u32,
}

/// A call that is about to be made.
pub struct Call {
    /// What it does, all or nothing.
    pub transaction: Transaction,
    /// What it has.
    pub limits: CallLimits,
}

/// What an instance's imports work on.
pub struct CallState {
    pub(super) driver: DriverName,
    /// The call's; none while the instance is made.
    pub(super) transaction: Option<Transaction>,
    pub(super) table: ResourceTable,
    pub(super) log_lines: u32,
    /// Lines that were too many.
    pub(super) lines_lost: u32,
    /// What the operator wrote for the driver.
    pub(super) config: Arc<BTreeMap<String, String>>,
    pub(super) wasi: WasiCtx,
    pub(super) limits: StoreLimits,
    pub(super) steady: Option<Arc<Steady>>,
}

/// A component imported something before it was called.
#[derive(Debug, thiserror::Error)]
#[error("the component used the contract's imports while it was instantiated")]
struct NoCall;

/// An exported method's answer, its own failures apart from wasmtime's.
pub(super) type Answer<T> = wasmtime::Result<Result<T, types::Error>>;

// === impl CallLimits ===

impl Default for CallLimits {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(5), memory: engine::MEMORY_MAX, log_lines: 200 }
    }
}

// === impl Driver ===

impl Driver {
    /// Calls one method on an instance of its own.
    ///
    /// The transaction is left open, whatever happens: the caller commits or rolls back.
    pub(super) async fn run<W: World, T: Send + 'static>(
        &self,
        instances: &Arc<Instances<W>>,
        method: &'static str,
        call: Call,
        export: impl for<'a> FnOnce(&'a W::Plugin, &'a mut Store<CallState>) -> BoxFuture<'a, Answer<T>>
        + Send
        + 'static,
    ) -> Result<T, CallError> {
        // The deadline must not begin while the call still waits for others.
        let place = Arc::clone(&self.runtime.slots).acquire_owned().await;
        let place = place.map_err(|error| trap(method, wasmtime::Error::new(error)))?;
        let deadline = call.limits.deadline;
        let (started, transaction) = (Instant::now(), call.transaction.clone());
        let ready = instances.take();
        let output = ready.as_ref().map_or_else(instance::output, |ready| ready.output.clone());
        let (of, runtime, prints) =
            (Arc::clone(instances), Arc::clone(&self.runtime), output.clone());
        let guest = self.runtime.run_guest(async move {
            let mut instance = match ready {
                Some(mut instance) => {
                    instance.take_place(place);
                    instance
                }
                None => of.make(&runtime, place, prints).await?,
            };
            instance.begin(call.transaction)?;
            let answer = export(&instance.plugin, &mut instance.store).await;
            instance.note(method);
            of.exchange(&runtime, instance);
            answer
        });
        // What is dropped at the deadline ends at its next yield; its transaction lets nothing
        // more in by then.
        let answer = tokio::time::timeout(deadline, guest).await;
        // What the sandbox costs is what of the call is not the host's own work.
        let (whole, host) = (started.elapsed(), transaction.time_in_steps());
        let sandbox = whole.saturating_sub(host);
        let (sandbox_us, host_us) = (sandbox.as_micros(), host.as_micros());
        tracing::debug!(driver = %self.name, method, sandbox_us, host_us, "driver called");
        self.log_output(method, &output);
        match answer {
            Ok(Ok(Ok(Ok(value)))) => Ok(value),
            Ok(Ok(Ok(Err(error)))) => Err(convert::driver_error(error)),
            Ok(Ok(Err(source))) => Err(trap(method, source)),
            Ok(Err(panic)) => Err(trap(method, wasmtime::Error::new(panic))),
            Err(_elapsed) => Err(CallError::Deadline { method, limit: deadline, waited: host }),
        }
    }

    /// What a driver prints (a panic's message, above all) belongs into the log.
    fn log_output(&self, method: &str, output: &MemoryOutputPipe) {
        for line in String::from_utf8_lossy(&output.contents()).lines() {
            let line = line.escape_debug();
            tracing::info!(target: "wasmnet::driver", driver = %self.name, method, "{line}");
        }
    }
}

fn trap(method: &'static str, source: wasmtime::Error) -> CallError {
    let reason = match source.downcast_ref::<wasmtime::Trap>() {
        Some(trap) => trap.to_string(),
        None => source.root_cause().to_string(),
    };
    let reason = convert::one_line(reason.trim_start_matches("wasm trap: "));
    CallError::Trap { method, reason, source }
}

// === impl CallState ===

impl CallState {
    /// What the call does. There is none yet while the instance is made.
    pub(super) fn transaction(&self) -> wasmtime::Result<&Transaction> {
        self.transaction.as_ref().ok_or_else(|| wasmtime::Error::new(NoCall))
    }
}

impl WasiView for CallState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl wasmtime::component::HasData for CallState {
    type Data<'a> = &'a mut CallState;
}
