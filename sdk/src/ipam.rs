//! The IPAM driver trait and its way into the contract.

use std::marker::PhantomData;

use crate::{
    DriverOption, Error, IpAddress, IpNetwork,
    bindings::ipam::exports::wasmnet::driver::ipam_driver,
};

pub use ipam_driver::{
    AddressSpaces, DriverCapabilities as IpamCapabilities, Lease, LeasePurpose, LeaseState,
    Pool as IpamPool, PoolReport, PoolRequest, SharedPool,
};

/// An IPAM driver. Each method is one transaction.
pub trait IpamDriver {
    /// What the engine should know beforehand.
    fn capabilities() -> IpamCapabilities {
        IpamCapabilities { requires_mac_address: false, requires_request_replay: false }
    }

    /// Names of the two address spaces.
    fn default_address_spaces() -> AddressSpaces;

    /// Reserves a pool.
    fn request_pool(request: &PoolRequest) -> Result<IpamPool, Error>;

    /// Gives a pool back.
    fn release_pool(pool: &str) -> Result<(), Error>;

    /// Reserves an address: this one, or any.
    fn request_address(
        pool: &str,
        address: Option<IpAddress>,
        options: &[DriverOption],
    ) -> Result<IpNetwork, Error>;

    /// Gives an address back.
    fn release_address(pool: &str, address: IpAddress) -> Result<(), Error>;

    /// The pools that are reserved, for the operator.
    fn pools() -> Result<Vec<PoolReport>, Error> {
        Err(Error::unavailable("the driver does not tell about its pools"))
    }

    /// Up to 1,000 of a pool's leases in the order of addresses, those after `after`.
    fn leases(_pool: &str, _after: Option<IpAddress>) -> Result<Vec<Lease>, Error> {
        Err(Error::unavailable("the driver does not tell about its leases"))
    }

    /// Agreed values whose keys begin with `tell/` may have changed, or the cluster's store
    /// can be reached (again); says whether it wants to be called once more.
    fn agreed_changed() -> Result<bool, Error> {
        Ok(false)
    }
}

/// Carries an [`IpamDriver`] into the generated traits.
#[doc(hidden)]
pub struct __IpamAdapter<D>(PhantomData<D>);

// === impl __IpamAdapter ===

impl<D: IpamDriver> ipam_driver::Guest for __IpamAdapter<D> {
    fn capabilities() -> IpamCapabilities {
        D::capabilities()
    }

    fn default_address_spaces() -> AddressSpaces {
        D::default_address_spaces()
    }

    fn request_pool(request: PoolRequest) -> Result<IpamPool, Error> {
        D::request_pool(&request)
    }

    fn release_pool(pool: String) -> Result<(), Error> {
        D::release_pool(&pool)
    }

    fn request_address(
        pool: String,
        address: Option<IpAddress>,
        options: Vec<DriverOption>,
    ) -> Result<IpNetwork, Error> {
        D::request_address(&pool, address, &options)
    }

    fn release_address(pool: String, address: IpAddress) -> Result<(), Error> {
        D::release_address(&pool, address)
    }

    fn pools() -> Result<Vec<PoolReport>, Error> {
        D::pools()
    }

    fn leases(pool: String, after: Option<IpAddress>) -> Result<Vec<Lease>, Error> {
        D::leases(&pool, after)
    }

    fn agreed_changed() -> Result<bool, Error> {
        D::agreed_changed()
    }
}
