//! Write a wasmnet driver in Rust.
//!
//! A driver is a type that implements [`NetworkDriver`] and is exported with
//! [`network_driver!`] (or [`IpamDriver`] and [`ipam_driver!`]). Build the
//! crate as a `cdylib` with `cargo build --release --target wasm32-wasip2`; the
//! `.wasm` file is the driver.
//!
//! Drivers keep no state in memory: every call gets a fresh instance. What has
//! to last goes to [`store`]; what was made in the kernel the host remembers.
//! See the package documentation in `wit/` for the rules of a call.
//!
//! ```no_run
//! use wasmnet_sdk::{Error, Network, NetworkDriver, links};
//!
//! struct Wire;
//!
//! impl NetworkDriver for Wire {
//!     fn create_network(_network: &Network) -> Result<(), Error> {
//!         let options = links::BridgeOptions { name: None, mtu: None, mac: None };
//!         links::create_bridge("bridge", &options)?;
//!         Ok(())
//!     }
//! }
//!
//! wasmnet_sdk::network_driver! {
//!     driver: Wire,
//!     name: "wire",
//!     description: "A bare bridge.",
//!     grants: { "links": ["bridge"] },
//! }
//! # fn main() {}
//! ```

mod address;
pub mod common;
mod error;
mod ipam;
mod manifest;
mod network;
mod options;

#[doc(hidden)]
pub mod bindings;

pub use self::{
    bindings::ipam::wasmnet::driver::{engine, host_networks},
    bindings::network::wasmnet::driver::{
        addresses, clock, cluster, config, firewall, links, log, neighbours, random, routes, store,
        sysctl,
        types::{
            DriverOption, Error, ErrorCode, IpAddress, IpFamily, IpNetwork, MacAddress,
            PortBinding, Protocol,
        },
    },
    ipam::{
        __IpamAdapter, AddressSpaces, IpamCapabilities, IpamDriver, IpamPool, Lease, LeasePurpose,
        LeaseState, PoolReport, PoolRequest, SharedPool,
    },
    manifest::__bytes,
    network::{
        __NetworkAdapter, ContainerInterface, DriverCapabilities, Endpoint, EndpointRequest,
        EndpointSettings, GatewaySkip, JoinInfo, Network, NetworkDriver, Node, Pool, Scope,
        StaticRoute,
    },
    options::Options,
};
pub use ipnet;
