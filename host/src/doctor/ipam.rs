//! IPAM drivers' books beside Docker's networks and containers: an engine that was killed
//! may not have given back what it had.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::Path,
    time::{Duration, SystemTime},
};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer};

use super::{Finding, Fix, Kind};
use crate::{
    admin::client::{self, get},
    id::DriverName,
    model::{Lease, LeasePurpose, LeaseState, PoolReport},
};

/// What is younger may be on its way: the engine shows a network or an endpoint when its
/// drivers have answered, and that takes less.
const ON_ITS_WAY: Duration = Duration::from_secs(10);

/// A pool as its driver tells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    /// The driver.
    pub driver: &'a DriverName,
    /// The pool.
    pub report: &'a PoolReport,
    /// Its leases.
    pub leases: &'a [Lease],
}

/// A network as Docker shows it (Engine API, `GET /networks` and `/networks/ID`).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Network {
    id: String,
    #[serde(rename = "IPAM")]
    ipam: Ipam,
    /// With an id in the path only.
    #[serde(default)]
    containers: Option<BTreeMap<String, Container>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ipam {
    driver: String,
    config: Option<Vec<Config>>,
}

#[derive(Debug, Deserialize)]
struct Config {
    #[serde(rename = "Subnet", default, deserialize_with = "net")]
    subnet: Option<IpNet>,
    #[serde(rename = "IPRange", default, deserialize_with = "net")]
    range: Option<IpNet>,
}

#[derive(Debug, Deserialize)]
struct Container {
    #[serde(rename = "IPv4Address", default, deserialize_with = "net")]
    ipv4: Option<IpNet>,
    #[serde(rename = "IPv6Address", default, deserialize_with = "net")]
    ipv6: Option<IpNet>,
}

/// Compares pools of this host's networks with what Docker knows.
pub(crate) async fn examine(
    docker: &Path,
    pools: &[Known<'_>],
) -> Result<Vec<Finding>, client::Error> {
    if pools.is_empty() {
        return Ok(Vec::new());
    }
    let mut networks = Vec::new();
    let listed: Vec<Network> = get(docker, "/networks").await?;
    for network in listed {
        if pools.iter().any(|pool| pool.driver.as_str() == network.ipam.driver) {
            networks.push(get(docker, &format!("/networks/{}", network.id)).await?);
        }
    }
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Ok(pools.iter().flat_map(|pool| pool.compare(&networks, now)).collect())
}

// === impl Known ===

impl Known<'_> {
    fn compare(&self, networks: &[Network], now: Duration) -> Vec<Finding> {
        let driver = self.driver;
        let PoolReport { id, subnet, range, .. } = self.report;
        let is_old =
            |lease: &Lease| now.saturating_sub(Duration::from_nanos(lease.since)) > ON_ITS_WAY;
        let of_driver = networks.iter().filter(|network| network.ipam.driver == driver.as_str());
        let on_subnet: Vec<&Network> =
            of_driver.filter(|network| network.has(|of| of.subnet == Some(*subnet))).collect();
        let has_range = |network: &&Network| {
            network
                .has(|of| of.subnet == Some(*subnet) && of.range.map(|net| net.trunc()) == *range)
        };
        if !on_subnet.iter().any(has_range) {
            if !self.leases.iter().all(is_old) {
                return Vec::new();
            }
            let wrong = format!("pool {id} of {driver} belongs to no network");
            let (driver, pool) = (driver.clone(), id.clone());
            let fix = Fix::ReleasePool { driver, pool };
            return vec![Finding::fixable(Kind::Leak, wrong, fix)];
        }
        let containers = on_subnet.iter().filter_map(|network| network.containers.as_ref());
        let in_use: BTreeSet<IpAddr> = containers
            .flat_map(BTreeMap::values)
            .flat_map(|container| container.ipv4.into_iter().chain(container.ipv6))
            .map(|net| net.addr())
            .collect();
        let leaked = self.leases.iter().filter(|lease| {
            lease.state == LeaseState::Held
                && lease.purpose == LeasePurpose::Endpoint
                && is_old(lease)
                && !in_use.contains(&lease.address)
        });
        let finding = |lease: &Lease| {
            let (address, since) = (lease.address, lease.since);
            let wrong = format!("address {address} of pool {id} belongs to no running container");
            let (driver, pool) = (driver.clone(), id.clone());
            Finding::fixable(
                Kind::Leak,
                wrong,
                Fix::ReleaseAddress { driver, pool, address, since },
            )
        };
        leaked.map(finding).collect()
    }
}

// === impl Network ===

impl Network {
    fn has(&self, is: impl Fn(&Config) -> bool) -> bool {
        self.ipam.config.iter().flatten().any(is)
    }
}

/// A net, or none where the engine says "".
fn net<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpNet>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.and_then(|text| text.parse().ok()))
}
