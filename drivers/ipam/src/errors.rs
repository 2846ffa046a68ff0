//! Docker's own sentences, where Docker has one.

use std::net::IpAddr;

use wasmnet_sdk::{Error, ipnet::IpNet};

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

/// All addresses that this host may give out of a shared pool are held.
pub fn no_addresses_here(id: &PoolId, name: &str, others: u64, all: u64) -> Error {
    let Error { code, message } = no_addresses(id);
    let all = if all == u64::MAX { "more than can be counted".to_owned() } else { all.to_string() };
    let shared = format!("other hosts have {others} of the {all} blocks of shared pool \"{name}\"");
    Error { code, message: format!("{message}; {shared}") }
}

/// The address is the gateway's, or all hosts'.
pub fn kept_for_gateway(address: IpAddr) -> Error {
    Error::exists(format!(
        "Address already in use: {address} is kept for the gateway or as an auxiliary address of \
         all hosts that share the pool"
    ))
}

/// The host that has an address's block says nothing.
pub fn no_answer(address: IpAddr) -> Error {
    Error::unavailable(format!(
        "address {address} is in a block of another host, which does not answer"
    ))
}

/// Too many want the same at once.
pub fn busy(name: &str) -> Error {
    Error::unavailable(format!("too many hosts change shared pool \"{name}\" at once; try again"))
}

/// The pool has another subnet on the other hosts.
pub fn other_subnet(name: &str, agreed: IpNet, asked: IpNet) -> Error {
    Error::invalid(format!(
        "shared pool \"{name}\" has subnet {agreed} on the other hosts, and not {asked}; leave \
         --subnet out or give the same"
    ))
}

/// The pool has another grace time on the other hosts.
pub fn other_grace(name: &str, agreed: u32, asked: u32) -> Error {
    Error::invalid(format!(
        "shared pool \"{name}\" has a grace of {agreed} seconds on the other hosts, and not \
         {asked}; leave the option out or give the same"
    ))
}

/// The pool was forgotten while this host was away, and made anew with another subnet.
pub fn made_anew(name: &str, agreed: IpNet, ours: IpNet) -> Error {
    Error::exists(format!(
        "shared pool \"{name}\" was made anew with subnet {agreed} while this host was away; remove \
         the networks here that have {ours} of it"
    ))
}

/// The host has a network of that name in the other address space.
pub fn other_space(name: &str) -> Error {
    Error::exists(format!("shared pool \"{name}\" is this host's in the other address space"))
}
