//! An IPAM driver: the lowest free address first, for subnets that the user chooses.
//!
//! Its books are keys of the store: `pool/ID` is a pool that is reserved, `address/ID/ADDRESS`
//! an address that is taken. Every call is a transaction in a fresh instance: on an error
//! everything is undone.

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use wasmnet_sdk::{
    AddressSpaces, DriverOption, Error, IpAddress, IpNetwork, IpamDriver, IpamPool, PoolRequest,
    ipnet::IpNet,
    store::{self, Scope},
};

struct Driver;

// What it is called. It asks the operator for nothing.
wasmnet_sdk::ipam_driver! {
    driver: Driver,
    name: "template-ipam",
    description: "Addresses, the lowest first.",
}

impl IpamDriver for Driver {
    fn default_address_spaces() -> AddressSpaces {
        AddressSpaces { local: "local".to_owned(), global: "global".to_owned() }
    }

    fn request_pool(request: &PoolRequest) -> Result<IpamPool, Error> {
        let subnet = request.subnet.ok_or_else(|| {
            Error::invalid("this driver chooses no subnets; say which with --subnet")
        })?;
        if request.sub_pool.is_some() {
            return Err(Error::invalid("this driver knows no --ip-range"));
        }
        let id = subnet.subnet().to_string();
        let net: IpNet = id.parse().map_err(|_| Error::invalid("no such subnet"))?;
        for other in store::keys(Scope::Driver, "pool/")? {
            let other = other.trim_start_matches("pool/").parse::<IpNet>();
            if other.is_ok_and(|other| other.contains(&net) || net.contains(&other)) {
                return Err(Error::exists(format!("{id} overlaps with a pool that is in use")));
            }
        }
        store::set(Scope::Driver, &format!("pool/{id}"), b"")?;
        Ok(IpamPool { id, subnet: subnet.subnet(), gateway: None })
    }

    fn release_pool(pool: &str) -> Result<(), Error> {
        for key in store::keys(Scope::Driver, &format!("address/{pool}/"))? {
            store::delete(Scope::Driver, &key)?;
        }
        store::delete(Scope::Driver, &format!("pool/{pool}"))
    }

    fn request_address(
        pool: &str,
        address: Option<IpAddress>,
        _options: &[DriverOption],
    ) -> Result<IpNetwork, Error> {
        let net = find(pool)?;
        let found = match address.map(IpAddr::from) {
            Some(wanted) if !net.contains(&wanted) => {
                return Err(Error::invalid(format!("{wanted} is not in {pool}")));
            }
            Some(wanted) => take(pool, wanted)?.then_some(wanted),
            // Neither the subnet's own address nor its broadcast address.
            None => {
                let ends = [net.network(), net.broadcast()];
                let mut free = None;
                for candidate in net.hosts().filter(|host| !ends.contains(host)) {
                    if take(pool, candidate)? {
                        free = Some(candidate);
                        break;
                    }
                }
                free
            }
        };
        match (found, address) {
            (Some(found), _) => {
                Ok(IpNetwork { address: found.into(), prefix_length: net.prefix_len() })
            }
            (None, Some(wanted)) => Err(Error::exists(format!("{wanted} is in use"))),
            (None, None) => Err(Error::exhausted(format!("all addresses of {pool} are in use"))),
        }
    }

    fn release_address(pool: &str, address: IpAddress) -> Result<(), Error> {
        store::delete(Scope::Driver, &format!("address/{pool}/{address}"))
    }
}

/// The subnet of a pool that is reserved.
fn find(pool: &str) -> Result<IpNet, Error> {
    let none = || Error::not_found(format!("there is no pool {pool}"));
    store::get(Scope::Driver, &format!("pool/{pool}"))?.ok_or_else(none)?;
    pool.parse().map_err(|_| none())
}

/// Takes an address if nobody has it.
fn take(pool: &str, address: IpAddr) -> Result<bool, Error> {
    store::compare_and_set(Scope::Driver, &format!("address/{pool}/{address}"), None, b"")
}
