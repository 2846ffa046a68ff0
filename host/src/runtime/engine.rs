//! The engine all drivers share.

use std::{
    any::Any, future::poll_fn, panic::AssertUnwindSafe, path::Path, sync::Arc, task::Poll,
    time::Duration,
};

use futures::{FutureExt, TryFutureExt, future::BoxFuture};
use rustix::{
    process::setpriority_process,
    thread::gettid,
    time::{ClockId, clock_gettime},
};
use tokio::{sync::Semaphore, task::JoinSet};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, component::Linker,
};

use super::{
    LoadError,
    bindings::{ipam::IpamPlugin, network::NetworkPlugin},
    cache::Cache,
    call::CallState,
    compiler::Compiler,
    steady::Steady,
    ticker::Ticker,
};

/// Calls at the same time; more of them wait.
const CALLS: u32 = 64;
/// Instances that are kept ready for calls, of all drivers together.
const READY: u32 = 32;
const INSTANCES: u32 = CALLS + READY;
/// Most memory a driver can be given, in bytes; the pool reserves address space for it.
pub(super) const MEMORY_MAX: usize = 64 << 20;
/// Core instances, memories and tables one component may be made of.
const CORE_INSTANCES: u32 = 32;
const MEMORIES: u32 = 2;
const TABLES: u32 = 16;
/// Entries in a table.
const TABLE_ELEMENTS: usize = 10_000;
/// How much of a processor's time a call may take on the thread of its caller. Several times
/// what a call takes: on a host with more to do than it can, the other threads' turn comes
/// late, and whoever waits for a lock that the call has waits, too.
const FIRST: Duration = Duration::from_millis(5);
/// How far the threads that only guests use stand back behind the host's (nice(2)). Not so far
/// that a call which only takes long would not end in time on a busy host.
const NICE: i32 = 10;
/// What a memory and a table may keep of their pages, in bytes, for the next instance.
const MEMORY_KEPT: usize = 1 << 20;
const TABLE_KEPT: usize = 64 << 10;

/// The WebAssembly engine, ready to load and call drivers.
pub struct Runtime {
    pub(super) engine: Engine,
    pub(super) network: Linker<CallState>,
    pub(super) ipam: Linker<CallState>,
    pub(super) cache: Cache,
    /// Places in the pool for calls.
    pub(super) slots: Arc<Semaphore>,
    /// Places in the pool for instances that wait for a call.
    pub(super) places: Arc<Semaphore>,
    /// What makes calls go the same way each time, if something does.
    pub(super) steady: Option<Arc<Steady>>,
    guests: Option<tokio::runtime::Runtime>,
    ticker: Ticker,
}

/// The host's own code panicked in a call.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct GuestPanic(String);

// === impl Runtime ===

impl Runtime {
    /// Sets the engine up; compiled code comes from `compiler` and goes to folder `cache`.
    pub fn new(cache: &Path, compiler: Compiler) -> Result<Self, LoadError> {
        Self::with(&config(), cache, compiler, None)
    }

    /// One for tests of drivers, where every call goes the same way each time. Compiles in this
    /// process, since the code is not the daemon's.
    pub fn steady(cache: &Path, steady: Arc<Steady>) -> Result<Self, LoadError> {
        let mut config = config();
        config.consume_fuel(true);
        Self::with(&config, cache, Compiler::InProcess, Some(steady))
    }

    fn with(
        config: &Config,
        cache: &Path,
        compiler: Compiler,
        steady: Option<Arc<Steady>>,
    ) -> Result<Self, LoadError> {
        let engine = Engine::new(config).map_err(LoadError::Engine)?;
        let network = linker(&engine, |linker| {
            NetworkPlugin::add_to_linker::<_, CallState>(linker, |state| state)
        })?;
        let ipam = linker(&engine, |linker| {
            IpamPlugin::add_to_linker::<_, CallState>(linker, |state| state)
        })?;
        let cache = Cache::open(cache, &engine, compiler)?;
        let slots = Arc::new(Semaphore::new(CALLS as usize));
        let places = Arc::new(Semaphore::new(READY as usize));
        let guests = guests().map_err(LoadError::Threads)?;
        let ticker = Ticker::start(&engine, guests.handle().clone());
        let guests = Some(guests);
        Ok(Self { engine, network, ipam, cache, slots, places, steady, guests, ticker })
    }

    /// Runs guest code: at first here, since most calls are over before another thread would
    /// have begun, and what takes longer on threads of its own. However long it loops, the
    /// sockets, the deadlines and the other networks' kernel work go on beside it.
    pub(super) async fn run_guest<T: Send + 'static>(
        &self,
        call: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, GuestPanic> {
        let running = self.ticker.run();
        let call = AssertUnwindSafe(async move {
            let _running = running;
            call.await
        });
        let call = call.catch_unwind().map_err(|panic| GuestPanic::new(&*panic)).boxed();
        let call = match at_first(call).await {
            Ok(answer) => return answer,
            Err(call) => call,
        };
        // A set, since it ends its task (at the next yield) when nobody waits any more.
        let mut guest = JoinSet::new();
        match &self.guests {
            Some(guests) => guest.spawn_on(call, guests.handle()),
            // Only while the runtime is being dropped, when nobody can call it.
            None => guest.spawn(call),
        };
        match guest.join_next().await {
            Some(Ok(answer)) => answer,
            Some(Err(error)) => Err(GuestPanic(error.to_string())),
            None => Err(GuestPanic("the call is not there".to_owned())),
        }
    }

    /// Does something about instances that nobody waits for, a little later.
    pub(super) fn later(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.ticker.later(work.boxed());
    }

    /// How many components were compiled since the start, and not taken from the cache.
    pub fn compiled(&self) -> u64 {
        self.cache.misses()
    }
}

// === impl GuestPanic ===

impl GuestPanic {
    fn new(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Self(text.unwrap_or_else(|| "the host panicked".to_owned()))
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Some(guests) = self.guests.take() {
            // The last reference may go in async code, where waiting is not allowed.
            guests.shutdown_background();
        }
    }
}

/// Polls a call on the caller's thread until it has worked for [`FIRST`]; gives it back if it
/// is not over by then. A guest that loops gives the thread back at the next tick.
async fn at_first<T>(call: BoxFuture<'static, T>) -> Result<T, BoxFuture<'static, T>> {
    let (mut call, mut worked) = (Some(call), Duration::ZERO);
    poll_fn(|context| {
        let Some(mut polled) = call.take() else { return Poll::Pending };
        let began = time_worked();
        if let Poll::Ready(answer) = polled.poll_unpin(context) {
            return Poll::Ready(Ok(answer));
        }
        worked += time_worked().saturating_sub(began);
        if worked >= FIRST {
            return Poll::Ready(Err(polled));
        }
        call = Some(polled);
        Poll::Pending
    })
    .await
}

/// For how long this thread has had a processor.
fn time_worked() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

fn guests() -> std::io::Result<tokio::runtime::Runtime> {
    let threads = &mut tokio::runtime::Builder::new_multi_thread();
    // Here come guests that take long, and what nobody waits for. Where that is refused they
    // are no worse than others.
    let yielding = || {
        let _ = setpriority_process(Some(gettid()), NICE);
    };
    threads.thread_name("guest").on_thread_start(yielding).enable_all().build()
}

fn config() -> Config {
    let keeps = PoolingAllocationConfig::is_pagemap_scan_available();
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(INSTANCES)
        .total_stacks(INSTANCES)
        .total_core_instances(INSTANCES * CORE_INSTANCES)
        .total_memories(INSTANCES * MEMORIES)
        .total_tables(INSTANCES * TABLES)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_memory_size(MEMORY_MAX)
        .table_elements(TABLE_ELEMENTS)
        // Pages that an instance wrote to are overwritten with what they were, and not
        // given back: the next one would pay for each with a page fault. Where the kernel
        // cannot say which ones they are, all go.
        .linear_memory_keep_resident(if keeps { MEMORY_KEPT } else { 0 })
        .table_keep_resident(TABLE_KEPT)
        .pagemap_scan(Enabled::Auto);
    let mut config = common_config();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// For the process that compiles: its code is for the engine of [`config`], but it makes no
/// instances, reserves nothing for them, and has one thread.
pub(super) fn compiler_config() -> Config {
    let mut config = common_config();
    config.parallel_compilation(false);
    config
}

fn common_config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .epoch_interruption(true)
        // Address space for what a memory can have, not the 4 GiB it could address:
        // the daemon then also starts where address space is limited.
        .memory_reservation(MEMORY_MAX as u64)
        .memory_guard_size(64 << 10);
    config
}

fn linker(
    engine: &Engine,
    add: impl FnOnce(&mut Linker<CallState>) -> wasmtime::Result<()>,
) -> Result<Linker<CallState>, LoadError> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(LoadError::Engine)?;
    add(&mut linker).map_err(LoadError::Engine)?;
    Ok(linker)
}

#[cfg(test)]
mod tests {
    use std::hash::{DefaultHasher, Hash, Hasher};

    use super::*;

    /// A call that gives the thread back twice, each time after it has done something.
    fn call(work: impl Fn() + Send + 'static) -> BoxFuture<'static, ()> {
        async move {
            work();
            tokio::task::yield_now().await;
            work();
            tokio::task::yield_now().await;
        }
        .boxed()
    }

    /// On a busy host threads wait for a processor; that is not the call's doing.
    #[tokio::test]
    async fn a_call_that_has_to_wait_stays_where_it_is() {
        let waits = call(|| std::thread::sleep(2 * FIRST));
        assert!(at_first(waits).await.is_ok());
    }

    #[tokio::test]
    async fn a_call_that_works_long_is_given_back() {
        let works = call(|| {
            let began = time_worked();
            while time_worked() - began < FIRST {}
        });
        let Err(rest) = at_first(works).await else { panic!("it had the thread to its end") };
        rest.await;
    }

    #[test]
    fn both_engines_make_the_same_code() {
        let hash = |config: &Config| {
            let mut hasher = DefaultHasher::new();
            Engine::new(config).unwrap().precompile_compatibility_hash().hash(&mut hasher);
            hasher.finish()
        };
        assert_eq!(hash(&config()), hash(&compiler_config()));
    }
}
