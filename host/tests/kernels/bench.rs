//! A dispatcher on a kernel, and requests as an engine makes them.

use std::{ops::Deref, path::Path, sync::Arc, time::Duration};

use wasmnet::{
    builtin,
    conformance::{self, bench, in_new_namespace},
    grants::Grants,
    id::{DriverName, EndpointId, NetworkId},
    kernel::{Kernel, Simulated, Snapshot, linux::Linux},
    model::{EndpointRequest, Network, Options, Pool},
    runtime::{Compiler, Runtime, Settings},
    store::Store,
};

/// How long something may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(15);

/// A dispatcher with the built-in drivers on a kernel.
pub struct Bench(conformance::Bench);

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
        let settings = Settings { grants, ..Settings::default() };
        let mut drivers = Vec::new();
        for built_in in &builtin::DRIVERS {
            let (name, settings) = (built_in.name.parse().unwrap(), settings.clone());
            let name: DriverName = name;
            let driver = bench::load(&runtime, name.clone(), built_in.component, settings).await;
            drivers.push((name, driver.unwrap().unwrap()));
        }
        // In memory: a disk has its own time for each of many durable writes.
        let store = Arc::new(Store::in_memory().unwrap());
        let bench = conformance::Bench::start(kernel, store, bench::drivers(drivers)).await;
        Self(bench.unwrap())
    }

    /// Starts again on the same state and kernel, as after a crash.
    pub async fn restart(self) -> Self {
        Self(self.0.restart().await.unwrap())
    }

    /// The namespace as it is, when what was deleted is gone.
    pub async fn snapshot(&self) -> Snapshot {
        self.0.snapshot().await.unwrap()
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

impl Deref for Bench {
    type Target = conformance::Bench;

    fn deref(&self) -> &conformance::Bench {
        &self.0
    }
}

/// Runs a test on the simulated kernel.
pub fn simulated<F: Future<Output = ()>>(test: impl FnOnce(Arc<Simulated>) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(test(Arc::new(Simulated::default())));
}

/// Runs a test on Linux, in a network namespace of its own.
pub fn linux<F: Future<Output = ()>>(test: impl FnOnce(Arc<Linux>) -> F + Send) {
    let run = || {
        // Its threads are this one's children, and so in the same namespace.
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async { test(Arc::new(Linux::open().unwrap())).await });
    };
    in_new_namespace(run).expect("a network namespace; tests run as root");
}

/// Runs a test on both.
pub fn both<F: Future<Output = ()>>(test: impl Fn(Arc<dyn Kernel>) -> F + Sync) {
    simulated(|kernel| test(kernel));
    linux(|kernel| test(kernel));
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
