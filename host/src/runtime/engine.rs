//! The engine all drivers share.

use std::{path::Path, sync::Arc};

use tokio::sync::Semaphore;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, component::Linker,
};

use super::{
    LoadError,
    bindings::{ipam::IpamPlugin, network::NetworkPlugin},
    cache::Cache,
    call::CallState,
    compiler::Compiler,
    ticker::Ticker,
};

/// Calls at the same time; more of them wait.
const CALLS: u32 = 64;
/// Most memory a driver can be given, in bytes; the pool reserves address space for it.
pub(super) const MEMORY_MAX: usize = 64 << 20;
/// Core instances, memories and tables one component may be made of.
const CORE_INSTANCES: u32 = 32;
const MEMORIES: u32 = 2;
const TABLES: u32 = 16;
/// Entries in a table.
const TABLE_ELEMENTS: usize = 10_000;
/// What a memory and a table may keep of their pages, in bytes, for the next instance.
const MEMORY_KEPT: usize = 1 << 20;
const TABLE_KEPT: usize = 64 << 10;

/// The WebAssembly engine, ready to load and call drivers.
pub struct Runtime {
    pub(super) engine: Engine,
    pub(super) network: Linker<CallState>,
    pub(super) ipam: Linker<CallState>,
    pub(super) cache: Cache,
    pub(super) slots: Arc<Semaphore>,
    guests: Option<tokio::runtime::Runtime>,
    ticker: Ticker,
}

// === impl Runtime ===

impl Runtime {
    /// Sets the engine up; compiled code comes from `compiler` and goes to folder `cache`.
    pub fn new(cache: &Path, compiler: Compiler) -> Result<Self, LoadError> {
        let engine = Engine::new(&config()).map_err(LoadError::Engine)?;
        let network = linker(&engine, |linker| {
            NetworkPlugin::add_to_linker::<_, CallState>(linker, |state| state)
        })?;
        let ipam = linker(&engine, |linker| {
            IpamPlugin::add_to_linker::<_, CallState>(linker, |state| state)
        })?;
        let cache = Cache::open(cache, &engine, compiler)?;
        let ticker = Ticker::start(&engine);
        let slots = Arc::new(Semaphore::new(CALLS as usize));
        let guests = Some(guests().map_err(LoadError::Threads)?);
        Ok(Self { engine, network, ipam, cache, slots, guests, ticker })
    }

    /// Runs guest code on threads of its own: however long it loops, the sockets, the
    /// deadlines and the other networks' kernel work go on beside it.
    pub(super) fn spawn_guest<T: Send + 'static>(
        &self,
        call: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        let running = self.ticker.run();
        let call = async move {
            let _running = running;
            call.await
        };
        match &self.guests {
            Some(guests) => guests.spawn(call),
            // Only while the runtime is being dropped, when nobody can call it.
            None => tokio::spawn(call),
        }
    }

    /// How many components were compiled since the start, and not taken from the cache.
    pub fn compiled(&self) -> u64 {
        self.cache.misses()
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

fn guests() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().thread_name("guest").enable_all().build()
}

fn config() -> Config {
    let keeps = PoolingAllocationConfig::is_pagemap_scan_available();
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(CALLS)
        .total_stacks(CALLS)
        .total_core_instances(CALLS * CORE_INSTANCES)
        .total_memories(CALLS * MEMORIES)
        .total_tables(CALLS * TABLES)
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
