use std::time::Duration;

use serde_json::{Value, json};
use wasmnet_e2e::{Bench, Plugin, Site, binary};
use wasmnet_lab::wait_for;

use super::{IPAM, pool, release_address, request_address};

/// Longer than what is young is not looked at.
const PATIENCE: Duration = Duration::from_secs(40);

#[test]
fn pools_and_who_has_what_are_listed() {
    let bench = Bench::new(&[]);
    let mut plugin = bench.plugin(IPAM);
    let pool = pool(&mut plugin, "10.70.0.0/29");
    let body = json!({
        "PoolID": pool, "Address": "",
        "Options": { "RequestAddressType": "com.docker.network.gateway" },
    });
    plugin.call("IpamDriver.RequestAddress", &body).ok();
    let mac = "02:00:00:00:00:07";
    let body = json!({
        "PoolID": pool, "Address": "10.70.0.4",
        "Options": {
            "com.docker.network.endpoint.macaddress": mac,
            "com.docker.network.endpoint.name": "web",
        },
    });
    plugin.call("IpamDriver.RequestAddress", &body).ok();
    request_address(&mut plugin, &pool, "10.70.0.5").ok();
    release_address(&mut plugin, &pool, "10.70.0.5").ok();

    let shown = bench.daemon.json(&["ipam", "ls", "--free"]);
    let shown = &shown[0];
    assert_eq!(shown["driver"], IPAM);
    assert_eq!(shown["subnet"], "10.70.0.0/29");
    assert_eq!([&shown["held"], &shown["resting"], &shown["free"]], [2, 1, 3]);
    let leases: Vec<[&Value; 5]> = shown["leases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|lease| ["address", "state", "purpose", "mac", "name"].map(|key| &lease[key]))
        .collect();
    let null = Value::Null;
    let expected = [
        [&json!("10.70.0.1"), &json!("held"), &json!("gateway"), &null, &json!("")],
        [&json!("10.70.0.4"), &json!("held"), &json!("endpoint"), &json!(mac), &json!("web")],
        [&json!("10.70.0.5"), &json!("resting"), &json!("auxiliary"), &null, &json!("")],
    ];
    assert_eq!(leases, expected);
    assert_eq!(shown["runs"], json!([["10.70.0.2", "10.70.0.3"], ["10.70.0.6", "10.70.0.6"]]));

    let text = bench.host.run(&[&binary(), "ipam", "ls"]);
    for word in ["wasm-local/10.70.0.0/29", "10.70.0.4", mac, "web", "gateway", "resting"] {
        assert!(text.contains(word), "no {word}:\n{text}");
    }
    let text = bench.host.run(&[&binary(), "ipam", "ls", "--free"]);
    assert!(text.contains("10.70.0.3") && !text.contains(mac), "{text}");
}

#[test]
fn the_doctor_finds_what_nobody_has_and_gives_it_back() {
    let site = Site::new();
    site.docker(
        "network create --driver wasm-bridge --ipam-driver wasm-ipam --subnet 10.70.0.0/24 \
         --gateway 10.70.0.9 --aux-address printer=10.70.0.1 net1",
    );
    site.container("one", "--network net1");
    let mut plugin = Plugin::connect(&site.host, IPAM);
    let options = json!({ "com.docker.network.endpoint.macaddress": "02:00:00:00:00:07" });
    let body = |address: &str| json!({ "PoolID": "wasm-local/10.70.0.0/24", "Address": address, "Options": options });
    plugin.call("IpamDriver.RequestAddress", &body("10.70.0.77")).ok();
    pool(&mut plugin, "10.71.0.0/24");
    request_address(&mut plugin, "wasm-local/10.71.0.0/24", "10.71.0.1").ok();

    let doctor = |more: &[&str]| -> Vec<String> {
        let binary = binary();
        let output = site.host.try_run(&[&[&binary, "doctor", "--json"], more].concat());
        let findings: Vec<Value> = serde_json::from_str(&output.stdout).unwrap();
        findings.iter().map(|finding| finding["wrong"].as_str().unwrap().to_owned()).collect()
    };
    let expected = [
        "address 10.70.0.77 of pool wasm-local/10.70.0.0/24 belongs to no running container",
        "pool wasm-local/10.71.0.0/24 of wasm-ipam belongs to no network",
    ];
    wait_for("the doctor to find both", PATIENCE, || {
        let found = doctor(&[]);
        if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
    });
    assert_eq!(doctor(&["--fix"]), Vec::<String>::new());
    // What somebody has is still theirs.
    let taken = plugin.call("IpamDriver.RequestAddress", &body("10.70.0.2")).error();
    assert!(taken.contains("Address already in use"), "{taken}");
    plugin.call("IpamDriver.RequestAddress", &body("10.70.0.77")).ok();
    pool(&mut plugin, "10.71.0.0/24");
    let leases = site.daemon.json(&["ipam", "ls"]);
    assert_eq!(leases[0]["held"], 4, "gateway, printer, container, and the one just now: {leases}");
}
