//! A dispatcher on a kernel, and requests as an engine makes them.

use std::{path::Path, sync::Arc, time::Duration};

use tempfile::TempDir;
use wasmnet::{
    builtin,
    dispatch::{Dispatcher, Drivers, Slot},
    grants::{Authority, Grants},
    id::{DriverName, EndpointId, NetworkId},
    kernel::{Kernel, Simulated, Snapshot, linux::Linux},
    ledger::{Caller, Ledger, Limits, Transaction},
    model::{EndpointRequest, Network, Options, Pool},
    reconcile,
    runtime::{Call, CallLimits, Compiler, Driver, Runtime, Settings},
    store::Store,
};

/// How long something may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(15);

/// A dispatcher with the built-in drivers on a kernel.
pub struct Bench {
    pub kernel: Arc<dyn Kernel>,
    pub dispatcher: Arc<Dispatcher>,
    runtime: Arc<Runtime>,
    state: TempDir,
}

impl Bench {
    /// Starts on a kernel, as the daemon does.
    pub async fn start(kernel: Arc<dyn Kernel>) -> Self {
        Self::with_grants(kernel, None).await
    }

    /// The same with drivers that are granted just this.
    pub async fn with_grants(kernel: Arc<dyn Kernel>, grants: Option<Grants>) -> Self {
        // Compiled once for all tests.
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
        let runtime = Arc::new(Runtime::new(&cache, Compiler::InProcess).unwrap());
        // In memory, where it can be: a disk has its own time for each of many durable writes.
        let memory = Path::new("/dev/shm");
        let state = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
        let state = state.unwrap();
        let dispatcher = dispatcher_on(&runtime, &kernel, state.path(), grants).await;
        Self { kernel, dispatcher, runtime, state }
    }

    /// Starts again on the same state and kernel, as after a crash.
    pub async fn restart(self) -> Self {
        let Self { kernel, dispatcher, runtime, state } = self;
        drop(dispatcher);
        // The store's file is locked until its last user is gone, and what is deleted in
        // the background goes on for a moment.
        while matches!(Store::open(state.path()), Err(wasmnet::store::Error::InUse(_))) {
            tokio::task::yield_now().await;
        }
        let dispatcher = dispatcher_on(&runtime, &kernel, state.path(), None).await;
        Self { kernel, dispatcher, runtime, state }
    }

    /// Waits until what was deleted is gone.
    pub async fn settle(&self) {
        self.dispatcher.ledger().reap(&*self.kernel, None).await;
    }

    /// The namespace as it is, when what was deleted is gone.
    pub async fn snapshot(&self) -> Snapshot {
        self.settle().await;
        self.kernel.snapshot().await.unwrap()
    }

    /// Fails the test if the ledger knows anything.
    pub fn assert_ledger_empty(&self) {
        let state = self.dispatcher.ledger().read();
        assert!(state.networks.is_empty(), "{:?}", state.networks);
        assert!(state.endpoints.is_empty(), "{:?}", state.endpoints);
        assert!(state.objects.is_empty(), "{:?}", state.objects);
        assert!(state.keys.is_empty(), "{:?}", state.keys);
    }
}

async fn dispatcher_on(
    runtime: &Arc<Runtime>,
    kernel: &Arc<dyn Kernel>,
    state: &Path,
    grants: Option<Grants>,
) -> Arc<Dispatcher> {
    let settings = Settings { grants, ..Settings::default() };
    let ledger = Arc::new(Ledger::open(Store::open(state).unwrap()).unwrap());
    let drivers = Drivers::default();
    for built_in in &builtin::DRIVERS {
        let name: DriverName = built_in.name.parse().unwrap();
        let call = || Call {
            transaction: Transaction::begin(
                Arc::clone(kernel),
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
            limits: CallLimits::default(),
        };
        let (bytes, settings) = (built_in.component, settings.clone());
        let driver = Driver::from_bytes(runtime, name.clone(), bytes, settings, call).await;
        drivers.insert(name, Slot::Ready(Arc::new(driver.unwrap())));
    }
    let dispatcher = Arc::new(Dispatcher::new(Arc::clone(kernel), ledger, drivers, Arc::default()));
    reconcile::start(&dispatcher).await.unwrap();
    dispatcher
}

/// Runs a test on the simulated kernel.
pub fn simulated<F: Future<Output = ()>>(test: impl FnOnce(Arc<Simulated>) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(test(Arc::new(Simulated::default())));
}

/// Runs a test on Linux, in a network namespace of its own.
pub fn linux<F: Future<Output = ()>>(test: impl FnOnce(Arc<Linux>) -> F + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            enter_new_namespace();
            // Its threads are this one's children, and so in the same namespace.
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(async { test(Arc::new(Linux::open().unwrap())).await });
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Runs a test on both.
pub fn both<F: Future<Output = ()>>(test: impl Fn(Arc<dyn Kernel>) -> F + Sync) {
    simulated(|kernel| test(kernel));
    linux(|kernel| test(kernel));
}

#[allow(unsafe_code, reason = "rustix marks unshare unsafe for what it can do to files")]
fn enter_new_namespace() {
    // SAFETY: a new network namespace changes no memory and no file descriptors; it is
    // this thread's alone, and the thread ends with the test.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }
        .expect("a network namespace; tests run as root");
}

/// The driver's name.
pub fn bridge() -> DriverName {
    "wasm-bridge".parse().unwrap()
}

/// The macvlan driver's name.
pub fn macvlan() -> DriverName {
    "wasm-macvlan".parse().unwrap()
}

/// The IPAM driver's name.
pub fn ipam() -> DriverName {
    "wasm-ipam".parse().unwrap()
}

/// A network's id made from a number.
pub fn network_id(number: u8) -> NetworkId {
    format!("{number:064x}").parse().unwrap()
}

/// An endpoint's id made from a number.
pub fn endpoint_id(number: u8) -> EndpointId {
    format!("{number:064x}").parse().unwrap()
}

/// A network on 10.NUMBER.0.0/16 and fd00:NUMBER::/64.
pub fn network(number: u8) -> Network {
    let pool = |subnet: String, gateway: String| Pool {
        address_space: "LocalDefault".to_owned(),
        subnet: subnet.parse().unwrap(),
        gateway: Some(gateway.parse().unwrap()),
        auxiliary: Default::default(),
    };
    Network {
        id: network_id(number),
        options: Options::new(),
        internal: false,
        ipv4: vec![pool(format!("10.{number}.0.0/16"), format!("10.{number}.0.1/16"))],
        ipv6: vec![pool(format!("fd00:{number}::/64"), format!("fd00:{number}::1/64"))],
    }
}

/// An endpoint with the address 10.NETWORK.0.HOST.
pub fn endpoint(number: u8, network: u8, host: u8) -> EndpointRequest {
    EndpointRequest {
        id: endpoint_id(number),
        ipv4: Some(format!("10.{network}.0.{host}/16").parse().unwrap()),
        ipv6: None,
        mac: None,
        options: Options::new(),
    }
}

/// Waits for something that happens by itself.
pub async fn until(what: &str, state: impl AsyncFn() -> bool) {
    let reached = async {
        while !state().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.unwrap_or_else(|_| {
        panic!("waited too long until {what}");
    });
}
