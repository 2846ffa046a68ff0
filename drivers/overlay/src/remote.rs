//! The endpoints of other hosts, in this host's VTEP.
//!
//! What is programmed for an entry stands in the store under the same key, so that it can be
//! taken away when the entry has changed or gone, whatever happened in between. Nothing is
//! counted or assumed: what there is to be done follows from the entries as they are now,
//! so being told twice, late, or of everything at once comes to the same.
//!
//! Two hosts may publish the same address for a moment, when a container moves: the later
//! one has it.

use std::{collections::BTreeMap, net::IpAddr};

use wasmnet_sdk::{
    Error, ErrorCode, IpAddress, Network, Progress, clock, cluster,
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

/// How much is done to the kernel in one call, which may do 1024 things. One endpoint takes
/// less, since its record has 4 KiB at most.
const STEPS: usize = 500;

/// How long a call goes on, in nanoseconds: the kernel may be so busy with others that each step
/// takes tens of milliseconds, and what is not done when the call's time is over is lost.
const TIME: u64 = 1_000_000_000;

/// So many keys are looked up one by one, each of which counts as one of those things; of more,
/// all of the group are read at once.
const FEW: usize = 32;

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
    let entries = entries(group, keys)?;
    let (mut steps, began) = (0, clock::monotonic());
    for (key, entries) in entries.into_iter().filter(|(key, _)| key.starts_with(ENDPOINT)) {
        let wanted = wanted(network, &key, entries, &here);
        let is = store::get(store::Scope::Network, &format!("{PROGRAMMED}{key}"))?;
        let is = is.as_deref().and_then(Remote::read);
        if is != wanted {
            let takes: usize = [&is, &wanted].into_iter().flatten().map(Remote::steps).sum();
            let is_late = || clock::monotonic().saturating_sub(began) > TIME;
            if steps > 0 && (steps + takes > STEPS || is_late()) {
                return Ok(Progress::More);
            }
            program(&vtep, &key, is.as_ref(), wanted.as_ref())?;
            steps += takes;
        }
    }
    Ok(Progress::Done)
}

/// What the hosts publish under these keys, or under any; and nothing under those that
/// something is programmed for.
fn entries(
    group: &str,
    keys: Option<&[String]>,
) -> Result<BTreeMap<String, Vec<cluster::Entry>>, Error> {
    let mut found: BTreeMap<String, Vec<cluster::Entry>> = match keys {
        Some(keys) => keys.iter().map(|key| (key.clone(), Vec::new())).collect(),
        None => {
            let programmed = store::keys(store::Scope::Network, PROGRAMMED)?;
            let programmed = programmed.iter().filter_map(|key| key.strip_prefix(PROGRAMMED));
            programmed.map(|key| (key.to_owned(), Vec::new())).collect()
        }
    };
    match keys {
        Some(keys) if keys.len() <= FEW => {
            for (key, entries) in &mut found {
                *entries = cluster::entries(group, Some(key))?;
            }
        }
        keys => {
            for entry in cluster::entries(group, None)? {
                if let Some(entries) = found.get_mut(&entry.key) {
                    entries.push(entry);
                } else if keys.is_none() {
                    found.insert(entry.key.clone(), vec![entry]);
                }
            }
        }
    }
    Ok(found)
}

/// What should stand for a key with these entries; none if nobody else has it.
fn wanted(
    network: &Network,
    key: &str,
    entries: Vec<cluster::Entry>,
    here: &str,
) -> Option<Remote> {
    let is_ours = entries.iter().any(|entry| entry.node.id == here);
    let latest = entries.into_iter().max_by_key(|entry| entry.revision)?;
    if latest.node.id == here {
        return None;
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
    record.map(|record| Remote { record, vtep: latest.node.address.into() })
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
    /// What it takes at most to program it, or to take it away.
    fn steps(&self) -> usize {
        self.record.addresses.len() + 1
    }

    fn write(&self) -> Vec<u8> {
        [format!("vtep={}\n", self.vtep).as_bytes(), &self.record.write()].concat()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let vtep = text.lines().find_map(|line| line.strip_prefix("vtep="))?.parse().ok()?;
        Some(Self { record: Record::read(bytes)?, vtep })
    }
}
