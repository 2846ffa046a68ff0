//! An engine that calls an IPAM driver.

use std::marker::PhantomData;

use super::{
    host::Host,
    state::{Call, with},
};
use crate::{
    DriverOption, Error, IpAddress, IpNetwork, IpamDriver, IpamPool, Lease, PoolReport, PoolRequest,
};

/// An engine that calls IPAM driver `D` on a host in memory; each call is a transaction.
///
/// ```
/// use wasmnet_sdk::mock;
/// # use wasmnet_sdk::*;
/// # struct Shelf;
/// # impl IpamDriver for Shelf {
/// #     fn default_address_spaces() -> AddressSpaces {
/// #         AddressSpaces { local: "local".into(), global: "global".into() }
/// #     }
/// #     fn request_pool(request: &PoolRequest) -> Result<IpamPool, Error> {
/// #         let subnet = request.subnet.ok_or_else(|| Error::invalid("which subnet?"))?;
/// #         Ok(IpamPool { id: subnet.to_string(), subnet, gateway: None })
/// #     }
/// #     fn release_pool(_: &str) -> Result<(), Error> { Ok(()) }
/// #     fn request_address(pool: &str, _: Option<IpAddress>, _: &[DriverOption]) -> Result<IpNetwork, Error> {
/// #         let mut net: IpNetwork = pool.parse()?;
/// #         net.address = "10.1.0.1".parse()?;
/// #         Ok(net)
/// #     }
/// #     fn release_address(_: &str, _: IpAddress) -> Result<(), Error> { Ok(()) }
/// # }
///
/// let ipam = mock::Ipam::<Shelf>::new();
/// let pool = ipam.request_pool(&mock::pool("local").subnet("10.1.0.0/24").done())?;
/// let address = ipam.request_address(&pool.id, None, &[])?;
/// assert_eq!(address.to_string(), "10.1.0.1/24");
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct Ipam<D> {
    host: Host,
    driver: PhantomData<D>,
}

// === impl Ipam ===

impl<D: IpamDriver> Default for Ipam<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D: IpamDriver> Ipam<D> {
    /// An engine on an empty host.
    pub fn new() -> Self {
        Self { host: Host::new(), driver: PhantomData }
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// A new engine: it repeats what it had asked for, if the driver's capabilities want that.
    pub fn restart_engine(&self) {
        with(|state| state.session += 1);
    }

    /// Reserves a pool.
    pub fn request_pool(&self, request: &PoolRequest) -> Result<IpamPool, Error> {
        self.host.call(Call::default(), || D::request_pool(request))
    }

    /// Gives a pool back.
    pub fn release_pool(&self, pool: &str) -> Result<(), Error> {
        self.host.call(Call::default(), || D::release_pool(pool))
    }

    /// Reserves an address: this one, or any.
    pub fn request_address(
        &self,
        pool: &str,
        address: Option<IpAddress>,
        options: &[DriverOption],
    ) -> Result<IpNetwork, Error> {
        self.host.call(Call::default(), || D::request_address(pool, address, options))
    }

    /// Gives an address back.
    pub fn release_address(&self, pool: &str, address: IpAddress) -> Result<(), Error> {
        self.host.call(Call::default(), || D::release_address(pool, address))
    }

    /// The pools that are reserved.
    pub fn pools(&self) -> Result<Vec<PoolReport>, Error> {
        self.host.call(Call::default(), D::pools)
    }

    /// Some of a pool's leases.
    pub fn leases(&self, pool: &str, after: Option<IpAddress>) -> Result<Vec<Lease>, Error> {
        self.host.call(Call::default(), || D::leases(pool, after))
    }

    /// Agreed values may have changed, or the cluster's store can be reached.
    pub fn agreed_changed(&self) -> Result<(), Error> {
        // As the host does: a driver that has more to do is asked again.
        while self.host.call(Call::default(), D::agreed_changed)? {}
        Ok(())
    }
}
