//! Several hosts with an engine and the daemon each, and an etcd that they share.

use std::{collections::BTreeSet, thread, time::Duration};

use serde_json::Value;
use wasmnet_lab::{Etcd, Host, Lab, wait_for};

use crate::{Site, nodes::cluster_config};

/// How long something may take to get from one host to another, whatever else runs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster of hosts.
pub struct Sites {
    // Dropped in this order.
    /// The hosts, "a" first.
    pub sites: Vec<Site>,
    /// Their store.
    pub etcd: Etcd,
    /// The lab they are in.
    pub lab: Lab,
}

// === impl Sites ===

impl Sites {
    /// So many hosts that share an etcd of so many members.
    pub fn new(sites: usize, members: usize) -> Self {
        Self::with_config(sites, members, "")
    }

    /// The same with further lines in each daemon's config.
    pub fn with_config(sites: usize, members: usize, more: &str) -> Self {
        let lab = Lab::new();
        let etcd = lab.etcd(members);
        let config = format!("{more}\n{}", cluster_config(&etcd, &[]));
        let start = |number: usize| {
            let name = char::from(b'a' + u8::try_from(number).unwrap()).to_string();
            Site::in_lab(&lab, &name, &config)
        };
        let sites = thread::scope(|scope| {
            let start = &start;
            let starts: Vec<_> =
                (0..sites).map(|number| scope.spawn(move || start(number))).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        Self { sites, etcd, lab }
    }

    /// What etcd has of networks: all but what goes with the daemons.
    #[track_caller]
    pub fn left_in_etcd(&self) -> Vec<String> {
        let mut left = self.etcd.keys("/wasmnet/");
        let of_daemon = ["/wasmnet/nodes/", "/wasmnet/sessions/"];
        left.retain(|key| !of_daemon.iter().any(|prefix| key.starts_with(prefix)));
        left
    }

    /// The first so many hosts.
    pub fn first<const N: usize>(&self) -> [&Site; N] {
        std::array::from_fn(|number| &self.sites[number])
    }

    /// Makes an overlay network on all hosts, whose engines have 62 addresses each of
    /// 10.`number`.0.0/24 to give away; `options` go before the name.
    pub fn network(&self, name: &str, number: u8, options: &str) {
        for (at, site) in self.sites.iter().enumerate() {
            site.overlay(name, number, at, options);
        }
    }

    /// Waits until each host has what the others publish in the network of this VNI.
    pub fn wait_converged(&self) {
        for site in &self.sites {
            site.wait_neighbours(&self.expected(site));
        }
    }

    /// The addresses and Ethernet addresses of the other hosts' endpoints on overlay networks,
    /// as the ledgers of those hosts have them.
    pub fn expected(&self, of: &Site) -> BTreeSet<String> {
        let others = self.sites.iter().filter(|site| site.host.name() != of.host.name());
        others.flat_map(Site::overlay_endpoints).collect()
    }
}

// === impl Site ===

impl Site {
    /// Makes an overlay network whose addresses here are 10.`number`.0.64`at` and on.
    pub fn overlay(&self, name: &str, number: u8, at: usize, options: &str) {
        let range = format!("10.{number}.0.{}/26", 64 * at);
        let subnet = format!("--subnet 10.{number}.0.0/24 --ip-range {range}");
        self.docker(&format!("network create --driver wasm-overlay {subnet} {options} {name}"));
    }

    /// "ADDRESS MAC" of all endpoints here on overlay networks.
    pub fn overlay_endpoints(&self) -> BTreeSet<String> {
        let endpoints = self.daemon.json(&["endpoint", "ls"]);
        let overlay = |view: &&Value| view["driver"] == "wasm-overlay";
        let text = |view: &Value| {
            let mac = view["mac"].as_str().unwrap_or_default().to_owned();
            let addresses = view["addresses"].as_array().unwrap().clone();
            addresses.into_iter().map(move |address| {
                format!("{} {mac}", address.as_str().unwrap().split('/').next().unwrap())
            })
        };
        endpoints.as_array().unwrap().iter().filter(overlay).flat_map(text).collect()
    }

    /// "ADDRESS MAC" of all remote endpoints that are programmed here.
    pub fn neighbours(&self) -> BTreeSet<String> {
        neighbours(&self.host)
    }

    /// Waits until these are the remote endpoints that are programmed here, and no others.
    pub fn wait_neighbours(&self, expected: &BTreeSet<String>) {
        wait_for(&format!("host {} to know {expected:?}", self.host.name()), PATIENCE, || {
            let found = self.neighbours();
            if found == *expected { Ok(()) } else { Err(format!("{found:?}")) }
        });
    }
}

/// "ADDRESS MAC" of all permanent neighbours on a host's VTEPs for which there is a
/// forwarding entry too.
pub fn neighbours(host: &Host) -> BTreeSet<String> {
    let neighbours = host.sh("ip -4 neigh show nud permanent; ip -6 neigh show nud permanent");
    let forwarding = host.sh("bridge fdb show");
    let forwarding = forwarding.lines().filter(|line| line.contains(" dst "));
    let forwarded: BTreeSet<&str> =
        forwarding.filter_map(|line| line.split_whitespace().next()).collect();
    let read = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let mac = *words.get(words.iter().position(|word| *word == "lladdr")? + 1)?;
        forwarded.contains(mac).then(|| format!("{} {mac}", words[0]))
    };
    neighbours.lines().filter_map(read).collect()
}
