//! One call into a driver: its state, its limits, its end.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use wasmtime::{Store, StoreLimits, StoreLimitsBuilder, component::ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView, p2::pipe::MemoryOutputPipe};

use super::{CallError, Driver, bindings::network::wasmnet::driver::types, convert, engine};
use crate::{id::DriverName, ledger::Transaction};

/// Bytes of stdout and stderr that a call may write.
const OUTPUT_MAX: usize = 16 << 10;

/// Bytes that a guest may hand to the host in one crossing: an import's arguments, or an
/// export's answer.
const CROSSING_MAX: usize = 4 << 20;

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
    pub(super) transaction: Transaction,
    pub(super) table: ResourceTable,
    pub(super) log_lines: u32,
    /// What the operator wrote for the driver.
    pub(super) config: Arc<BTreeMap<String, String>>,
    wasi: WasiCtx,
    limits: StoreLimits,
}

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
    /// Calls one method on a fresh instance that `instantiate` makes.
    ///
    /// The transaction is left open, whatever happens: the caller commits or rolls back.
    pub(super) async fn run<P: Send + Sync + 'static, T: Send + 'static>(
        &self,
        method: &'static str,
        call: Call,
        instantiate: impl for<'a> FnOnce(&'a mut Store<CallState>) -> BoxFuture<'a, wasmtime::Result<P>>
        + Send
        + 'static,
        export: impl for<'a> FnOnce(&'a P, &'a mut Store<CallState>) -> BoxFuture<'a, Answer<T>>
        + Send
        + 'static,
    ) -> Result<T, CallError> {
        // The deadline must not begin while the call still waits for others.
        let _slot = self.runtime.slots.acquire().await;
        let output = MemoryOutputPipe::new(OUTPUT_MAX);
        let deadline = call.limits.deadline;
        let (started, transaction) = (Instant::now(), call.transaction.clone());
        let mut store = self.store(call, &output);
        let mut guest = self.runtime.spawn_guest(async move {
            let instance = instantiate(&mut store).await?;
            export(&instance, &mut store).await
        });
        let answer = tokio::time::timeout(deadline, &mut guest).await;
        if answer.is_err() {
            // Ends at its next yield; its transaction lets nothing more in by then.
            guest.abort();
        }
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
            Ok(Err(panic)) => Err(trap(method, wasmtime::Error::msg(panic.to_string()))),
            Err(_elapsed) => Err(CallError::Deadline { method, limit: deadline }),
        }
    }

    fn store(&self, call: Call, output: &MemoryOutputPipe) -> Store<CallState> {
        let state = CallState {
            driver: self.name.clone(),
            transaction: call.transaction,
            table: ResourceTable::new(),
            log_lines: call.limits.log_lines,
            config: Arc::clone(&self.settings.config),
            // No arguments, environment, files or sockets.
            wasi: WasiCtxBuilder::new().stdout(output.clone()).stderr(output.clone()).build(),
            limits: StoreLimitsBuilder::new().memory_size(call.limits.memory).build(),
        };
        let mut store = Store::new(&self.runtime.engine, state);
        store.limiter(|state| &mut state.limits);
        // What crosses the boundary at once is copied into the host's memory.
        store.set_hostcall_fuel(CROSSING_MAX);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        store
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

impl WasiView for CallState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl wasmtime::component::HasData for CallState {
    type Data<'a> = &'a mut CallState;
}
