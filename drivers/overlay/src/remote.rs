//! The endpoints of other hosts, in this host's VTEP.
//!
//! What is programmed for an entry stands in the store under the same key, so that it can be
//! taken away when the entry has changed or gone, whatever happened in between. Nothing is
//! counted or assumed: what there is to be done follows from the entries as they are now,
//! so being told twice, late, or of everything at once comes to the same.
//!
//! Two hosts may publish the same address for a moment, when a container moves: the later
//! one has it.

use std::{collections::BTreeSet, net::IpAddr};

use wasmnet_sdk::{
    Error, ErrorCode, IpAddress, Network, Progress, cluster,
    links::{self, Link},
    log, neighbours, store,
};

use crate::{
    network,
    record::{ENDPOINT, Record},
    settings,
};

/// What stands before an entry's key in the store.
const PROGRAMMED: &str = "programmed/";

/// How many are programmed in one call, which may do only so much in the kernel.
const AT_ONCE: usize = 100;

/// An endpoint of another host, as it is or is to be programmed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Remote {
    record: Record,
    /// The address of the host it is on.
    vtep: IpAddr,
}

/// Programs what has changed: these keys, or everything.
pub fn follow(network: &Network, group: &str, keys: Option<&[String]>) -> Result<Progress, Error> {
    // The store can be reached again, or somebody has joined.
    if keys.is_none() {
        network::leave_late(group);
    }
    let vtep = links::open(network::VTEP)?;
    let here = cluster::this_node()?.id;
    let keys: BTreeSet<String> = match keys {
        Some(keys) => keys.iter().cloned().collect(),
        None => {
            let programmed = store::keys(store::Scope::Network, PROGRAMMED)?;
            let programmed = programmed.iter().filter_map(|key| key.strip_prefix(PROGRAMMED));
            let entries = cluster::entries(group, None)?;
            programmed
                .map(str::to_owned)
                .chain(entries.into_iter().map(|entry| entry.key))
                .collect()
        }
    };
    let mut programmed = 0;
    for key in keys.iter().filter(|key| key.starts_with(ENDPOINT)) {
        let wanted = wanted(network, group, key, &here)?;
        let is = store::get(store::Scope::Network, &format!("{PROGRAMMED}{key}"))?;
        let is = is.as_deref().and_then(Remote::read);
        if is != wanted {
            if programmed == AT_ONCE {
                return Ok(Progress::More);
            }
            program(&vtep, key, is.as_ref(), wanted.as_ref())?;
            programmed += 1;
        }
    }
    Ok(Progress::Done)
}

/// What should stand for a key; none if nobody else has it.
fn wanted(network: &Network, group: &str, key: &str, here: &str) -> Result<Option<Remote>, Error> {
    let entries = cluster::entries(group, Some(key))?;
    let is_ours = entries.iter().any(|entry| entry.node.id == here);
    let Some(latest) = entries.into_iter().max_by_key(|entry| entry.revision) else {
        return Ok(None);
    };
    if latest.node.id == here {
        return Ok(None);
    }
    if is_ours {
        let (address, host) = (key.trim_start_matches(ENDPOINT), &latest.node.name);
        let line = format!("host {host} has taken {address}, which an endpoint here has too");
        log::write(log::Level::Warn, &line);
    }
    let record = Record::read(&latest.value).filter(|record| {
        // A host must not lead away what is not the network's.
        let fits = |ip: &IpAddr| settings::subnets(network).any(|subnet| subnet.contains(ip));
        record.key().as_deref() == Some(key) && record.addresses.iter().all(fits)
    });
    if record.is_none() {
        let line = format!("host {} publishes nonsense as {key}", latest.node.name);
        log::write(log::Level::Warn, &line);
    }
    Ok(record.map(|record| Remote { record, vtep: latest.node.address.into() }))
}

/// Turns what stands into what should.
fn program(
    vtep: &Link,
    key: &str,
    is: Option<&Remote>,
    wanted: Option<&Remote>,
) -> Result<(), Error> {
    let key = format!("{PROGRAMMED}{key}");
    let keeps = |address: &IpAddr| {
        wanted.is_some_and(|wanted| {
            is.is_some_and(|is| is.record.mac == wanted.record.mac)
                && wanted.record.addresses.contains(address)
        })
    };
    if let Some(Remote { record, .. }) = is {
        for address in record.addresses.iter().filter(|address| !keeps(address)) {
            gone_is_fine(neighbours::remove(vtep, IpAddress::from(*address), record.mac))?;
        }
        if wanted.is_none_or(|wanted| wanted.record.mac != record.mac) {
            gone_is_fine(neighbours::remove_forwarding(vtep, record.mac))?;
        }
    }
    let Some(wanted) = wanted else { return store::delete(store::Scope::Network, &key) };
    let Remote { record, vtep: to } = wanted;
    if is.is_none_or(|is| is.vtep != *to || is.record.mac != record.mac) {
        neighbours::add_forwarding(vtep, record.mac, IpAddress::from(*to))?;
    }
    for address in &record.addresses {
        let stands = is.is_some_and(|is| is.record.addresses.contains(address)) && keeps(address);
        if !stands {
            neighbours::add(vtep, IpAddress::from(*address), record.mac)?;
        }
    }
    store::set(store::Scope::Network, &key, &wanted.write())
}

fn gone_is_fine(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(error) if error.code != ErrorCode::NotFound => Err(error),
        _ => Ok(()),
    }
}

// === impl Remote ===

impl Remote {
    fn write(&self) -> Vec<u8> {
        [format!("vtep={}\n", self.vtep).as_bytes(), &self.record.write()].concat()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let vtep = text.lines().find_map(|line| line.strip_prefix("vtep="))?.parse().ok()?;
        Some(Self { record: Record::read(bytes)?, vtep })
    }
}
