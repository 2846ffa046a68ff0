//! `wasmnet ipam`.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
    time::SystemTime,
};

use ipnet::IpNet;
use serde::Serialize;

use super::{
    output::{self, duration},
    show::Error,
};
use crate::{
    admin::{
        client::{self, get, post_json},
        view::{IpamView, LeasesOf},
    },
    id::DriverName,
    model::{Lease, PoolReport, SharedPool},
};

/// Leases of a pool that are read.
const LEASES_MAX: usize = 1_000_000;
/// Runs of free addresses that are shown of each pool.
const RUNS_MAX: usize = 20;

/// A pool with all that is known of it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Pool {
    /// The driver.
    pub driver: DriverName,
    /// Whether its networks are this host's only.
    pub local: bool,
    /// The pool and its use.
    #[serde(flatten)]
    pub report: PoolReport,
    /// Who has which address.
    pub leases: Vec<Lease>,
    /// The first addresses that nobody has: from, to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<Vec<(IpAddr, IpAddr)>>,
}

/// All pools with their leases, and what drivers say that do not tell.
pub(super) async fn read(socket: &Path) -> Result<(Vec<Pool>, Vec<String>), client::Error> {
    let views: Vec<IpamView> = get(socket, "/v1/ipam").await?;
    let (mut pools, mut silent) = (Vec::new(), Vec::new());
    for IpamView { driver, local, pools: reports, error } in views {
        silent.extend(error.map(|error| format!("{driver}: {error}")));
        for report in reports {
            let leases = leases(socket, &driver, &report.id).await?;
            let local = report.address_space == local;
            pools.push(Pool { driver: driver.clone(), local, report, leases, runs: None });
        }
    }
    Ok((pools, silent))
}

async fn leases(
    socket: &Path,
    driver: &DriverName,
    pool: &str,
) -> Result<Vec<Lease>, client::Error> {
    let mut leases: Vec<Lease> = Vec::new();
    // A driver that never comes to an end is not listened to for ever.
    while leases.len() < LEASES_MAX {
        let after = leases.last().map(|lease| lease.address);
        let wanted = LeasesOf { driver: driver.clone(), pool: pool.to_owned(), after };
        let more: Vec<Lease> = match post_json(socket, "/v1/ipam/leases", &wanted).await {
            // The pool was given back in this moment.
            Err(client::Error::Refused(_)) => return Ok(leases),
            more => more?,
        };
        match more.last() {
            Some(last) if after.is_none_or(|after| last.address > after) => leases.extend(more),
            _ => break,
        }
    }
    Ok(leases)
}

/// Prints pools, and either who has which address or which are free.
pub(super) async fn show(socket: &Path, free: bool, json: bool) -> Result<(), Error> {
    let (mut pools, silent) = read(socket).await?;
    if free {
        for pool in &mut pools {
            pool.runs = Some(pool.free_runs());
        }
    }
    if json {
        return Ok(output::json(&pools)?);
    }
    let row = |pool: &Pool| {
        let PoolReport { id, name, held, resting, free, .. } = &pool.report;
        vec![
            pool.driver.to_string(),
            id.clone(),
            name.clone().unwrap_or_default(),
            held.to_string(),
            resting.to_string(),
            if *free == u64::MAX { "many".to_owned() } else { free.to_string() },
        ]
    };
    let head = ["DRIVER", "POOL", "NAME", "HELD", "RESTING", "FREE"];
    output::table(&head, pools.iter().map(row))?;
    print_shared(&pools)?;
    if !pools.is_empty() {
        output::lines("\n")?;
        if free { print_runs(&pools)? } else { print_leases(&pools)? }
    }
    Ok(output::lines(&silent.join("\n"))?)
}

/// Prints which blocks of pools that several hosts share are this one's.
fn print_shared(pools: &[Pool]) -> Result<(), Error> {
    let row = |(pool, shared): (&Pool, &SharedPool)| {
        let others =
            shared.others.map_or_else(|| "unknown".to_owned(), |others| others.to_string());
        let all = if shared.all == u64::MAX { "many".to_owned() } else { shared.all.to_string() };
        let blocks: Vec<String> = shared.blocks.iter().map(IpNet::to_string).collect();
        vec![shared.name.clone(), pool.report.id.clone(), others, all, blocks.join(" ")]
    };
    let shared: Vec<_> = pools
        .iter()
        .filter_map(|pool| Some((pool, pool.report.shared.as_ref()?)))
        .map(row)
        .collect();
    if shared.is_empty() {
        return Ok(());
    }
    output::lines("\n")?;
    Ok(output::table(&["SHARED", "POOL", "OTHERS", "ALL", "BLOCKS HERE"], shared)?)
}

fn print_leases(pools: &[Pool]) -> Result<(), Error> {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let row = |pool: &Pool, lease: &Lease| {
        let since = std::time::Duration::from_nanos(lease.since);
        vec![
            lease.address.to_string(),
            word(&lease.state),
            word(&lease.purpose),
            lease.mac.map(|mac| mac.to_string()).unwrap_or_default(),
            lease.name.clone(),
            duration(now.saturating_sub(since).as_secs()),
            pool.report.id.clone(),
        ]
    };
    let rows = pools.iter().flat_map(|pool| pool.leases.iter().map(move |lease| row(pool, lease)));
    let head = ["ADDRESS", "STATE", "FOR", "MAC", "NAME", "SINCE", "POOL"];
    Ok(output::table(&head, rows)?)
}

fn print_runs(pools: &[Pool]) -> Result<(), Error> {
    let row = |pool: &Pool, (first, last): &(IpAddr, IpAddr)| {
        let count = number(*last).saturating_sub(number(*first)).saturating_add(1);
        vec![first.to_string(), last.to_string(), count.to_string(), pool.report.id.clone()]
    };
    let runs = |pool: &Pool| pool.runs.clone().unwrap_or_default();
    let rows = pools
        .iter()
        .flat_map(|pool| runs(pool).iter().map(|run| row(pool, run)).collect::<Vec<_>>());
    output::table(&["FIRST", "LAST", "ADDRESSES", "POOL"], rows)?;
    if pools.iter().any(|pool| runs(pool).len() == RUNS_MAX) {
        output::lines(&format!("(the first {RUNS_MAX} of each pool)"))?;
    }
    Ok(())
}

/// A word of the contract's.
fn word(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

// === impl Pool ===

impl Pool {
    /// The first runs of addresses that nobody has and that do not rest.
    fn free_runs(&self) -> Vec<(IpAddr, IpAddr)> {
        let (mut next, last) = usable(self.report.subnet, self.report.range);
        let mut runs = Vec::new();
        let of = |number: u128| match self.report.subnet {
            IpNet::V4(_) => Ipv4Addr::from_bits(u32::try_from(number).unwrap_or(u32::MAX)).into(),
            IpNet::V6(_) => Ipv6Addr::from_bits(number).into(),
        };
        let taken = self.leases.iter().map(|lease| number(lease.address));
        for taken in taken.filter(|taken| *taken <= last).chain([last.saturating_add(1)]) {
            if taken > next && runs.len() < RUNS_MAX {
                runs.push((of(next), of(taken - 1)));
            }
            next = next.max(taken.saturating_add(1));
        }
        runs
    }
}

/// The first and the last address of a range that can be somebody's.
fn usable(subnet: IpNet, range: Option<IpNet>) -> (u128, u128) {
    let range = range.unwrap_or(subnet);
    let (first, last) = (number(range.network()), number(range.broadcast()));
    if subnet.max_prefix_len() - subnet.prefix_len() <= 1 {
        return (first, last);
    }
    let first = first.max(number(subnet.network()) + 1);
    match subnet {
        IpNet::V4(_) => (first, last.min(number(subnet.broadcast()) - 1)),
        IpNet::V6(_) => (first, last),
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LeasePurpose, LeaseState};

    fn runs(subnet: &str, range: Option<&str>, taken: &[&str]) -> Vec<String> {
        let lease = |address: &&str| Lease {
            address: address.parse().unwrap(),
            state: LeaseState::Held,
            purpose: LeasePurpose::Endpoint,
            mac: None,
            name: String::new(),
            since: 0,
        };
        let report = PoolReport {
            id: String::new(),
            address_space: String::new(),
            subnet: subnet.parse().unwrap(),
            range: range.map(|range| range.parse().unwrap()),
            name: None,
            held: 0,
            resting: 0,
            free: 0,
            shared: None,
        };
        let leases = taken.iter().map(lease).collect();
        let driver = "acme".parse().unwrap();
        let pool = Pool { driver, local: true, report, leases, runs: None };
        pool.free_runs().iter().map(|(first, last)| format!("{first}-{last}")).collect()
    }

    #[test]
    fn free_runs_are_what_is_between_leases() {
        assert_eq!(runs("10.1.0.0/29", None, &[]), ["10.1.0.1-10.1.0.6"]);
        let taken = ["10.1.0.1", "10.1.0.3", "10.1.0.4", "10.1.0.6"];
        assert_eq!(runs("10.1.0.0/29", None, &taken), ["10.1.0.2-10.1.0.2", "10.1.0.5-10.1.0.5"]);
        let taken = ["10.1.0.1", "10.1.0.9", "10.1.9.9"];
        let expected = ["10.1.0.8-10.1.0.8", "10.1.0.10-10.1.0.15"];
        assert_eq!(runs("10.1.0.0/16", Some("10.1.0.8/29"), &taken), expected);
        assert_eq!(runs("10.1.0.0/31", None, &["10.1.0.0"]), ["10.1.0.1-10.1.0.1"]);
        assert_eq!(runs("fd00::/126", None, &["fd00::2"]), ["fd00::1-fd00::1", "fd00::3-fd00::3"]);
    }
}
