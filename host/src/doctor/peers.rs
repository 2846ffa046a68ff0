//! The cluster and its other hosts: whether the store can be reached, and whether what the
//! others send arrives here (see [`probe`]). What leaves here the others see.

use std::{collections::BTreeMap, process::Command, time::Duration};

use serde::Deserialize;

use super::{Finding, Kind};
use crate::{
    admin::view::{ClusterView, NetworkView, VtepView},
    cluster::Node,
    id::NodeId,
    mac::Mac,
    probe::{self, Size},
};

/// What arrived no later than this long ago arrives: two may be lost.
const LATELY: u64 = 3 * probe::INTERVAL.as_secs();
/// A host that has just come is heard of within this.
pub(crate) const SECOND_LOOK: Duration = Duration::from_secs(probe::INTERVAL.as_secs() + 2);

/// What a bridge has learnt, as bridge(8) shows it with `-json -statistics`.
#[derive(Debug, Deserialize)]
struct Learnt {
    mac: Mac,
    ifname: String,
    /// Seconds ago.
    updated: Option<u64>,
}

/// When, in seconds ago, a frame from an address has arrived by one of our VTEPs.
type Arrived = BTreeMap<Mac, u64>;

/// Looks at everything.
pub(crate) fn examine(cluster: &ClusterView, networks: &[NetworkView]) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(reason) = &cluster.reach.reason {
        let wrong = format!("the cluster store cannot be reached: {reason}");
        let advice = "see that etcd runs and that [cluster] in the config is right; containers go \
                      on meanwhile, new networks on several hosts wait";
        findings.push(Finding::new(Kind::Cluster, wrong, advice));
    }
    let Ok(own) = cluster.node.parse::<NodeId>() else { return findings };
    let arrived = arrived(networks);
    let mut looked_at = BTreeMap::new();
    for network in networks {
        for vtep in &network.vteps {
            findings.extend(astray(network, vtep));
            findings.extend(sizes(network, vtep));
            for node in network.peers.iter().filter(|node| node.id != own) {
                looked_at.entry((node.address, vtep.port)).or_insert((node, vtep));
            }
        }
    }
    let silent = looked_at.into_values().filter_map(|(node, vtep)| silent(node, vtep, &arrived));
    findings.extend(silent);
    findings
}

/// A host whose packets do not arrive, or not all.
fn silent(node: &Node, vtep: &VtepView, arrived: &Arrived) -> Option<Finding> {
    let lately = |size: Size| {
        let updated = arrived.get(&probe::source(&node.id, size));
        updated.is_some_and(|updated| *updated <= LATELY)
    };
    let VtepView { port, local, .. } = vtep;
    match (lately(Size::Small), lately(Size::Full)) {
        (_, true) => None,
        (true, false) => {
            let wrong = format!(
                "large packets from host {node} do not arrive here: the way between is too narrow \
                 for the network's MTU"
            );
            let advice = "create the network again with a smaller -o com.docker.network.driver.mtu, \
                          or mend the MTU of the links between the hosts";
            Some(Finding::new(Kind::Mtu, wrong, advice))
        }
        (false, false) => {
            let wrong = format!(
                "nothing that host {node} sends by VXLAN has arrived here for {LATELY} seconds"
            );
            let advice = format!(
                "see that its daemon runs, and that the firewalls between let UDP port {port} \
                 through to {local}"
            );
            Some(Finding::new(Kind::Peer, wrong, advice))
        }
    }
}

/// What is sent to where no host is that has the network.
fn astray(network: &NetworkView, vtep: &VtepView) -> Vec<Finding> {
    let is_peer = |to: &std::net::IpAddr| network.peers.iter().any(|node| node.address == *to);
    let stale = vtep.forwarding.iter().filter(|(_, to)| !is_peer(to));
    let finding = |(mac, to): (&Mac, &std::net::IpAddr)| {
        let id = crate::id::short(network.id.as_str());
        let wrong = format!("network {id} sends what is for {mac} to {to}, where no host has it");
        let advice = "look into the daemon's log for why its driver does not take what others \
                      publish";
        Finding::new(Kind::Peer, wrong, advice)
    };
    stale.map(finding).collect()
}

/// Hosts that have the network with another MTU.
fn sizes(network: &NetworkView, vtep: &VtepView) -> Vec<Finding> {
    let Some(own) = vtep.mtu else { return Vec::new() };
    let of_hosts = network.remote.iter().filter(|remote| remote.key == "host");
    let differs = of_hosts.filter_map(|remote| {
        let mtu = remote.value.iter().find_map(|line| line.strip_prefix("mtu="))?;
        let mtu: u32 = mtu.parse().ok()?;
        let id = crate::id::short(network.id.as_str());
        let wrong = format!(
            "network {id} has MTU {own} here and {mtu} on host {}: large packets between them are lost",
            remote.node
        );
        let advice = format!(
            "create it again with -o com.docker.network.driver.mtu={} on both",
            own.min(mtu)
        );
        (mtu != own).then(|| Finding::new(Kind::Mtu, wrong, advice))
    });
    differs.collect()
}

fn arrived(networks: &[NetworkView]) -> Arrived {
    let output = Command::new("bridge").args(["-json", "-statistics", "fdb", "show"]).output();
    let stdout = output.map(|output| output.stdout).unwrap_or_default();
    let learnt: Vec<Learnt> = serde_json::from_slice(&stdout).unwrap_or_default();
    let is_vtep = |name: &str| {
        networks.iter().flat_map(|network| &network.vteps).any(|vtep| vtep.link == name)
    };
    let ours = learnt.into_iter().filter(|learnt| is_vtep(&learnt.ifname));
    let mut arrived = Arrived::new();
    for Learnt { mac, updated, .. } in ours {
        let updated = updated.unwrap_or(u64::MAX);
        arrived.entry(mac).and_modify(|least| *least = updated.min(*least)).or_insert(updated);
    }
    arrived
}
