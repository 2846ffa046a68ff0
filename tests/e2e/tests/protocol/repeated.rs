//! Calls that come again, come too late, or whose caller has gone.

use std::time::Duration;

use serde_json::{Value, json};
use wasmnet_e2e::{BRIDGE, Bench, CHAOS, Plugin, calls};
use wasmnet_lab::{assert_same_state, wait_for};

/// How long something may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(15);

/// Calls a method twice and fails the test unless both answers are the same.
fn twice(plugin: &mut Plugin, method: &str, body: &Value) -> Value {
    let first = plugin.call(method, body).ok();
    assert_eq!(plugin.call(method, body).ok(), first, "{method}: another answer when repeated");
    first
}

#[test]
fn giving_up_what_is_not_there_is_a_success() {
    let bench = Bench::new(&[]);
    let mut plugin = bench.plugin(BRIDGE);
    let farewells = ["RevokeExternalConnectivity", "Leave", "DeleteEndpoint"];
    for method in farewells {
        plugin.call(&format!("NetworkDriver.{method}"), &calls::ids("no", "no")).ok();
    }
    plugin.call("NetworkDriver.DeleteNetwork", &json!({ "NetworkID": "no" })).ok();
    plugin.call("NetworkDriver.EndpointOperInfo", &calls::ids("no", "no")).ok();

    plugin.call("NetworkDriver.CreateNetwork", &calls::network("n1", 1, &json!({}))).ok();
    for method in farewells {
        plugin.call(&format!("NetworkDriver.{method}"), &calls::ids("n1", "no")).ok();
    }
    // In the wrong order, too: an endpoint that never joined.
    plugin.call("NetworkDriver.CreateEndpoint", &calls::endpoint("n1", "e1", "10.1.0.2")).ok();
    for method in farewells {
        plugin.call(&format!("NetworkDriver.{method}"), &calls::ids("n1", "e1")).ok();
    }
    assert_eq!(bench.ledger()[..2], [1, 0]);
    plugin.call("NetworkDriver.DeleteNetwork", &json!({ "NetworkID": "n1" })).ok();
    bench.wait_nothing_left();
}

#[test]
fn making_something_without_what_it_belongs_to_is_an_error() {
    let bench = Bench::new(&[]);
    let before = bench.host.netns_state();
    let mut plugin = bench.plugin(BRIDGE);
    let reply =
        plugin.call("NetworkDriver.CreateEndpoint", &calls::endpoint("no", "e1", "10.1.0.2"));
    assert!(reply.error().contains("network no is not known"), "{reply:?}");
    for network in ["no", "n1"] {
        let reply = plugin.call("NetworkDriver.Join", &calls::join(network, "e1", "s1"));
        assert!(reply.error().contains("is not known"), "{reply:?}");
        let body = calls::join(network, "e1", "s1");
        let reply = plugin.call("NetworkDriver.ProgramExternalConnectivity", &body);
        assert!(reply.error().contains("is not known"), "{reply:?}");
    }
    assert_eq!(bench.ledger(), [0; 4]);
    assert_same_state(&before, &bench.host.netns_state());
}

#[test]
fn a_repeated_call_gets_the_same_answer() {
    let bench = Bench::new(&[]);
    let before = bench.host.netns_state();
    let mut plugin = bench.plugin(BRIDGE);
    twice(&mut plugin, "NetworkDriver.CreateNetwork", &calls::network("n1", 1, &json!({})));
    let endpoint = calls::endpoint("n1", "e1", "10.1.0.2");
    let made = twice(&mut plugin, "NetworkDriver.CreateEndpoint", &endpoint);
    assert!(made["Interface"]["MacAddress"].is_string(), "{made}");
    let joined = twice(&mut plugin, "NetworkDriver.Join", &calls::join("n1", "e1", "s1"));
    assert!(joined["InterfaceName"]["SrcName"].is_string(), "{joined}");

    // Also after others, and later in its life.
    plugin.call("NetworkDriver.CreateEndpoint", &calls::endpoint("n1", "e2", "10.1.0.3")).ok();
    assert_eq!(plugin.call("NetworkDriver.CreateEndpoint", &endpoint).ok(), made);
    let join = calls::join("n1", "e1", "s1");
    assert_eq!(plugin.call("NetworkDriver.Join", &join).ok(), joined);
    assert_eq!(bench.ledger()[..2], [1, 2]);

    for method in ["RevokeExternalConnectivity", "Leave", "DeleteEndpoint"] {
        twice(&mut plugin, &format!("NetworkDriver.{method}"), &calls::ids("n1", "e1"));
    }
    twice(&mut plugin, "NetworkDriver.DeleteNetwork", &json!({ "NetworkID": "n1" }));
    bench.wait_nothing_left();
    assert_same_state(&before, &bench.host.netns_state());
}

#[test]
fn a_repeated_call_gets_the_same_answer_from_a_new_daemon() {
    let mut bench = Bench::new(&[]);
    let mut plugin = bench.plugin(BRIDGE);
    let network = calls::network("n1", 1, &json!({}));
    plugin.call("NetworkDriver.CreateNetwork", &network).ok();
    let endpoint = calls::endpoint("n1", "e1", "10.1.0.2");
    let made = plugin.call("NetworkDriver.CreateEndpoint", &endpoint).ok();
    let join = calls::join("n1", "e1", "s1");
    let joined = plugin.call("NetworkDriver.Join", &join).ok();
    let (kernel, ledger) = (bench.host.netns_state(), bench.ledger());

    bench.daemon.kill();
    bench.daemon.start_again();
    let mut plugin = bench.plugin(BRIDGE);
    plugin.call("NetworkDriver.CreateNetwork", &network).ok();
    assert_eq!(plugin.call("NetworkDriver.CreateEndpoint", &endpoint).ok(), made);
    assert_eq!(plugin.call("NetworkDriver.Join", &join).ok(), joined);
    assert_eq!(bench.ledger(), ledger);
    assert_same_state(&kernel, &bench.host.netns_state());
}

#[test]
fn a_call_that_contradicts_an_earlier_one_is_an_error() {
    let bench = Bench::new(&[("chaos", CHAOS)]);
    let mut plugin = bench.plugin(BRIDGE);
    plugin.call("NetworkDriver.CreateNetwork", &calls::network("n1", 1, &json!({}))).ok();
    plugin.call("NetworkDriver.CreateEndpoint", &calls::endpoint("n1", "e1", "10.1.0.2")).ok();
    plugin.call("NetworkDriver.Join", &calls::join("n1", "e1", "s1")).ok();
    let (kernel, ledger) = (bench.host.netns_state(), bench.ledger());

    let mtu = json!({ "com.docker.network.driver.mtu": "1400" });
    for body in [calls::network("n1", 2, &json!({})), calls::network("n1", 1, &mtu)] {
        let reply = plugin.call("NetworkDriver.CreateNetwork", &body);
        assert!(reply.error().contains("exists with other settings"), "{reply:?}");
    }
    let reply =
        plugin.call("NetworkDriver.CreateEndpoint", &calls::endpoint("n1", "e1", "10.1.0.3"));
    assert!(reply.error().contains("exists with other settings"), "{reply:?}");
    let reply = plugin.call("NetworkDriver.Join", &calls::join("n1", "e1", "s2"));
    assert!(reply.error().contains("in another sandbox"), "{reply:?}");

    // Another driver has no part in the network of this one.
    let mut other = bench.plugin("chaos");
    let body = calls::network("n1", 1, &json!({}));
    other.call("NetworkDriver.CreateNetwork", &body).error();
    other.call("NetworkDriver.Leave", &calls::ids("n1", "e1")).ok();
    other.call("NetworkDriver.DeleteEndpoint", &calls::ids("n1", "e1")).ok();
    other.call("NetworkDriver.DeleteNetwork", &json!({ "NetworkID": "n1" })).ok();

    assert_eq!(bench.ledger(), ledger);
    assert_same_state(&kernel, &bench.host.netns_state());
}

#[test]
fn a_call_whose_caller_has_gone_is_finished() {
    let bench = Bench::new(&[("chaos", CHAOS)]);
    let mut plugin = bench.plugin("chaos");
    let slow = json!({ "chaos": "create-endpoint:slow" });
    plugin.call("NetworkDriver.CreateNetwork", &calls::network("n1", 1, &slow)).ok();
    let before = bench.host.netns_state();

    let endpoint = calls::endpoint("n1", "e1", "10.1.0.2");
    let mut gone = bench.plugin("chaos");
    gone.send("NetworkDriver.CreateEndpoint", &endpoint);
    wait_for("the call to begin", PATIENCE, || bench.host.netns_state() != before);
    assert_eq!(bench.ledger()[1], 0, "the call has ended before its caller went");
    drop(gone);
    wait_for("the endpoint", PATIENCE, || bench.ledger()[1] == 1);

    plugin.call("NetworkDriver.CreateEndpoint", &endpoint).ok();
    plugin.call("NetworkDriver.Join", &calls::join("n1", "e1", "s1")).ok();
    plugin.call("NetworkDriver.DeleteEndpoint", &calls::ids("n1", "e1")).ok();
    assert_eq!(bench.ledger()[1], 0);
    plugin.call("NetworkDriver.DeleteNetwork", &json!({ "NetworkID": "n1" })).ok();
    bench.wait_nothing_left();
}

#[test]
fn a_failing_call_whose_caller_has_gone_leaves_nothing() {
    let bench = Bench::new(&[("chaos", CHAOS)]);
    let mut plugin = bench.plugin("chaos");
    let hang = json!({ "chaos": "create-network:loop" });
    let before = bench.host.netns_state();
    let mut gone = bench.plugin("chaos");
    gone.send("NetworkDriver.CreateNetwork", &calls::network("n1", 1, &hang));
    wait_for("the call to begin", PATIENCE, || bench.host.netns_state() != before);
    drop(gone);
    wait_for("the call to be undone", PATIENCE, || bench.host.netns_state() == before);
    bench.wait_nothing_left();
    plugin.call("NetworkDriver.CreateNetwork", &calls::network("n1", 1, &json!({}))).ok();
}

#[test]
fn a_caller_that_goes_before_it_has_said_everything_changes_nothing() {
    let bench = Bench::new(&[]);
    let before = bench.host.netns_state();
    let body = calls::network("n1", 1, &json!({})).to_string();
    for cut in [0, 1, body.len() / 2, body.len() - 1] {
        let mut gone = bench.plugin(BRIDGE);
        gone.send_cut("NetworkDriver.CreateNetwork", body.as_bytes(), cut);
        drop(gone);
    }
    // Calls of one network happen in order, so those before are over when this one is.
    let mut plugin = bench.plugin(BRIDGE);
    plugin.call("NetworkDriver.DeleteNetwork", &json!({ "NetworkID": "n1" })).ok();
    assert_eq!(bench.ledger(), [0; 4]);
    assert_same_state(&before, &bench.host.netns_state());
}

#[test]
fn what_was_published_and_revoked_outlives_a_crash() {
    let mut bench = Bench::new(&[]);
    let mut plugin = bench.plugin(BRIDGE);
    plugin.call("NetworkDriver.CreateNetwork", &calls::network("n1", 1, &json!({}))).ok();
    plugin.call("NetworkDriver.CreateEndpoint", &calls::endpoint("n1", "e1", "10.1.0.2")).ok();
    plugin.call("NetworkDriver.Join", &calls::join("n1", "e1", "s1")).ok();
    let program = |ports: u16| {
        let port = |number| json!({ "Proto": 6, "IP": "", "Port": 80 + number, "HostPort": 8080 + number });
        let ports: Vec<Value> = (0..ports).map(port).collect();
        let mut body = calls::ids("n1", "e1");
        body["Options"] = json!({ "com.docker.network.portmap": ports });
        body
    };
    // No ports are nothing to lose, and the daemon does not hurry to write them down.
    for ports in [0, 2, 0, 1] {
        for method in ["ProgramExternalConnectivity", "RevokeExternalConnectivity"] {
            bench.plugin(BRIDGE).call(&format!("NetworkDriver.{method}"), &program(ports)).ok();
            bench.daemon.kill();
            bench.daemon.start_again();
            let left = if method.starts_with("Program") { ports } else { 0 };
            wait_for("the ports that are published", PATIENCE, || {
                let listed = bench.daemon.json(&["port", "ls"]);
                let count = listed.as_array().map_or(0, Vec::len);
                if count >= usize::from(left) && (left > 0) == (count > 0) {
                    Ok(())
                } else {
                    Err(listed.to_string())
                }
            });
        }
    }
    let mut plugin = bench.plugin(BRIDGE);
    for method in ["Leave", "DeleteEndpoint", "DeleteNetwork"] {
        plugin.call(&format!("NetworkDriver.{method}"), &calls::ids("n1", "e1")).ok();
    }
    bench.wait_nothing_left();
}
