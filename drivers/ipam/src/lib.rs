//! The wasm-ipam driver: addresses for Docker networks.
//!
//! What Docker's built-in IPAM does, with its rules and its sentences, and more: the books
//! are durable, an address rests before somebody else gets it, and taking one costs the
//! same in a /8 as in a /28 ([`tree`]). The logic ([`ipam`]) knows nothing of the sandbox: it
//! works on a [`Store`](store::Store), the host's or one in memory.
//!
//! Several hosts can share a pool: what they agree on stands in [`agreed`], what one of them
//! has of it in [`shared`].

pub mod agreed;
pub mod blocks;
mod codec;
pub mod errors;
pub mod ipam;
pub mod net;
pub mod options;
pub mod record;
pub mod shared;
pub mod store;
pub mod tree;

use wasmnet_sdk::{
    AddressSpaces, DriverOption, Error, IpAddress, IpNetwork, IpamCapabilities, IpamDriver,
    IpamPool, Lease, PoolReport, PoolRequest,
};

use crate::{ipam::Ipam, record::Space, store::Host};

/// The driver, on the host's store.
#[derive(Debug)]
pub struct Driver;

wasmnet_sdk::ipam_driver! {
    driver: Driver,
    name: "ipam",
    description: "Addresses with durable books, named pools and rest before reuse.",
    grants: { "host-networks": true, "cluster": true },
}

fn ipam() -> Ipam<Host, Host> {
    Ipam { store: Host, world: Host }
}

// === impl Driver ===

impl IpamDriver for Driver {
    fn capabilities() -> IpamCapabilities {
        IpamCapabilities {
            // A lease has an owner then, and endpoints can be told from gateways.
            requires_mac_address: true,
            // So the driver learns what an engine still knows after a crash of either.
            requires_request_replay: true,
        }
    }

    fn default_address_spaces() -> AddressSpaces {
        AddressSpaces {
            local: Space::Local.name().to_owned(),
            global: Space::Global.name().to_owned(),
        }
    }

    fn request_pool(request: &PoolRequest) -> Result<IpamPool, Error> {
        ipam().request_pool(request)
    }

    fn release_pool(pool: &str) -> Result<(), Error> {
        ipam().release_pool(pool)
    }

    fn request_address(
        pool: &str,
        address: Option<IpAddress>,
        options: &[DriverOption],
    ) -> Result<IpNetwork, Error> {
        let net = ipam().request_address(pool, address.map(Into::into), options)?;
        Ok(net.into())
    }

    fn release_address(pool: &str, address: IpAddress) -> Result<(), Error> {
        ipam().release_address(pool, address.into())
    }

    fn pools() -> Result<Vec<PoolReport>, Error> {
        ipam().pools()
    }

    fn leases(pool: &str, after: Option<IpAddress>) -> Result<Vec<Lease>, Error> {
        ipam().leases(pool, after.map(Into::into))
    }

    fn agreed_changed() -> Result<bool, Error> {
        ipam().agreed_changed()
    }
}
