//! Hosts that share an etcd: what one publishes the others are told, whatever happens to the
//! store meanwhile.

/// Agreed values.
mod agreed;
/// One host without a store of others.
mod alone;
/// The store is away, forgets, or asks who we are.
mod outages;

use serde_json::json;
use wasmnet_e2e::{Nodes, calls};

/// Hears of what there was, of what comes and of what goes; and how long it takes.
#[test]
#[allow(clippy::print_stdout, reason = "a figure for who asks for it, not a condition")]
fn what_one_node_publishes_the_others_are_told() {
    let cluster = Nodes::new(3, 1);
    cluster.gossip("g");
    let [one, other, third] = &cluster.nodes[..] else { panic!("three nodes") };
    let mut after = Vec::new();
    for number in 20..50 {
        one.endpoint("g", &format!("e{number}"), number).ok();
        other.wait_heard("g", number, "n0");
        let facts = other.facts("g");
        let nanoseconds: u64 = facts[&format!("after/{number}")].parse().unwrap();
        after.push(nanoseconds / 1000);
    }
    after.sort_unstable();
    let (middle, last) = (after[after.len() / 2], after[after.len() - 1]);
    println!("published to told: median {middle} us, slowest of {} {last} us", after.len());

    // Gone with its endpoint, or before if the driver says so.
    one.call("DeleteEndpoint", &calls::ids("g", "e20")).ok();
    one.call("Join", &calls::join("g", "e21", "s")).ok();
    one.call("Leave", &calls::ids("g", "e21")).ok();
    other.wait_heard("g", 20, "");
    other.wait_heard("g", 21, "");
    third.wait_heard("g", 22, "n0");

    // Two may publish the same; both are told of.
    third.endpoint("g", "e22", 22).ok();
    other.wait_heard("g", 22, "n0 n2");
    one.call("DeleteEndpoint", &calls::ids("g", "e22")).ok();
    other.wait_heard("g", 22, "n2");

    // Gone with its network.
    one.call("DeleteNetwork", &json!({ "NetworkID": "g" })).ok();
    for number in [10, 23, 49] {
        other.wait_heard("g", number, "");
    }
    other.assert_heard("g", 11, "n1");
    assert_eq!(one.daemon.json(&["status"])["cluster"]["published"], 0);
}

/// A call that fails is not heard of; and a driver that fails is told again.
#[test]
fn failed_calls_publish_nothing_and_are_made_again() {
    let cluster = Nodes::new(2, 1);
    let [one, other] = &cluster.nodes[..] else { panic!("two nodes") };
    one.network("g", json!({ "group": "g", "fail": "create-endpoint" })).ok();
    let error = one.endpoint("g", "e", 20).error();
    assert!(error.contains("as told"), "{error}");
    let error = one.network("h", json!({ "group": "g", "fail": "create-network" })).error();
    assert!(error.contains("as told"), "{error}");
    let status = one.cluster();
    assert_eq!((&status["published"], &status["followed"]), (&json!(0), &json!(1)), "{status}");

    // The first calls of the other's driver fail.
    other.network("g", json!({ "group": "g", "deny": "2" })).ok();
    other.endpoint("g", "first", 11).ok();
    other.wait_heard("g", 11, "n1");
    other.assert_heard("g", 20, "");
}

/// Groups and values are a driver's own, and a network hears of what it follows only.
#[test]
fn drivers_and_groups_are_kept_apart() {
    let cluster = Nodes::new(2, 1);
    cluster.gossip("g");
    let [one, other] = &cluster.nodes[..] else { panic!("two nodes") };
    one.network("h", json!({ "group": "g/", "agree": "color:red" })).ok();
    one.endpoint("h", "first", 60).ok();
    one.wait_heard("h", 60, "n0");
    let error = one.network("i", json!({ "group": "i", "peek": "g" })).error();
    assert!(error.contains("does not follow group \"g\""), "{error}");

    // The same component by another name, with the same group.
    let mut plugin = wasmnet_e2e::Plugin::connect(&other.host, "other");
    let network = calls::network("o", 9, &json!({ "group": "g", "agree": "color:blue" }));
    plugin.call("NetworkDriver.CreateNetwork", &network).ok();
    let endpoint = calls::endpoint("o", "first", "10.9.0.70");
    plugin.call("NetworkDriver.CreateEndpoint", &endpoint).ok();
    // All of it is behind this.
    other.endpoint("g", "last", 80).ok();
    one.wait_heard("g", 80, "n1");
    one.assert_heard("g", 60, "");
    one.assert_heard("g", 70, "");
    assert_eq!(one.facts("h")["agreed"], "red");
}

/// The lease is what a dead node's entries last for; a daemon that comes back in time is not
/// missed at all.
#[test]
fn a_dead_nodes_entries_go_with_its_lease_and_a_restart_is_not_noticed() {
    let mut cluster = Nodes::new(3, 1);
    cluster.gossip("g");
    let told = cluster.nodes[1].facts("g")["told"].clone();
    cluster.nodes[0].daemon.kill();
    cluster.nodes[0].daemon.start_again();
    cluster.nodes[0].endpoint("g", "e", 20).ok();
    cluster.nodes[1].wait_heard("g", 20, "n0");
    let again: u64 = cluster.nodes[1].facts("g")["told"].parse().unwrap();
    assert_eq!(again, told.parse::<u64>().unwrap() + 1, "told of what had not changed");
    cluster.nodes[0].assert_heard("g", 11, "n1");

    cluster.nodes[0].daemon.kill();
    let killed = std::time::Instant::now();
    cluster.nodes[1].assert_heard("g", 10, "n0");
    cluster.nodes[1].wait_heard("g", 10, "");
    let took = killed.elapsed();
    // It may have been renewed up to a third of it ago.
    assert!(took.as_secs() >= wasmnet_e2e::LEASE * 2 / 3 - 1, "gone after {took:?}");
    cluster.nodes[2].wait_heard("g", 20, "");
    cluster.nodes[2].assert_heard("g", 11, "n1");
    let gone = cluster.nodes[1].events("node-gone");
    assert_eq!((gone.len(), &gone[0]["node"]["name"]), (1, &json!("n0")), "{gone:?}");
    assert_eq!(cluster.nodes[1].facts("g")["nodes"].split(' ').count(), 2);

    cluster.nodes[0].daemon.start_again();
    cluster.nodes[1].wait_heard("g", 10, "n0");
    assert_eq!(cluster.nodes[1].events("node-appeared").last().unwrap()["node"]["name"], "n0");
}
