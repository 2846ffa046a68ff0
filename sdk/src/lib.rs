//! Write a wasmnet driver in Rust.
//!
//! A driver is a type that implements [`NetworkDriver`] and is exported with
//! [`network_driver!`] (or [`IpamDriver`] and [`ipam_driver!`]); compiled to a WebAssembly
//! component, it is one `.wasm` file that a wasmnet host runs in a sandbox.
//!
//! # From nothing to a driver
//!
//! ```sh
//! wasmnet new acme --template bridge    # or: ipam, blank
//! cd acme
//! cargo test                            # its logic, on a host in memory
//! cargo build --release --target wasm32-wasip2
//! wasmnet driver inspect target/wasm32-wasip2/release/acme.wasm
//! wasmnet conformance target/wasm32-wasip2/release/acme.wasm
//! ```
//!
//! By hand it is a crate whose `Cargo.toml` has
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib"]
//!
//! [dependencies]
//! wasmnet-sdk = "0.1"
//! ```
//!
//! and this in `src/lib.rs`:
//!
//! ```
//! use wasmnet_sdk::{
//!     ContainerInterface, Endpoint, EndpointRequest, EndpointSettings, Error, JoinInfo, Network,
//!     NetworkDriver, common, links,
//! };
//!
//! struct Wire;
//!
//! wasmnet_sdk::network_driver! {
//!     driver: Wire,
//!     name: "wire",
//!     description: "A bare bridge.",
//!     grants: { "links": ["bridge", "veth"] },
//! }
//!
//! impl NetworkDriver for Wire {
//!     fn create_network(_network: &Network) -> Result<(), Error> {
//!         let options = links::BridgeOptions { name: None, mtu: None, mac: None };
//!         links::create_bridge("bridge", &options)?;
//!         Ok(())
//!     }
//!
//!     fn create_endpoint(
//!         _network: &Network,
//!         request: &EndpointRequest,
//!     ) -> Result<EndpointSettings, Error> {
//!         let mac = request.mac.is_none().then(|| common::choose_mac(request.ipv4));
//!         let options = links::VethOptions { mtu: None, peer_mac: request.mac.or(mac) };
//!         links::create_veth("port", &links::open("bridge")?, options)?;
//!         Ok(EndpointSettings { ipv4: None, ipv6: None, mac })
//!     }
//!
//!     fn join(_: &Network, _: &Endpoint, _: &str) -> Result<JoinInfo, Error> {
//!         let source = links::open("port")?.peer_name().unwrap_or_default();
//!         let interface = Some(ContainerInterface { source, prefix: "eth".to_owned() });
//!         Ok(JoinInfo {
//!             interface,
//!             gateway: None,
//!             gateway_ipv6: None,
//!             routes: Vec::new(),
//!             disable_gateway_service: true,
//!         })
//!     }
//! }
//!
//! # use wasmnet_sdk::mock;
//! # let mut docker = mock::Docker::<Wire>::new();
//! # docker.create_network(&mock::network("n1").subnet("10.1.0.0/24").done()).unwrap();
//! # docker.create_endpoint("n1", &mock::endpoint("e1").address("10.1.0.2/24").done()).unwrap();
//! # docker.join("n1", "e1").unwrap();
//! # assert_eq!(docker.host().standing(), ["bridge n1/bridge", "veth n1/e1/port at n1/bridge"]);
//! ```
//!
//! What is not written needs no code: the host deletes what an endpoint or a network made.
//!
//! # The rules of a call
//!
//! * Every call gets a fresh instance: a `static` remembers nothing. What has to last goes to
//!   [`store`]; what was made in the kernel the host remembers ([`links::open`]).
//! * A call is a transaction. If it returns an error, panics or takes longer than five seconds,
//!   everything it did is undone. So there is nothing to clean up: `?` is enough.
//! * The host answers repeated calls and calls for unknown ids; a driver sees each endpoint's
//!   life once and in order, and calls of one network never overlap.
//! * A driver may do what its manifest asks for (`grants`) *and* the operator grants. Its own
//!   links, its networks' subnets and the [`store`] need no grant.
//! * An [`Error`]'s message is for the person who typed the `docker` command: one sentence that
//!   says what is wrong and what would be right.
//!
//! The package documentation in `wit/` has all of them.
//!
//! # What there is
//!
//! | | |
//! |---|---|
//! | [`links`], [`addresses`], [`routes`], [`neighbours`], [`sysctl`] | the driver's own links, and what is on them |
//! | [`firewall`] | who may talk to whom, and published ports |
//! | [`store`] | durable keys and values |
//! | [`cluster`] | what the nodes of a cluster know in common |
//! | [`config`], [`log`], [`clock`], [`random`] | the operator's words, a log, time and randomness |
//! | [`engine`], [`host_networks`] | for IPAM drivers: when the engine was started anew, and which subnets are taken |
//! | [`Options`], [`common`] | a user's options, with errors that say what would be right |
//! | `mock` | a host in memory, for tests (not on `wasm32`) |

mod address;
pub mod common;
mod error;
mod ipam;
mod manifest;
#[cfg(not(target_arch = "wasm32"))]
pub mod mock;
mod network;
mod options;

#[doc(hidden)]
pub mod bindings;

/// The imports: of the host where the crate is a component, else of a host in memory.
#[cfg(target_arch = "wasm32")]
pub use self::bindings::{
    ipam::wasmnet::driver::{engine, host_networks},
    network::wasmnet::driver::{
        addresses, clock, cluster, config, files, firewall, http, links, log, neighbours, random,
        routes, store, sysctl,
    },
};
#[cfg(not(target_arch = "wasm32"))]
pub use self::mock::imports::{
    addresses, clock, cluster, config, engine, files, firewall, host_networks, http, links, log,
    neighbours, random, routes, store, sysctl,
};
pub use self::{
    bindings::network::wasmnet::driver::types::{
        DriverOption, Error, ErrorCode, IpAddress, IpFamily, IpNetwork, MacAddress, PortBinding,
        Protocol,
    },
    ipam::{
        __IpamAdapter, AddressSpaces, IpamCapabilities, IpamDriver, IpamPool, Lease, LeasePurpose,
        LeaseState, PoolReport, PoolRequest, SharedPool,
    },
    manifest::__bytes,
    network::{
        __NetworkAdapter, ContainerInterface, DriverCapabilities, Endpoint, EndpointRequest,
        EndpointSettings, GatewaySkip, JoinInfo, Network, NetworkDriver, Node, Pool, Progress,
        Scope, StaticRoute,
    },
    options::Options,
};
pub use ipnet;
