//! Somebody changes what is ours while containers run: it is put back, and told.

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use wasmnet_e2e::{BRIDGE, Site, binary};
use wasmnet_lab::{Output, Place, TRANSPORTS, wait_for};

/// How long a repair may take, and the look at it, on a machine with much to do.
const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn containers_are_reached_again_after_each_drift() {
    let site = Site::new();
    site.network("net1", "--subnet 10.81.1.0/24 --ipv6 --subnet fd00:81::/64");
    site.container("one", "--network net1 --ip 10.81.1.10");
    site.container(
        "web",
        "--network net1 --ip 10.81.1.20 --publish 8080:80/tcp --publish 8080:80/udp",
    );
    let web = Place::container(&site.host, "web");
    let _servers = TRANSPORTS.map(|transport| web.serve(transport, 80));
    let (bridge, port) = (bridge(&site), port(&site, "10.81.1.20"));
    let mut seen = last(&site);
    for (drift, event) in [
        ("ip link del BRIDGE", "repaired"),
        ("ip link set PORT nomaster", "repaired"),
        ("ip link set BRIDGE down", "repaired"),
        ("ip link set PORT down", "repaired"),
        ("ip address flush dev BRIDGE", "repaired"),
        ("nft flush ruleset", "firewall-repaired"),
        ("nft delete element inet wasmnet ports4 '{ tcp . 8080 }'", "firewall-repaired"),
        ("nft delete element inet wasmnet bridges '{ \"BRIDGE\" }'", "firewall-repaired"),
    ] {
        let command = drift.replace("BRIDGE", &bridge).replace("PORT", &port);
        site.host.sh(&command);
        wait_for(&format!("an event after {command}"), PATIENCE, || {
            let events = events(&site, &[]);
            let new = |shown: &&Value| shown["sequence"].as_u64() > Some(seen);
            let found = events.iter().filter(new).any(|shown| shown["event"] == event);
            if found { Ok(()) } else { Err(format!("{events:?}")) }
        });
        // Bridges forget where containers are, and IPv6 finds out who has an address.
        site.wait_pings("one", "10.81.1.20");
        site.wait_pings("one", "fd00:81::1");
        site.wait_pings("one", &site.lab.outside().address().to_string());
        for transport in TRANSPORTS {
            let to = SocketAddr::new(site.host.address().into(), 8080);
            Place::host(&site.lab.host("b")).assert_reaches(transport, to, "web");
        }
        seen = last(&site);
    }
    site.docker("rm --force one web");
    site.docker("network rm net1");
    site.assert_nothing_left();
}

#[test]
fn events_tell_a_networks_life() {
    let mut site = Site::new();
    let follower = site.host.spawn(&[&binary(), "events", "--follow"]);
    site.network("net1", "--subnet 10.81.1.0/24");
    site.network("net2", "--subnet 10.81.2.0/24");
    let id = site.docker("network inspect --format {{.Id}} net1");
    site.container("web", "--network net1 --ip 10.81.1.10 --publish 8080:80/tcp");
    let refused = site.try_docker(&format!(
        "network create --driver {BRIDGE} -o com.docker.network.bridge.x=1 bad"
    ));
    assert!(!refused.success(), "{refused}");
    site.host.sh(&format!("ip link set {} mtu 1300", bridge_of(&site, &id)));
    wait_for("the repair to be told", PATIENCE, || {
        events(&site, &[]).iter().any(|event| event["event"] == "repaired")
    });
    site.docker("rm --force web");
    site.docker("network rm net1 net2");
    site.wait_ledger(0, 0);

    let of_net1 = events(&site, &["--network", &id[..12]]);
    let names: Vec<&str> = of_net1.iter().map(|event| event["event"].as_str().unwrap()).collect();
    let expected = [
        "network-created",
        "endpoint-created",
        "endpoint-joined",
        "port-published",
        "port-published",
        "repaired",
        "port-released",
        "port-released",
        "endpoint-left",
        "endpoint-deleted",
        "network-deleted",
    ];
    assert_eq!(names, expected, "{of_net1:#?}");
    assert!(of_net1.iter().all(|event| event["network"] == id && event["driver"] == BRIDGE));
    assert_eq!(of_net1[1]["addresses"][0], "10.81.1.10");
    assert_eq!(of_net1[3]["host"].as_str().map(|host| host.ends_with(":8080")), Some(true));
    assert_eq!(of_net1[5]["fields"], serde_json::json!(["mtu"]));

    let all = events(&site, &["--driver", BRIDGE]);
    let failed: Vec<_> = all.iter().filter(|event| event["event"] == "call-failed").collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    // Engines since 28 ask about the gateway first.
    let method = failed[0]["method"].as_str().unwrap();
    assert!(["NetworkDriver.CreateNetwork", "NetworkDriver.GwAllocCheck"].contains(&method));
    assert!(
        refused.stderr.contains(failed[0]["sentence"].as_str().unwrap()),
        "{failed:?}: {refused}"
    );
    assert!(events(&site, &["--driver", "other"]).is_empty());

    let metrics = wasmnet(&site, &["metrics"]).stdout;
    for line in [
        "wasmnet_repairs_total{object=\"link\"} 1",
        "wasmnet_networks 0",
        "wasmnet_calls_total{driver=\"wasm-bridge\",method=\"NetworkDriver.DeleteNetwork\",outcome=\"ok\"} 2",
    ] {
        assert!(metrics.lines().any(|found| found == line), "no {line} in\n{metrics}");
    }

    // Who follows has seen the same, and does not keep the daemon from stopping.
    let told = wasmnet(&site, &["events"]).stdout;
    wait_for("the follower to have seen it", PATIENCE, || {
        let log = follower.log();
        if log.trim_end() == told.trim_end() {
            Ok(())
        } else {
            Err(format!("{log}\nand not\n{told}"))
        }
    });
    let line = told.lines().find(|line| line.contains(" repaired ")).unwrap();
    assert!(line.contains(&id[..12]) && line.contains("(mtu)"), "{line}");
    let status = site.daemon.stop();
    assert!(status.success(), "{status}");
    wait_for("the follower to end", PATIENCE, || !follower.is_running());
    site.daemon.start_again();
}

fn wasmnet(site: &Site, arguments: &[&str]) -> Output {
    let binary = binary();
    let output = site.host.try_run(&[&[binary.as_str()], arguments].concat());
    assert!(output.success(), "{arguments:?}: {output}");
    output
}

/// The events that `wasmnet events ARGUMENTS --json` shows.
fn events(site: &Site, arguments: &[&str]) -> Vec<Value> {
    let output = wasmnet(site, &[&["events", "--json"], arguments].concat());
    output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The number of the last event.
fn last(site: &Site) -> u64 {
    events(site, &[]).last().and_then(|event| event["sequence"].as_u64()).unwrap()
}

/// The bridge of the only network.
fn bridge(site: &Site) -> String {
    let networks = site.daemon.json(&["network", "ls"]);
    bridge_of(site, networks[0]["id"].as_str().unwrap())
}

/// The bridge of a network.
fn bridge_of(site: &Site, id: &str) -> String {
    let network = site.daemon.json(&["network", "inspect", id]);
    let objects = network[0]["objects"].as_array().unwrap();
    let key = objects.iter().find(|object| object["endpoint"].is_null()).unwrap();
    key["key"].as_str().unwrap().strip_prefix("link ").unwrap().to_owned()
}

/// The host's end of the link of the endpoint with an address.
fn port(site: &Site, address: &str) -> String {
    let endpoints = site.daemon.json(&["endpoint", "ls"]);
    let endpoints = endpoints.as_array().unwrap();
    let endpoint = endpoints.iter().find(|endpoint| endpoint["addresses"][0] == address).unwrap();
    endpoint["link"].as_str().unwrap().to_owned()
}
