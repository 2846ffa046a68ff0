//! The plugin protocol, also where an engine is not at its best: what it repeats,
//! forgets, cuts off or sends in a shape of its own.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use wasmnet_e2e::{BRIDGE, Bench, calls};

mod busy;
mod ipam;
mod repeated;
mod unheard;

/// All methods that have a body, IPAM's apart.
const METHODS: [&str; 14] = [
    "GwAllocCheck",
    "AllocateNetwork",
    "FreeNetwork",
    "CreateNetwork",
    "DeleteNetwork",
    "CreateEndpoint",
    "DeleteEndpoint",
    "EndpointOperInfo",
    "Join",
    "Leave",
    "ProgramExternalConnectivity",
    "RevokeExternalConnectivity",
    "DiscoverNew",
    "DiscoverDelete",
];

/// The least an HTTP request must have.
const BARE: [(&str, &str); 1] = [("Host", "")];

#[test]
fn bodies_that_are_missing_or_broken_are_refused() {
    let bench = Bench::new(&[]);
    let (before, ledger) = (bench.host.netns_state(), bench.ledger());
    let mut plugin = bench.plugin(BRIDGE);
    let broken = ["{", "7", "\"text\"", "nonsense", "{\"NetworkID\":7}", "{} {}", "\u{fffd}"];
    for method in METHODS {
        let method = format!("NetworkDriver.{method}");
        for empty in ["", "\n", "  \n"] {
            plugin.send_raw("POST", &method, &BARE, empty.as_bytes());
            let reply = plugin.receive();
            assert_eq!(reply.status, 400, "{method}, empty body {empty:?}: {reply:?}");
            assert!(reply.error().contains("empty request body"), "{method}: {reply:?}");
        }
        for body in broken {
            plugin.send_raw("POST", &method, &BARE, body.as_bytes());
            let reply = plugin.receive();
            assert!((400..500).contains(&reply.status), "{method}, {body:?}: {reply:?}");
            reply.error();
        }
    }
    // A body that is not UTF-8, and one that is none of the protocol's.
    plugin.send_raw("POST", "NetworkDriver.CreateNetwork", &BARE, b"{\"NetworkID\":\"\xff\"}");
    assert_eq!(plugin.receive().status, 400);
    assert_eq!(bench.ledger(), ledger, "a broken call did something");
    wasmnet_lab::assert_same_state(&before, &bench.host.netns_state());
}

#[test]
fn a_list_is_no_request() {
    let bench = Bench::new(&[]);
    let mut plugin = bench.plugin(BRIDGE);
    plugin.call("NetworkDriver.CreateNetwork", &calls::network("n1", 1, &json!({}))).ok();
    for body in [json!(["n1"]), json!([])] {
        let reply = plugin.call("NetworkDriver.DeleteNetwork", &body);
        assert_eq!(bench.ledger()[0], 1, "{body} was taken for a request: {reply:?}");
        assert_eq!(reply.status, 400, "{body}: {reply:?}");
        reply.error();
    }
    let reply = plugin.call("NetworkDriver.GwAllocCheck", &json!([]));
    assert_eq!(reply.status, 400, "{reply:?}");
}

#[test]
fn a_body_that_is_too_large_is_refused_and_the_daemon_lives() {
    let bench = Bench::new(&[]);
    let padding = "x".repeat(9 << 20);
    let body = json!({ "NetworkID": "n1", "Padding": padding }).to_string();
    let mut plugin = bench.plugin(BRIDGE);
    // The daemon need not read it all before it answers.
    let _ = plugin.try_send_raw("POST", "NetworkDriver.DeleteNetwork", &BARE, body.as_bytes());
    let reply = plugin.receive();
    assert!((400..500).contains(&reply.status), "{reply:?}");
    assert!(reply.error().contains("too large"), "{reply:?}");
    bench.plugin(BRIDGE).ask("Plugin.Activate").ok();
}

#[test]
fn methods_that_are_not_there_are_not_found() {
    let bench = Bench::new(&[]);
    let mut plugin = bench.plugin(BRIDGE);
    let unknown = [
        "NetworkDriver.Nonsense",
        "NetworkDriver.",
        "NetworkDriver",
        "IpamDriver.RequestPool",
        "IpamDriver.GetCapabilities",
        "VolumeDriver.Create",
        "Plugin.Deactivate",
        "",
        "../../etc/passwd",
        "%0a",
    ];
    for method in unknown {
        for body in [json!({}), Value::Null] {
            let reply = plugin.call(method, &body);
            assert_eq!(reply.status, 404, "{method:?}: {reply:?}");
            reply.error();
        }
    }
    plugin.send_raw("GET", "Plugin.Activate", &BARE, b"");
    let reply = plugin.receive();
    assert_eq!(reply.status, 405, "{reply:?}");
    reply.error();
}

#[test]
fn fields_may_be_null_or_missing_as_go_writes_them() {
    let bench = Bench::new(&[]);
    let mut plugin = bench.plugin(BRIDGE);
    let network = json!({
        "NetworkID": "n1",
        "Options": { "com.docker.network.generic": null, "com.docker.network.internal": null },
        "IPv4Data": [{
            "AddressSpace": null,
            "Pool": "10.1.0.0/24",
            "Gateway": "10.1.0.1/24",
            "AuxAddresses": null,
        }],
        "IPv6Data": null,
        "Later": { "versions": ["may", "say", "more"] },
    });
    plugin.call("NetworkDriver.CreateNetwork", &network).ok();
    let endpoint = json!({
        "NetworkID": "n1",
        "EndpointID": "e1",
        "Interface": { "Address": "10.1.0.2/24", "AddressIPv6": null, "MacAddress": null },
        "Options": null,
    });
    let answer = plugin.call("NetworkDriver.CreateEndpoint", &endpoint).ok();
    assert!(answer["Interface"]["MacAddress"].is_string(), "{answer}");
    let join = json!({
        "NetworkID": "n1", "EndpointID": "e1", "SandboxKey": null, "Options": null,
    });
    plugin.call("NetworkDriver.Join", &join).ok();
    let ports = json!({
        "NetworkID": "n1",
        "EndpointID": "e1",
        "Options": {
            "com.docker.network.portmap": null,
            "com.docker.network.endpoint.exposedports": null,
        },
    });
    plugin.call("NetworkDriver.ProgramExternalConnectivity", &ports).ok();
    plugin.call("NetworkDriver.GwAllocCheck", &json!({ "Options": null })).ok();
    let node = json!({ "DiscoveryType": 2, "DiscoveryData": null });
    plugin.call("NetworkDriver.DiscoverNew", &node).ok();
    plugin.call("NetworkDriver.DeleteNetwork", &json!({ "NetworkID": "n1" })).ok();
    bench.wait_nothing_left();

    // Null as a whole is Go's empty object: there is no id in it.
    let reply = plugin.call("NetworkDriver.DeleteNetwork", &Value::Null);
    assert_eq!(reply.status, 400, "{reply:?}");
    reply.error();
}

#[test]
fn a_connection_serves_many_requests_with_pauses() {
    let bench = Bench::new(&[]);
    let mut plugin = bench.plugin(BRIDGE);
    for number in 0..100 {
        let id = format!("unknown{number}");
        plugin.call("NetworkDriver.Leave", &calls::ids(&id, "e1")).ok();
    }
    // Not a wait for anything: the pause itself is what is tested.
    thread::sleep(Duration::from_secs(3));
    let answer = plugin.ask("Plugin.Activate").ok();
    assert_eq!(answer["Implements"], json!(["NetworkDriver"]));

    // Errors do not end it either.
    plugin.send_raw("POST", "NetworkDriver.Join", &BARE, b"");
    plugin.receive().error();
    let reply = plugin.ask("NetworkDriver.GetCapabilities");
    reply.ok();
    let media = "content-type: application/vnd.docker.plugins.v1.2+json".to_owned();
    assert!(reply.headers.contains(&media), "{reply:?}");
    assert!(!reply.headers.iter().any(|header| header == "connection: close"), "{reply:?}");
}

#[test]
fn ids_are_opaque_but_bounded() {
    let bench = Bench::new(&[]);
    let before = bench.host.netns_state();
    let mut plugin = bench.plugin(BRIDGE);
    // Swarm's have 25 characters; these begin alike, so that no part of them is enough.
    let good = ["x".repeat(24) + "a", "x".repeat(24) + "b", "x".repeat(127) + "a", "x".repeat(128)];
    for (number, id) in (1..).zip(&good) {
        plugin.call("NetworkDriver.CreateNetwork", &calls::network(id, number, &json!({}))).ok();
        for (last, endpoint) in (2..).zip(&good) {
            let address = format!("10.{number}.0.{last}");
            let body = calls::endpoint(id, endpoint, &address);
            plugin.call("NetworkDriver.CreateEndpoint", &body).ok();
            plugin.call("NetworkDriver.Join", &calls::join(id, endpoint, "s1")).ok();
        }
    }
    assert_eq!(bench.ledger()[..2], [4, 16]);
    for id in &good {
        plugin.call("NetworkDriver.DeleteNetwork", &json!({ "NetworkID": id })).ok();
    }
    bench.wait_nothing_left();

    plugin.call("NetworkDriver.CreateNetwork", &calls::network("n1", 1, &json!({}))).ok();
    let made = bench.ledger();
    let long = "x".repeat(129);
    for (bad, why) in [
        (long.as_str(), "longer than 128 bytes"),
        ("", "must not be empty"),
        ("a\nb", "printable"),
        ("a b", "printable"),
        ("a\0b", "printable"),
        ("ä", "printable"),
    ] {
        let about_network = [
            ("CreateNetwork", calls::network(bad, 9, &json!({}))),
            ("DeleteNetwork", json!({ "NetworkID": bad })),
            ("CreateEndpoint", calls::endpoint(bad, "e1", "10.9.0.2")),
        ];
        let about_endpoint = [
            ("CreateEndpoint", calls::endpoint("n1", bad, "10.1.0.2")),
            ("Join", calls::join("n1", bad, "s1")),
            ("Leave", calls::ids("n1", bad)),
            ("DeleteEndpoint", calls::ids("n1", bad)),
        ];
        let network = about_network.into_iter().map(|call| ("network", call));
        let endpoint = about_endpoint.into_iter().map(|call| ("endpoint", call));
        for (kind, (method, body)) in network.chain(endpoint) {
            let reply = plugin.call(&format!("NetworkDriver.{method}"), &body);
            assert_eq!(reply.status, 400, "{method}, {kind} {bad:?}: {reply:?}");
            let error = reply.error();
            assert!(error.contains(why) && error.contains(kind), "{method}, {bad:?}: {error}");
        }
    }
    assert_eq!(bench.ledger(), made, "a call with a bad id did something");
    plugin.call("NetworkDriver.DeleteNetwork", &json!({ "NetworkID": "n1" })).ok();
    bench.wait_nothing_left();
    wasmnet_lab::assert_same_state(&before, &bench.host.netns_state());
}

/// The longest of a few answers that need no driver, of each of these drivers.
fn slowest_answers<const N: usize>(bench: &Bench, drivers: [&str; N]) -> [Duration; N] {
    let mut slowest = [Duration::ZERO; N];
    for _ in 0..5 {
        for (driver, slowest) in drivers.iter().zip(&mut slowest) {
            for method in ["Plugin.Activate", "NetworkDriver.GetCapabilities"] {
                let start = Instant::now();
                // With a connection of its own, as a new engine.
                bench.plugin(driver).ask(method).ok();
                *slowest = start.elapsed().max(*slowest);
            }
        }
    }
    slowest
}
