//! Whether all hosts are of one mind again.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    super::{FORGETTING, report::Report},
    NETWORK,
};
use crate::{Site, Sites};

/// When all is back, this soon all must be as if nothing had been. (Longer only where an
/// engine gave something up and no daemon heard of it.)
const SETTLING: Duration = Duration::from_secs(30);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// Looks whether everybody knows everybody, and whether packets go where they should.
pub(super) fn all(cluster: &Sites, report: &Report) {
    let began = Instant::now();
    let contradictions = loop {
        let contradictions = contradictions(cluster);
        if contradictions.is_empty() || began.elapsed() > FORGETTING {
            break contradictions;
        }
        thread::sleep(PAUSE);
    };
    report.write(&format!("settled after {:.1?}", began.elapsed()));
    if began.elapsed() > SETTLING {
        report.count("slow settlements", 1);
    }
    let settled = contradictions.is_empty();
    contradictions.into_iter().for_each(|found| report.find(found));
    if settled {
        silences(cluster, report);
    }
    report.count("checks", 1);
}

/// Removes all containers and networks: nothing may be left anywhere.
pub(super) fn remove_all(cluster: &Sites, report: &Report) {
    for site in &cluster.sites {
        let ask = |method: &str, path: &str| site.host.docker_api(method, path, None);
        for container in ask("GET", "/containers/json?all=1").body.as_array().unwrap() {
            let id = container["Id"].as_str().unwrap();
            let answer = ask("DELETE", &format!("/containers/{id}?force=1"));
            if answer.code >= 300 {
                report.find(format!("removing a container in the end: {answer:?}"));
            }
        }
        let answer = ask("DELETE", &format!("/networks/{NETWORK}"));
        if answer.code >= 300 {
            report.find(format!("removing the network in the end: {answer:?}"));
        }
    }
    let began = Instant::now();
    let left = loop {
        let mut left = cluster.left_in_etcd();
        for site in &cluster.sites {
            let status = site.daemon.json(&["status"]);
            for key in ["networks", "endpoints", "objects", "doomed", "keys"] {
                if status[key] != 0 {
                    left.push(format!("{key} on host {}: {}", site.host.name(), status[key]));
                }
            }
        }
        if left.is_empty() || began.elapsed() > FORGETTING {
            break left;
        }
        thread::sleep(PAUSE);
    };
    left.into_iter().for_each(|left| report.find(format!("left in the end: {left}")));
}

/// What one host has otherwise than another.
fn contradictions(cluster: &Sites) -> Vec<String> {
    let mut found = Vec::new();
    let mut holders: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for site in &cluster.sites {
        let name = site.host.name();
        let (expected, programmed) = (cluster.expected(site), site.neighbours());
        for missing in expected.difference(&programmed) {
            found.push(format!("host {name} has not programmed {missing}"));
        }
        for more in programmed.difference(&expected) {
            found.push(format!("host {name} has programmed {more}, which nobody has"));
        }
        let of = |endpoint: &String| endpoint.split(' ').next().unwrap().to_owned();
        let known: Vec<String> = site.overlay_endpoints().iter().map(of).collect();
        for address in &known {
            holders.entry(address.clone()).or_default().push(name);
        }
        for (container, address) in running(site) {
            if !known.contains(&address) {
                found.push(format!("{container} on {name} has {address}: no endpoint of ours"));
            }
        }
    }
    let twice = holders.into_iter().filter(|(_, hosts)| hosts.len() > 1);
    found.extend(twice.map(|(address, hosts)| format!("{address} is on hosts {hosts:?}")));
    found
}

/// Containers that do not reach others.
fn silences(cluster: &Sites, report: &Report) {
    let all: Vec<Vec<(String, String)>> = cluster.sites.iter().map(running).collect();
    let addresses: Vec<&str> = all.iter().flatten().map(|(_, address)| address.as_str()).collect();
    let script = format!(
        "for to in {}; do ping -q -c 1 -W 2 $to >/dev/null || echo $to; done",
        addresses.join(" ")
    );
    if addresses.is_empty() {
        return;
    }
    report.count("pairs", addresses.len() * addresses.len());
    thread::scope(|scope| {
        for (site, containers) in cluster.sites.iter().zip(&all) {
            let script = &script;
            scope.spawn(move || {
                for (container, address) in containers {
                    let output = site.exec(container, script);
                    if !output.success() || !output.stdout.is_empty() {
                        report.find(format!(
                            "{container} ({address}) on {} does not reach: {output}",
                            site.host.name()
                        ));
                    }
                }
            });
        }
    });
}

/// Name and address of the containers that run on a host.
fn running(site: &Site) -> Vec<(String, String)> {
    let containers = site.host.docker_api("GET", "/containers/json", None).body;
    let of = |container: &Value| {
        let name = container["Names"][0].as_str()?.trim_start_matches('/').to_owned();
        let network = &container["NetworkSettings"]["Networks"][NETWORK];
        Some((name, network["IPAddress"].as_str()?.to_owned()))
    };
    containers.as_array().into_iter().flatten().filter_map(of).collect()
}
