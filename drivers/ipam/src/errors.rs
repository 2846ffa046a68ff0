//! Docker's own sentences, where Docker has one.

use wasmnet_sdk::Error;

use crate::record::PoolId;

/// The address space is none of ours.
pub fn address_space() -> Error {
    Error::invalid("Invalid Address Space")
}

/// The subnet makes no sense.
pub fn pool() -> Error {
    Error::invalid("Invalid Address Pool")
}

/// The range makes no sense.
pub fn sub_pool() -> Error {
    Error::invalid("Invalid Address SubPool")
}

/// Somebody has the subnet, or the same range of it.
pub fn overlap() -> Error {
    Error::exists("Pool overlaps with other one on this address space")
}

/// No subnet is left to choose.
pub fn no_more_subnets() -> Error {
    Error::exhausted("all predefined address pools have been fully subnetted")
}

/// The pool is not reserved.
pub fn no_pool() -> Error {
    Error::not_found("Address Pool not found")
}

/// Somebody has the address.
pub fn in_use() -> Error {
    Error::exists("Address already in use")
}

/// The address is not of this subnet.
pub fn out_of_range() -> Error {
    Error::invalid("Requested address is out of range")
}

/// All addresses are held.
pub fn no_addresses(id: &PoolId) -> Error {
    let family = if id.subnet.addr().is_ipv4() { "IPv4" } else { "IPv6" };
    let from = id.range.unwrap_or(id.subnet);
    Error::exhausted(format!(
        "no available {family} addresses on this network's address pools: {from} ({id})"
    ))
}
