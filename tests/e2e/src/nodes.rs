//! Several hosts that share an etcd, with the test driver [`GOSSIP`](crate::GOSSIP).

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use wasmnet_lab::{Etcd, Host, Lab, wait_for};

use crate::{Daemon, GOSSIP, Plugin, Reply, calls, driver_config};

/// How long something may take to get from one node to another, whatever else runs.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a node may be away, in seconds.
pub const LEASE: u64 = 3;
/// The driver's name.
const DRIVER: &str = "gossip";

/// A cluster.
pub struct Nodes {
    // Dropped in this order.
    /// The hosts, "n0" first.
    pub nodes: Vec<Node>,
    /// Their store.
    pub etcd: Etcd,
    /// The lab it is in.
    pub lab: Lab,
}

/// A host with the daemon and no engine: the test plays the engine.
pub struct Node {
    /// The daemon.
    pub daemon: Daemon,
    /// The host.
    pub host: Host,
}

// === impl Nodes ===

impl Nodes {
    /// So many nodes that share an etcd of so many members.
    pub fn new(nodes: usize, members: usize) -> Self {
        let lab = Lab::new();
        let etcd = lab.etcd(members);
        let nodes = (0..nodes).map(|number| Node::new(&lab, &etcd, number, &[])).collect();
        Self { nodes, etcd, lab }
    }

    /// Has all nodes make a network that follows a group of its own name, with an endpoint
    /// at 10 + the node's number, and waits until all know of all.
    pub fn gossip(&self, group: &str) {
        for (number, node) in self.nodes.iter().enumerate() {
            node.network(group, json!({ "group": group })).ok();
            node.endpoint(group, "first", number + 10).ok();
        }
        for node in &self.nodes {
            for number in 0..self.nodes.len() {
                node.wait_heard(group, number + 10, &format!("n{number}"));
            }
        }
    }
}

// === impl Node ===

impl Node {
    /// A node with further lines in its `[cluster]`.
    pub fn new(lab: &Lab, etcd: &Etcd, number: usize, more: &[&str]) -> Self {
        let host = lab.host(&format!("n{number}"));
        Self::with_config(host, &cluster_config(etcd, more))
    }

    /// A node with these lines in its config.
    pub fn with_config(host: Host, config: &str) -> Self {
        Self::start(host, &[], config)
    }

    /// A node whose daemon is started by a program that becomes it, as `env` does.
    pub fn started_by(wrapper: &[&str], lab: &Lab, etcd: &Etcd, number: usize) -> Self {
        Self::start(lab.host(&format!("n{number}")), wrapper, &cluster_config(etcd, &[]))
    }

    fn start(host: Host, wrapper: &[&str], config: &str) -> Self {
        let config = format!("{config}{}", driver_config(&[(DRIVER, GOSSIP), ("other", GOSSIP)]));
        let config = host.put("config.toml", config);
        let daemon = Daemon::start_by(&host, wrapper, &["--config", config.to_str().unwrap()]);
        Self { daemon, host }
    }

    /// Makes a network of this id with options.
    pub fn network(&self, id: &str, options: Value) -> Reply {
        self.call("CreateNetwork", &calls::network(id, subnet(id), &options))
    }

    /// Makes an endpoint whose address ends with `address`.
    pub fn endpoint(&self, network: &str, id: &str, address: usize) -> Reply {
        let address = format!("10.{}.0.{address}", subnet(network));
        self.call("CreateEndpoint", &calls::endpoint(network, id, &address))
    }

    /// Calls a method of the network driver.
    pub fn call(&self, method: &str, body: &Value) -> Reply {
        Plugin::connect(&self.host, DRIVER).call(&format!("NetworkDriver.{method}"), body)
    }

    /// What the driver has written down, as endpoint "first" tells.
    pub fn facts(&self, network: &str) -> BTreeMap<String, String> {
        let facts = self.call("EndpointOperInfo", &calls::ids(network, "first")).ok();
        let facts = facts["Value"].as_object().cloned().unwrap_or_default();
        facts.into_iter().map(|(key, value)| (key, value.as_str().unwrap().to_owned())).collect()
    }

    /// Waits until the driver was told that these nodes publish `address`; none: "".
    pub fn wait_heard(&self, network: &str, address: usize, nodes: &str) {
        let key = format!("heard/{address}");
        wait_for(
            &format!("{} to hear of {address} by {nodes:?}", self.host.name()),
            PATIENCE,
            || {
                let facts = self.facts(network);
                // They come by their ids, which nobody can foretell.
                let heard = facts.get(&key).map_or("", String::as_str);
                let mut heard: Vec<&str> = heard.split(' ').collect();
                heard.sort_unstable();
                if heard.join(" ") == nodes { Ok(()) } else { Err(format!("{facts:?}")) }
            },
        );
    }

    /// Fails the test unless the driver was told that these nodes publish `address`.
    #[track_caller]
    pub fn assert_heard(&self, network: &str, address: usize, nodes: &str) {
        let facts = self.facts(network);
        let heard = facts.get(&format!("heard/{address}")).map_or("", String::as_str);
        assert_eq!(heard, nodes, "{facts:?}");
    }

    /// What `wasmnet status` says of the cluster.
    pub fn cluster(&self) -> Value {
        self.daemon.json(&["status"])["cluster"].clone()
    }

    /// Waits until the daemon knows that the store can be reached, or cannot.
    pub fn wait_reach(&self, reachable: bool) {
        wait_for("the store to be there or not", PATIENCE, || {
            let cluster = self.cluster();
            if cluster["reachable"] == reachable { Ok(()) } else { Err(cluster.to_string()) }
        });
    }

    /// The events of this kind.
    pub fn events(&self, kind: &str) -> Vec<Value> {
        let events = self.host.run(&[&crate::binary(), "events", "--json"]);
        let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.filter(|event| event["event"] == kind).collect()
    }
}

/// The `[cluster]` of a config, with further lines.
pub(crate) fn cluster_config(etcd: &Etcd, more: &[&str]) -> String {
    format!(
        "[cluster]\nstore = \"etcd\"\nendpoints = {:?}\nlease = {LEASE}\n{}\n",
        etcd.endpoints(),
        more.join("\n")
    )
}

/// The subnet of a network: the daemon takes a network for gone when another gets its subnet.
fn subnet(network: &str) -> u8 {
    network.bytes().fold(0, u8::wrapping_add)
}
