//! A host in memory, so that a driver's logic runs under plain `cargo test`.
//!
//! Where a crate is not compiled for `wasm32`, the modules of this crate ([`links`],
//! [`addresses`], [`store`] and so on) work on a host in memory that the test's thread has for
//! itself. [`Docker`] makes an engine's calls to a [`NetworkDriver`], [`Ipam`] those to an
//! [`IpamDriver`]. As on a real host
//!
//! * a call is a transaction: if the driver returns an error, nothing of it stays;
//! * what an endpoint or a network made goes with it, whatever the driver forgot;
//! * repeated calls get the answer they got before, without the driver;
//! * a driver has only its own links, found by label; a name or label that is taken, an address
//!   outside the network's subnets, a port that somebody has: each is the error it would be;
//! * a call has its limits, and an answer that the engine would not take is refused.
//!
//! [`Host`] says what stands, and lets the nth import fail. What the host in memory does *not*
//! know are the grants of the driver's manifest: `wasmnet conformance` on the component does.
//!
//! ```
//! use wasmnet_sdk::{Error, Network, NetworkDriver, addresses, links, mock};
//!
//! struct Wire;
//!
//! impl NetworkDriver for Wire {
//!     fn create_network(network: &Network) -> Result<(), Error> {
//!         let options = links::BridgeOptions { name: None, mtu: None, mac: None };
//!         let bridge = links::create_bridge("bridge", &options)?;
//!         for gateway in network.ipv4.iter().filter_map(|pool| pool.gateway) {
//!             addresses::add(&bridge, gateway)?;
//!         }
//!         Ok(())
//!     }
//! }
//!
//! let mut docker = mock::Docker::<Wire>::new();
//! let network = mock::network("n1").subnet("10.1.0.0/24").done();
//! docker.create_network(&network)?;
//! let host = docker.host();
//! assert_eq!(host.standing(), ["bridge n1/bridge", "address 10.1.0.1/24 on n1/bridge"]);
//! docker.delete_network("n1")?;
//! assert_eq!(host.standing(), [""; 0]);
//!
//! // Whatever fails, nothing is left behind.
//! let failures = docker.fail_everywhere(|docker| docker.create_network(&network));
//! assert_eq!(failures, 2);
//! # Ok::<(), Error>(())
//! ```
//!
//! [`links`]: crate::links
//! [`addresses`]: crate::addresses
//! [`store`]: crate::store
//! [`NetworkDriver`]: crate::NetworkDriver
//! [`IpamDriver`]: crate::IpamDriver

mod docker;
mod host;
pub(crate) mod imports;
mod ipam;
mod object;
mod requests;
mod state;

pub use self::{
    docker::Docker,
    host::Host,
    ipam::Ipam,
    object::{Link, LinkKind, Object},
    requests::{EndpointBuilder, NetworkBuilder, PoolBuilder, endpoint, network, pool, port},
};
