//! An IPAM driver in few lines: IPv4 only, the lowest free address first.
//!
//! Everything it has to remember stands in `store`: `pool/ID` is a pool's subnet,
//! `address/ID/ADDRESS` an address that is taken.

use wasmnet_sdk::{
    AddressSpaces, DriverOption, Error, ErrorCode, IpAddress, IpFamily, IpNetwork, IpamDriver,
    IpamPool, PoolRequest, store,
};

/// Pools that the driver chooses itself are 10.200.N.0/24.
const OWN_POOLS: std::ops::RangeInclusive<u8> = 1..=250;
/// Longest prefix that leaves room for addresses.
const PREFIX_MAX: u8 = 30;

struct Shelf;

wasmnet_sdk::ipam_driver! {
    driver: Shelf,
    name: "shelf",
    description: "Addresses from a shelf, lowest first.",
}

// === impl Shelf ===

impl IpamDriver for Shelf {
    fn default_address_spaces() -> AddressSpaces {
        AddressSpaces { local: "shelf-local".to_owned(), global: "shelf-global".to_owned() }
    }

    fn request_pool(request: &PoolRequest) -> Result<IpamPool, Error> {
        if request.family == IpFamily::Ipv6 {
            return Err(Error::invalid("there is no IPv6 on this shelf"));
        }
        let subnet = match request.subnet {
            Some(subnet) => subnet,
            None => OWN_POOLS
                .map(|number| network([10, 200, number, 0], 24))
                .find(|subnet| !is_taken(subnet))
                .ok_or_else(|| exhausted("all pools are taken"))?,
        };
        let (base, prefix) = parts(&subnet)?;
        if prefix > PREFIX_MAX {
            return Err(Error::invalid(format!("a /{prefix} has no room for addresses")));
        }
        let id = format!("{}-{prefix}", dotted(base));
        let new = store::compare_and_set(
            store::Scope::Driver,
            &format!("pool/{id}"),
            None,
            &[&base.to_be_bytes()[..], &[prefix]].concat(),
        )?;
        if new {
            Ok(IpamPool { id, subnet, gateway: None })
        } else {
            Err(Error { code: ErrorCode::Exists, message: format!("pool {id} is taken") })
        }
    }

    fn release_pool(pool: &str) -> Result<(), Error> {
        for key in store::keys(store::Scope::Driver, &format!("address/{pool}/"))? {
            store::delete(store::Scope::Driver, &key)?;
        }
        store::delete(store::Scope::Driver, &format!("pool/{pool}"))
    }

    fn request_address(
        pool: &str,
        address: Option<IpAddress>,
        _options: &[DriverOption],
    ) -> Result<IpNetwork, Error> {
        let (base, prefix) = find(pool)?;
        let size = 1_u32 << (32 - prefix);
        let wanted = match address {
            Some(IpAddress::Ipv4(octets)) => {
                let number = u32::from_be_bytes(octets.into());
                if number & !(size - 1) != base {
                    return Err(Error::invalid(format!("{} is not in the pool", dotted(number))));
                }
                number..=number
            }
            Some(IpAddress::Ipv6(_)) => return Err(Error::invalid("the pool is IPv4")),
            // Neither the network's address nor the broadcast address.
            None => base + 1..=base + size - 2,
        };
        for number in wanted {
            let key = format!("address/{pool}/{}", dotted(number));
            if store::compare_and_set(store::Scope::Driver, &key, None, b"")? {
                return Ok(network(number.to_be_bytes(), prefix));
            }
        }
        match address {
            Some(_) => {
                Err(Error { code: ErrorCode::Exists, message: "the address is taken".to_owned() })
            }
            None => Err(exhausted("all addresses are taken")),
        }
    }

    fn release_address(pool: &str, address: IpAddress) -> Result<(), Error> {
        match address {
            IpAddress::Ipv4(octets) => {
                let address = dotted(u32::from_be_bytes(octets.into()));
                store::delete(store::Scope::Driver, &format!("address/{pool}/{address}"))
            }
            IpAddress::Ipv6(_) => Ok(()),
        }
    }
}

/// A pool's base address and prefix length.
fn find(pool: &str) -> Result<(u32, u8), Error> {
    let value = store::get(store::Scope::Driver, &format!("pool/{pool}"))?;
    match value.as_deref() {
        Some([a, b, c, d, prefix]) => Ok((u32::from_be_bytes([*a, *b, *c, *d]), *prefix)),
        _ => Err(Error::not_found(format!("there is no pool {pool}"))),
    }
}

fn is_taken(subnet: &IpNetwork) -> bool {
    let Ok((base, prefix)) = parts(subnet) else { return true };
    let key = format!("pool/{}-{prefix}", dotted(base));
    !matches!(store::get(store::Scope::Driver, &key), Ok(None))
}

fn parts(subnet: &IpNetwork) -> Result<(u32, u8), Error> {
    match subnet.address {
        IpAddress::Ipv4(octets) => Ok((u32::from_be_bytes(octets.into()), subnet.prefix_length)),
        IpAddress::Ipv6(_) => Err(Error::invalid("there is no IPv6 on this shelf")),
    }
}

fn network(octets: [u8; 4], prefix_length: u8) -> IpNetwork {
    IpNetwork { address: IpAddress::Ipv4(octets.into()), prefix_length }
}

fn dotted(number: u32) -> String {
    std::net::Ipv4Addr::from(number).to_string()
}

fn exhausted(message: &str) -> Error {
    Error { code: ErrorCode::Exhausted, message: message.to_owned() }
}
