//! An IPAM driver with a mistake of choice: a small one with books, and one thing that no
//! driver should do. Which one the operator says, in the driver's config `wrong`.

#![allow(clippy::panic, reason = "that is what it is for")]

use std::{net::IpAddr, sync::Mutex};

use wasmnet_sdk::{
    AddressSpaces, DriverOption, Error, IpAddress, IpNetwork, IpamCapabilities, IpamDriver,
    IpamPool, PoolRequest, config,
    ipnet::IpNet,
    store::{self, Scope},
};

/// What an instance remembers, which is nothing.
static GIVEN: Mutex<u8> = Mutex::new(0);

struct Miscount;

wasmnet_sdk::ipam_driver! {
    driver: Miscount,
    name: "miscount",
    description: "Makes a mistake of choice with addresses.",
}

fn mistake() -> String {
    config::get("wrong").unwrap_or_default()
}

/// The subnet of a pool that is reserved.
fn find(pool: &str) -> Result<IpNet, Error> {
    let none = || Error::not_found(format!("there is no pool {pool}"));
    store::get(Scope::Driver, &format!("pool/{pool}"))?.ok_or_else(none)?;
    pool.parse().map_err(|_| none())
}

fn take(pool: &str, address: IpAddr) -> Result<bool, Error> {
    store::compare_and_set(Scope::Driver, &format!("address/{pool}/{address}"), None, b"")
}

fn choose(net: &IpNet, pool: &str) -> Result<Option<IpAddr>, Error> {
    let ends = [net.network(), net.broadcast()];
    let all: Vec<IpAddr> = match mistake().as_str() {
        "networks-address" => vec![net.network()],
        _ => net.hosts().filter(|host| !ends.contains(host)).collect(),
    };
    if mistake() == "remembers-in-memory" {
        let mut given = GIVEN.lock().map_err(|_| Error::unavailable("somebody panicked"))?;
        *given += 1;
        return Ok(all.get(usize::from(*given) - 1).copied());
    }
    for host in all {
        if take(pool, host)? {
            return Ok(Some(host));
        }
    }
    Ok(None)
}

// === impl Miscount ===

impl IpamDriver for Miscount {
    fn capabilities() -> IpamCapabilities {
        IpamCapabilities {
            requires_mac_address: false,
            requires_request_replay: mistake() == "no-replay",
        }
    }

    fn default_address_spaces() -> AddressSpaces {
        let local = if mistake() == "nameless-space" { "" } else { "local" };
        AddressSpaces { local: local.to_owned(), global: "global".to_owned() }
    }

    fn request_pool(request: &PoolRequest) -> Result<IpamPool, Error> {
        let subnet = request.subnet.ok_or_else(|| Error::invalid("say which with --subnet"))?;
        let id = subnet.subnet().to_string();
        let net: IpNet = id.parse().map_err(|_| Error::invalid("no such subnet"))?;
        if mistake() == "trips-over-options" && !request.options.is_empty() {
            panic!("who would give options?");
        }
        if mistake() == "other-subnet" {
            let subnet: IpNetwork = "10.200.0.0/24".parse()?;
            return Ok(IpamPool { id, subnet, gateway: None });
        }
        for other in store::keys(Scope::Driver, "pool/")? {
            let other = other.trim_start_matches("pool/").parse::<IpNet>();
            let overlaps = other.is_ok_and(|other| other.contains(&net) || net.contains(&other));
            if overlaps && mistake() != "overlaps" {
                return Err(Error::exists(format!("{id} overlaps with a pool that is in use")));
            }
        }
        store::set(Scope::Driver, &format!("pool/{id}"), b"")?;
        Ok(IpamPool { id, subnet: subnet.subnet(), gateway: None })
    }

    fn release_pool(pool: &str) -> Result<(), Error> {
        if mistake() == "strict-release" {
            find(pool)?;
        }
        for key in store::keys(Scope::Driver, &format!("address/{pool}/"))? {
            store::delete(Scope::Driver, &key)?;
        }
        if mistake() == "keeps-keys" {
            store::set(Scope::Driver, &format!("history/{pool}"), b"")?;
        }
        store::delete(Scope::Driver, &format!("pool/{pool}"))
    }

    fn request_address(
        pool: &str,
        address: Option<IpAddress>,
        _: &[DriverOption],
    ) -> Result<IpNetwork, Error> {
        let net = find(pool)?;
        let found = match address.map(IpAddr::from) {
            Some(_) if mistake() == "ignores-wishes" => choose(&net, pool)?,
            Some(wanted) if !net.contains(&wanted) => {
                return Err(Error::invalid(format!("{wanted} is not in {pool}")));
            }
            Some(wanted) => (take(pool, wanted)? || mistake() == "gives-twice").then_some(wanted),
            None => choose(&net, pool)?,
        };
        let full = || match mistake().as_str() {
            "no-sentence" => Error::exhausted(""),
            _ => Error::exhausted(format!("all addresses of {pool} are in use")),
        };
        Ok(IpNetwork { address: found.ok_or_else(full)?.into(), prefix_length: net.prefix_len() })
    }

    fn release_address(pool: &str, address: IpAddress) -> Result<(), Error> {
        match mistake().as_str() {
            "never-gives-back" => Ok(()),
            _ => store::delete(Scope::Driver, &format!("address/{pool}/{address}")),
        }
    }
}
