//! The engine deletes something, the daemon dies before it hears of it, and the engine
//! never says it again.

use std::time::Duration;

use serde_json::{Value, json};
use wasmnet_e2e::{BRIDGE, Bench, calls};
use wasmnet_lab::wait_for;

/// Longer than an endpoint may be on the host.
const FORGETTING: Duration = Duration::from_secs(90);

#[test]
fn an_endpoint_whose_link_no_container_has_is_evicted_in_time() {
    let mut bench = Bench::new(&[]);
    let mut plugin = bench.plugin(BRIDGE);
    plugin.call("NetworkDriver.CreateNetwork", &calls::network("n1", 1, &json!({}))).ok();
    for (id, address) in [("left", "10.1.0.2"), ("held", "10.1.0.3"), ("made", "10.1.0.4")] {
        let body = calls::endpoint("n1", id, address);
        plugin.call("NetworkDriver.CreateEndpoint", &body).ok();
    }
    for id in ["left", "held"] {
        let info = plugin.call("NetworkDriver.Join", &calls::join("n1", id, id)).ok();
        let link = info["InterfaceName"]["SrcName"].as_str().unwrap().to_owned();
        bench.host.sh(&format!("ip netns add {id}; ip link set {link} netns {id}"));
        if id == "left" {
            // As the engine does when a container is disconnected. That it says so is lost.
            bench.host.sh(&format!("ip -n {id} link set {link} netns 1"));
        }
    }

    assert_eq!(endpoints(&bench), ["held", "left", "made"]);
    // However often the daemon ends meanwhile.
    wait_for("the lost endpoints to be evicted", FORGETTING, || {
        bench.daemon.kill();
        bench.daemon.start_again();
        let found = endpoints(&bench);
        if found == ["held"] { Ok(()) } else { Err(format!("{found:?}")) }
    });
    // They are gone from the ledger before the kernel has deleted them.
    wait_for("their links to be deleted", FORGETTING, || {
        let links = bench.host.run(&["ip", "-o", "link", "show", "type", "veth"]);
        let ours = links.lines().filter(|line| line.contains(" wn")).count();
        if ours == 1 { Ok(()) } else { Err(links) }
    });
}

#[test]
fn a_network_goes_when_the_engine_gives_its_subnet_to_another() {
    let bench = Bench::new(&[]);
    let mut plugin = bench.plugin(BRIDGE);
    let mut create = |id: &str, number: u8, space: &str| {
        let mut body = calls::network(id, number, &json!({}));
        body["IPv4Data"][0]["AddressSpace"] = space.into();
        plugin.call("NetworkDriver.CreateNetwork", &body).ok();
    };
    create("lost", 1, "LocalDefault");
    create("other", 2, "LocalDefault");
    assert_eq!(networks(&bench), ["lost", "other"]);
    create("new", 1, "LocalDefault");
    assert_eq!(networks(&bench), ["new", "other"]);
    // Whether another IPAM driver gives a subnet out twice is its own affair.
    create("theirs", 2, "acme");
    assert_eq!(networks(&bench), ["new", "other", "theirs"]);
    // Nobody's network has containers on it.
    let mut plugin = bench.plugin(BRIDGE);
    plugin.call("NetworkDriver.CreateEndpoint", &calls::endpoint("new", "e1", "10.1.0.2")).ok();
    plugin.call("NetworkDriver.Join", &calls::join("new", "e1", "sandbox")).ok();
    create("newer", 1, "LocalDefault");
    assert_eq!(networks(&bench), ["new", "newer", "other", "theirs"]);
}

fn ids(views: &Value) -> Vec<String> {
    let mut ids: Vec<String> =
        views.as_array().unwrap().iter().map(|view| view["id"].as_str().unwrap().into()).collect();
    ids.sort_unstable();
    ids
}

fn endpoints(bench: &Bench) -> Vec<String> {
    ids(&bench.daemon.json(&["endpoint", "ls"]))
}

fn networks(bench: &Bench) -> Vec<String> {
    ids(&bench.daemon.json(&["network", "ls"]))
}
