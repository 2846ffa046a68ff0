use std::{fs, process::Command};

use serde_json::Value;
use wasmnet_e2e::{
    BRIDGE_COMPONENT, IPAM_COMPONENT, MACVLAN_COMPONENT, MISCOUNT, OVERLAY_COMPONENT, WRONG, binary,
};
use wasmnet_lab::{Lab, assert_same_state};

use super::{folder, refused, wasmnet};

/// A mistake, the check that finds it, the kind of the finding, and a part of its sentence.
type Mistake = (&'static str, &'static str, &'static str, &'static str);

const NETWORK: [Mistake; 30] = [
    ("gateway-allocation", "life", "crash", "crashed in gateway-allocation"),
    ("loops", "life", "endless", "does not come to an end in create-network"),
    ("refuses-ipv4", "life", "refused", "only IPv6, please"),
    ("asks-for-too-little", "life", "denied", "may not set forwarding"),
    ("too-many-links", "life", "limit", "at most 8 links"),
    ("too-many-operations", "life", "limit", "at most 1024 kernel operations"),
    ("changes-address", "life", "answer", "changed the IPv4 address"),
    ("groups-mac", "life", "answer", "cannot be an interface's MAC address"),
    ("counts-endpoints", "life", "refused", "no room for a second endpoint"),
    ("info-crashes", "life", "crash", "crashed in endpoint-info"),
    ("foreign-link", "life", "answer", "is no link of this endpoint"),
    ("long-prefix", "life", "answer", "cannot begin a link's name"),
    ("foreign-gateway", "life", "answer", "192.0.2.1 is in none of the network's subnets"),
    ("leads-out", "life", "answer", "leads out of an internal network"),
    ("ports-crash", "life", "crash", "crashed in program-external-connectivity"),
    ("refuses-to-leave", "life", "refused", "not now"),
    ("one-mac-for-all", "conversations", "answer", "another endpoint of the network has MAC"),
    ("allocates-anew", "repeats", "unsteady", "and before"),
    ("strict-free", "repeats", "refused", "there is no network"),
    ("passes-over", "faults", "partial", "10.91.0.1/24 is missing"),
    ("passes-ports-over", "faults", "partial", "8080 is missing"),
    ("trips-when-poor", "faults", "crash", "crashed in create-network"),
    ("remembers-agreed", "faults", "retry", "another node has this network"),
    ("remembers-agreed", "deaths", "retry", "another node has this network"),
    ("restore-fails", "restarts", "refused", "there is a link \"bridge\" here already"),
    ("restore-adds", "restarts", "state", "is there"),
    ("keeps-keys", "leaks", "left", "keys grow from 1 to 3"),
    ("keeps-name", "leaks", "left", "name a network that is gone"),
    ("logs-too-much", "limits", "limit", "50 lines are lost"),
    ("trips-without-grants", "limits", "crash", "crashed in create-network"),
];

const OPTIONS: [Mistake; 3] = [
    ("unwraps-options", "options", "crash", "crashed in create-network"),
    ("vendors-options", "options", "refused", "vendor.example.flag is not known"),
    ("no-sentence", "options", "sentence", "refuses without a sentence"),
];

const IPAM: [Mistake; 13] = [
    ("nameless-space", "pools", "answer", "has no name"),
    ("other-subnet", "pools", "answer", "it gives 10.200.0.0/24"),
    ("overlaps", "pools", "answer", "it gives 10.91.0.0/16 while 10.91.0.0/24 is in use"),
    ("strict-release", "pools", "refused", "there is no pool"),
    ("networks-address", "addresses", "answer", "no container can have 10.91.0.0"),
    ("remembers-in-memory", "addresses", "answer", "to two"),
    ("ignores-wishes", "addresses", "answer", "asked for 10.91.0.5 it gives 10.91.0.1"),
    ("gives-twice", "addresses", "answer", "it gives 10.91.0.5"),
    ("never-gives-back", "addresses", "retry", "all addresses of 10.91.0.0/29 are in use"),
    ("no-sentence", "addresses", "sentence", "refuses without a sentence"),
    ("no-replay", "replay", "refused", "overlaps with a pool that is in use"),
    ("keeps-keys", "books", "left", "keys grow from 1 to 4"),
    ("trips-over-options", "books", "crash", "crashed in request-pool"),
];

/// Checks a component; the report.
#[track_caller]
fn report(component: &str, arguments: &[&str]) -> Value {
    let arguments = [&["conformance", component, "--json"], arguments].concat();
    let output = wasmnet(folder().path(), &arguments);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output:?}"));
    let expected = if findings(&report).is_empty() { 0 } else { 1 };
    assert_eq!(output.status.code(), Some(expected), "{arguments:?}: {output:?}");
    report
}

/// The check, kind and sentence of each finding.
fn findings(report: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let checks = report["checks"].as_array().unwrap();
    let of = |check: &Value| -> Vec<(String, String, String)> {
        let findings = check["findings"].as_array().unwrap().iter();
        findings.map(|one| (text(&check["name"]), text(&one["kind"]), text(&one["says"]))).collect()
    };
    checks.iter().flat_map(of).collect()
}

/// Fails the test unless each mistake is found where it should, and without it nothing.
fn each_is_found(component: &str, flag: &str, mistakes: &[Mistake]) {
    let right = report(component, &[]);
    assert_eq!(findings(&right), [], "the driver is right without a mistake");
    for (mistake, check, kind, says) in mistakes {
        let found = findings(&report(component, &[flag, &format!("wrong={mistake}")]));
        let is_right = |(in_check, of_kind, sentence): &(String, String, String)| {
            in_check == check && of_kind == kind && sentence.contains(says)
        };
        assert!(found.iter().any(is_right), "{mistake}: no {kind} in {check}: {found:#?}");
    }
}

#[test]
fn our_own_drivers_keep_the_contract() {
    for (component, least) in [
        (BRIDGE_COMPONENT, 600),
        (MACVLAN_COMPONENT, 500),
        (OVERLAY_COMPONENT, 600),
        (IPAM_COMPONENT, 40),
    ] {
        let report = report(component, &[]);
        assert_eq!(findings(&report), [], "{component}");
        let checks = report["checks"].as_array().unwrap();
        assert!(checks.iter().all(|check| check["skipped"].is_null()), "{checks:#?}");
        let cases: u64 = checks.iter().map(|check| check["cases"].as_u64().unwrap()).sum();
        assert!(cases >= least, "{component}: only {cases} cases");
    }
}

#[test]
fn our_own_drivers_keep_the_contract_on_the_real_kernel() {
    let lab = Lab::new();
    let host = lab.host("a");
    let before = host.netns_state();
    for component in [BRIDGE_COMPONENT, MACVLAN_COMPONENT, OVERLAY_COMPONENT] {
        let output = host.run(&[&binary(), "conformance", component, "--kernel", "--json"]);
        let report: Value = serde_json::from_str(&output).unwrap();
        let checks = report["checks"].as_array().unwrap();
        let on_kernel = |check: &&Value| check["name"].as_str().unwrap().starts_with("kernel-");
        assert_eq!(checks.iter().filter(on_kernel).count(), 3, "{checks:#?}");
    }
    assert_same_state(&before, &host.netns_state());
}

#[test]
fn wrong_network_drivers_are_found() {
    each_is_found(WRONG, "--opt", &NETWORK);
}

#[test]
fn wrong_options_are_found() {
    each_is_found(WRONG, "--opt", &OPTIONS);
}

#[test]
fn wrong_ipam_drivers_are_found() {
    each_is_found(MISCOUNT, "--config", &IPAM);
}

#[test]
fn it_goes_the_same_way_each_time() {
    for arguments in [&[][..], &["--opt", "wrong=passes-over"]] {
        assert_eq!(report(WRONG, arguments), report(WRONG, arguments), "{arguments:?}");
    }
}

#[test]
fn people_and_build_servers_can_read_it() {
    let folder = folder();
    let here = folder.path();
    let arguments =
        ["conformance", WRONG, "--opt", "wrong=foreign-gateway", "--junit", "report.xml"];
    let output = Command::new(binary()).args(arguments).current_dir(here).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "  FAILED   life ",
        "1. answer, in life\n   Join of endpoint 07070707, a network with IPv4:\n   gateway 192.0.2.1",
        "  skipped  faults                life has findings, which come first\n",
    ] {
        assert!(text.contains(part), "no \"{part}\" in\n{text}");
    }
    let junit = fs::read_to_string(here.join("report.xml")).unwrap();
    assert!(junit.contains("tests=\"9\" failures=\"1\" skipped=\"8\""), "{junit}");
    assert!(junit.contains("<failure type=\"answer\" message=\"gateway 192.0.2.1"), "{junit}");

    fs::write(here.join("text.wasm"), "no component").unwrap();
    let found = findings(&report(here.join("text.wasm").to_str().unwrap(), &[]));
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].0.as_str(), found[0].1.as_str()), ("load", "load"), "{found:?}");
    let missing = refused(here, &["conformance", "missing.wasm"]);
    assert!(missing.contains("cannot read missing.wasm"), "{missing}");
}
