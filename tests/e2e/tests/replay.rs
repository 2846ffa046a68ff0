//! Recorded conversations of three engines with a plugin, replayed: every answer is one
//! that the engine accepts, and in the end nothing is left.
//!
//! A trace has one JSON object a line: a command of the user (`cmd`) or a call with the
//! headers the engine sent (`path`, `headers`, `req`). The calls to IPAM are left out.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use serde_json::Value;
use wasmnet_e2e::{BRIDGE_COMPONENT, Bench, Plugin, Reply};
use wasmnet_lab::{assert_same_state, wait_for};

/// How long something may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the driver was called when the traces were recorded.
const DRIVER: &str = "recdrv";

/// Longest name of a link, in bytes.
const LINK_NAME_MAX: usize = 15;

#[test]
fn engine_20_10() {
    replay(include_str!("../traces/docker-20.10.jsonl"), 1);
}

#[test]
fn engine_26_1() {
    replay(include_str!("../traces/docker-26.1.jsonl"), 1);
}

#[test]
fn engine_28_5() {
    replay(include_str!("../traces/docker-28.5.jsonl"), 1);
}

#[test]
fn engine_20_10_saying_everything_twice() {
    replay(include_str!("../traces/docker-20.10.jsonl"), 2);
}

#[test]
fn engine_26_1_saying_everything_twice() {
    replay(include_str!("../traces/docker-26.1.jsonl"), 2);
}

#[test]
fn engine_28_5_saying_everything_twice() {
    replay(include_str!("../traces/docker-28.5.jsonl"), 2);
}

/// What the engine knows while it goes through a trace.
#[derive(Default)]
struct Engine {
    /// CreateNetwork's requests by network.
    networks: BTreeMap<String, Value>,
    /// Endpoints that stand: their network, and their link once they have joined.
    endpoints: BTreeMap<String, (String, Option<String>)>,
    /// MAC addresses by network and endpoint.
    macs: BTreeMap<(String, String), String>,
}

/// Replays a trace, each call `times` in a row.
#[allow(clippy::print_stdout, reason = "shown when the test fails")]
fn replay(trace: &str, times: usize) {
    let bench = Bench::new(&[(DRIVER, BRIDGE_COMPONENT)]);
    let before = bench.host.netns_state();
    let mut plugin = bench.plugin(DRIVER);
    let mut engine = Engine::default();
    let mut command = "before any command".to_owned();
    let mut calls = 0;
    for line in trace.lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        if let Some(text) = entry["cmd"].as_str() {
            command = text.to_owned();
            continue;
        }
        let path = entry["path"].as_str().unwrap();
        if path.starts_with("/IpamDriver.") {
            continue;
        }
        println!("{command}: {path} {}", entry["req"]);
        let first = send(&mut plugin, &entry);
        engine.check(&bench, path, &entry["req"], &first);
        for _ in 1..times {
            let again = send(&mut plugin, &entry);
            assert_eq!(again.ok(), first.ok(), "{path}: another answer when asked again");
            engine.check_kernel(&bench, path, &entry["req"]);
        }
        calls += 1;
    }
    assert!(calls > 100, "the trace has only {calls} calls");
    assert!(engine.networks.is_empty() && engine.endpoints.is_empty(), "the trace ends early");
    bench.wait_nothing_left();
    assert_same_state(&before, &bench.host.netns_state());
}

/// Sends a recorded call with its headers, in the bytes the engine would send.
fn send(plugin: &mut Plugin, entry: &Value) -> Reply {
    let headers = entry["headers"].as_object().unwrap();
    let recorded: usize = headers["Content-Length"].as_str().unwrap().parse().unwrap();
    let body = match recorded {
        0 => String::new(),
        _ => format!("{}\n", entry["req"]),
    };
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .filter(|(name, _)| name.as_str() != "Content-Length")
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
        .collect();
    assert!(headers.iter().all(|(name, _)| *name != "Content-Type"), "engines send no such header");
    let path = entry["path"].as_str().unwrap();
    plugin.send_raw("POST", path.trim_start_matches('/'), &headers, body.as_bytes());
    plugin.receive()
}

// === impl Engine ===

impl Engine {
    /// Fails the test unless the engine accepts the answer.
    fn check(&mut self, bench: &Bench, path: &str, request: &Value, reply: &Reply) {
        let answer = reply.ok();
        let id = |key: &str| request[key].as_str().unwrap_or_default().to_owned();
        let (network, endpoint) = (id("NetworkID"), id("EndpointID"));
        match path {
            "/Plugin.Activate" => {
                assert_eq!(answer["Implements"], serde_json::json!(["NetworkDriver"]));
            }
            "/NetworkDriver.GetCapabilities" => {
                assert_eq!(answer["Scope"], "local");
                assert!(["local", "global"].contains(&text(&answer, "ConnectivityScope")));
            }
            "/NetworkDriver.GwAllocCheck" => {
                assert!(answer["SkipIPv4"].is_boolean() && answer["SkipIPv6"].is_boolean());
            }
            "/NetworkDriver.CreateNetwork" => {
                self.networks.insert(network, request.clone());
            }
            "/NetworkDriver.DeleteNetwork" => {
                assert!(self.networks.remove(&network).is_some(), "the trace is wrong");
            }
            "/NetworkDriver.CreateEndpoint" => {
                self.check_interface(&network, &endpoint, request, &answer);
                self.endpoints.insert(endpoint, (network, None));
            }
            "/NetworkDriver.Join" => {
                let link = self.check_join(&network, &answer);
                self.endpoints.insert(endpoint, (network, link));
            }
            "/NetworkDriver.EndpointOperInfo" => {
                assert!(answer["Value"].is_object(), "{answer}");
            }
            "/NetworkDriver.DeleteEndpoint" => {
                self.macs.remove(&(network, endpoint.clone()));
                let (_, link) = self.endpoints.remove(&endpoint).expect("the trace is wrong");
                if let Some(link) = link {
                    // It goes in the background, soon after the answer.
                    wait_for("the endpoint's link to go with it", PATIENCE, || {
                        !bench.host.try_run(&["ip", "link", "show", "dev", &link]).success()
                    });
                }
            }
            "/NetworkDriver.Leave"
            | "/NetworkDriver.ProgramExternalConnectivity"
            | "/NetworkDriver.RevokeExternalConnectivity" => {}
            other => panic!("{other} is not checked"),
        }
        self.check_kernel(bench, path, request);
    }

    /// Fails the test unless every endpoint that has joined has its link on the host.
    fn check_kernel(&self, bench: &Bench, path: &str, request: &Value) {
        let links = bench.host.run(&["ip", "-o", "link"]);
        for (endpoint, (_, link)) in &self.endpoints {
            let Some(link) = link else { continue };
            let there =
                links.contains(&format!(" {link}:")) || links.contains(&format!(" {link}@"));
            assert!(there, "{endpoint} has no link {link} after {path} {request}:\n{links}");
        }
        let status = bench.daemon.json(&["status"]);
        assert_eq!(status["networks"], self.networks.len(), "after {path}: {status}");
        assert_eq!(status["endpoints"], self.endpoints.len(), "after {path}: {status}");
    }

    /// CreateEndpoint's answer: only what the request left open, and the MAC address always.
    fn check_interface(&mut self, network: &str, id: &str, request: &Value, answer: &Value) {
        let (asked, given) = (&request["Interface"], &answer["Interface"]);
        assert!(given.is_null() || given.is_object(), "{answer}");
        for key in ["Address", "AddressIPv6", "MacAddress"] {
            let open = text(asked, key).is_empty();
            let is_set = !text(given, key).is_empty();
            assert!(open || !is_set, "the engine calls this a change of {key}: {answer}");
        }
        assert_eq!(text(given, "Address"), "", "nobody asked for an address: {answer}");
        let mac = match text(asked, "MacAddress") {
            "" => text(given, "MacAddress"),
            mac => mac,
        };
        let octets: Vec<u8> =
            mac.split(':').map(|octet| u8::from_str_radix(octet, 16).unwrap()).collect();
        assert_eq!(octets.len(), 6, "\"{mac}\" is no MAC address: {answer}");
        assert_eq!(octets[0] & 1, 0, "{mac} is a group's address");
        let own = (network.to_owned(), id.to_owned());
        let twice = self.macs.iter().find(|((of, _), other)| of == network && *other == mac);
        assert_eq!(twice, None, "{mac} is on the network already");
        self.macs.insert(own, mac.to_owned());
    }

    /// Join's answer; returns the link's name.
    fn check_join(&self, network: &str, answer: &Value) -> Option<String> {
        let of = self.networks.get(network).expect("a network of the trace");
        let name = text(&answer["InterfaceName"], "SrcName");
        assert!(!name.is_empty() && name.len() <= LINK_NAME_MAX, "{answer}");
        assert!(!text(&answer["InterfaceName"], "DstPrefix").is_empty(), "{answer}");
        let internal = of["Options"]["com.docker.network.internal"] == true;
        for (key, pools) in [("Gateway", "IPv4Data"), ("GatewayIPv6", "IPv6Data")] {
            let gateway = text(answer, key);
            let pool = &of[pools][0];
            if internal || pool.is_null() {
                assert_eq!(gateway, "", "no {key} leads out of this network: {answer}");
                continue;
            }
            let gateway: IpAddr = gateway.parse().unwrap_or_else(|_| panic!("{key}: {answer}"));
            let subnet = text(pool, "Pool");
            assert!(contains(subnet, gateway), "{gateway} is not in {subnet}");
            let (expected, _) = text(pool, "Gateway").split_once('/').unwrap();
            assert_eq!(gateway.to_string(), expected);
        }
        assert!(
            answer.get("StaticRoutes").is_none_or(|routes| routes.as_array().unwrap().is_empty()),
            "nothing needs routes: {answer}"
        );
        Some(name.to_owned())
    }
}

/// A field's text; nothing if it is missing or null, as Go reads it.
fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    match &object[key] {
        Value::Null => "",
        value => value.as_str().unwrap_or_else(|| panic!("{key} is no string: {object}")),
    }
}

/// Whether an address is in a subnet, written ADDRESS/LENGTH.
fn contains(subnet: &str, address: IpAddr) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    let (base, length) = subnet.split_once('/').unwrap();
    let (base, length): (IpAddr, u32) = (base.parse().unwrap(), length.parse().unwrap());
    let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
    let ((one, size), (other, other_size)) = (bits(base), bits(address));
    size == other_size && one & mask == other & mask
}
