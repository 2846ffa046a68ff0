//! `wasmnet doctor`: it finds what is wrong and nothing else, and mends what it says it
//! can mend.

use std::time::Duration;

use serde_json::{Value, json};
use wasmnet_e2e::{BRIDGE, Plugin, Site, binary, calls};
use wasmnet_lab::wait_for;

/// How long something may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(15);

/// What the doctor finds: kinds and sentences.
pub fn examine(site: &Site, more: &[&str]) -> Vec<(String, String)> {
    let binary = binary();
    let command = [&[binary.as_str(), "doctor", "--json"], more].concat();
    let output = site.host.try_run(&command);
    let findings: Vec<Value> = serde_json::from_str(&output.stdout)
        .unwrap_or_else(|error| panic!("no JSON from doctor: {error}: {output}"));
    assert_eq!(output.success(), findings.is_empty(), "the exit code: {output}");
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    findings.iter().map(|finding| (text(finding, "kind"), text(finding, "wrong"))).collect()
}

#[track_caller]
pub fn assert_finds(site: &Site, kind: &str, says: &str) {
    let found = examine(site, &[]);
    let hit = found.iter().any(|(is, wrong)| is == kind && wrong.contains(says));
    assert!(hit, "no {kind} with \"{says}\": {found:?}");
}

#[track_caller]
pub fn assert_well(site: &Site) {
    let found = examine(site, &[]);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_healthy_host_has_nothing_wrong() {
    let site = Site::new();
    assert_well(&site);
    site.network("net1", "--ipv6 --subnet 10.81.1.0/24 --subnet fd81:1::/64");
    site.host.sh("echo 1 >/proc/sys/net/ipv6/conf/all/forwarding");
    site.container("one", "--network net1 --publish 8080:80");
    assert_well(&site);
    let output = site.host.run(&[&binary(), "doctor"]);
    assert_eq!(output, "nothing is wrong");
}

#[test]
fn settings_that_keep_traffic_from_passing_are_named() {
    let site = Site::new();
    site.network("net1", "--subnet 10.81.1.0/24");
    site.host.sh("echo 0 >/proc/sys/net/ipv4/ip_forward");
    assert_finds(&site, "forwarding", "net.ipv4.ip_forward is 0");
    site.host.sh("echo 1 >/proc/sys/net/ipv4/ip_forward");
    assert_well(&site);

    site.host.sh("ip link set eth0 mtu 1400");
    assert_finds(&site, "mtu", "MTU 1500");
    site.host.sh("ip link set eth0 mtu 1500");

    site.host.sh("ip route add 10.81.1.128/25 dev eth0");
    assert_finds(&site, "overlap", "10.81.1.0/24");
    site.host.sh("ip route del 10.81.1.128/25 dev eth0");
    assert_well(&site);
}

#[test]
fn what_docker_does_not_know_is_found_and_mended() {
    let site = Site::new();
    site.network("net1", "--subnet 10.81.1.0/24");
    site.container("one", "--network net1");
    let before = site.host.netns_state();
    let id = site.docker("network inspect --format {{.Id}} net1");
    let mut plugin = Plugin::connect(&site.host, BRIDGE);
    plugin.call("NetworkDriver.CreateNetwork", &calls::network("ghost", 9, &json!({}))).ok();
    let endpoint = calls::endpoint(&id, "e1", "10.81.1.77");
    plugin.call("NetworkDriver.CreateEndpoint", &endpoint).ok();

    assert_finds(&site, "ghost", "the daemon has network ghost, which Docker does not know");
    assert_finds(&site, "ghost", "endpoint e1 (10.81.1.77) of network net1");
    let left = examine(&site, &["--fix"]);
    assert!(left.is_empty(), "not mended: {left:?}");
    site.wait_ledger(1, 1);
    site.assert_pings("one", "10.81.1.1");
    wait_for("what was a ghost's to be gone", PATIENCE, || site.host.netns_state() == before);
}

#[test]
fn what_only_docker_knows_is_found() {
    let mut site = Site::new();
    site.network("net1", "");
    site.daemon.stop();
    let state = site.host.path_in_data_dir("state");
    site.host.run(&["rm", "-r", state.to_str().unwrap()]);
    site.daemon.start_again();
    assert_finds(&site, "ghost", "Docker has network net1");
}

#[test]
fn an_engine_that_does_not_answer_is_a_finding() {
    let mut site = Site::new();
    site.engine.stop();
    assert_finds(&site, "engine", "nobody answers on /run/docker.sock");
}
