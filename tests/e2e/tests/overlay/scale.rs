use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use wasmnet_e2e::{Node, Others, Plugin, Remote, Sites, calls, neighbours};
use wasmnet_lab::{Host, Lab, Process, Turn, wait_for};

/// How long anything may take, whatever else runs.
const PATIENCE: Duration = Duration::from_secs(120);
/// The endpoints of other hosts.
const MANY: usize = 1000;
/// A few of them.
const FEW: usize = 10;
/// The other hosts.
const OTHERS: usize = 100;
/// How often one endpoint changes.
const ROUNDS: usize = 21;

/// What the network has, and where its addresses begin.
const SUBNET: &str = "10.71.0.0/16";
const BASE: Ipv4Addr = Ipv4Addr::new(10, 71, 1, 0);

/// Says what is measured, never what is right.
#[allow(clippy::print_stdout, reason = "for who asks with --nocapture")]
fn say(text: &str) {
    println!("{text}");
}

/// Makes the network on a host without an engine.
fn network(node: &Node) {
    let mut network = calls::network("big", 71, &json!({}));
    network["IPv4Data"][0]["Pool"] = json!(SUBNET);
    network["IPv4Data"][0]["Gateway"] = json!("10.71.0.1/16");
    Plugin::connect(&node.host, "wasm-overlay").call("NetworkDriver.CreateNetwork", &network).ok();
}

/// Waits until these and no others are programmed.
fn wait_programmed(host: &Host, expected: &BTreeSet<String>) {
    wait_for(&format!("{} remote endpoints", expected.len()), PATIENCE, || {
        let found = neighbours(host);
        if found == *expected { Ok(()) } else { Err(format!("{} are there", found.len())) }
    });
}

/// The median time from a write into the store to the kernel's having it.
fn one_changes(host: &Host, others: &mut Others, remote: &mut Remote) -> Duration {
    let monitor: Process = host.spawn(&["ip", "monitor", "neigh"]);
    wait_for("the monitor to listen", PATIENCE, || {
        let probe = "203.0.113.1 lladdr 02:00:00:00:00:01 dev eth0";
        host.sh(&format!("ip neigh add {probe}; ip neigh delete {probe}"));
        !monitor.log().is_empty()
    });
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        // As a container that is made anew, on the same host.
        remote.mac = format!("02:43:00:00:00:{round:02x}");
        let began = Instant::now();
        others.publish(std::slice::from_ref(remote));
        let has = |line: &str| line.contains(&remote.mac) && line.contains(&remote.text()[..7]);
        while !monitor.log().lines().any(has) {
            assert!(began.elapsed() < PATIENCE, "{remote:?} in vain: {}", monitor.log());
            thread::sleep(Duration::from_micros(200));
        }
        times.push(began.elapsed());
    }
    times.sort_unstable();
    times[ROUNDS / 2]
}

#[test]
fn a_thousand_remote_endpoints() {
    let lab = Lab::new();
    let etcd = lab.etcd(1);
    let node = Node::new(&lab, &etcd, 0, &[]);
    network(&node);
    let host = &node.host;
    let mut others = Others::new(&etcd, SUBNET, OTHERS);
    let mut remotes: Vec<Remote> = (0..MANY).map(|number| others.remote(BASE, number)).collect();

    others.publish(&remotes[..FEW]);
    wait_programmed(host, &Remote::texts(&remotes[..FEW]));
    let among_few = one_changes(host, &mut others, &mut remotes[0]);

    let began = Instant::now();
    others.publish(&remotes[FEW..]);
    let written = began.elapsed();
    wait_programmed(host, &Remote::texts(&remotes));
    let programmed = began.elapsed();
    say(&format!("{MANY} endpoints: written in {written:.2?}, programmed in {programmed:.2?}"));
    let among_many = one_changes(host, &mut others, &mut remotes[0]);
    wait_programmed(host, &Remote::texts(&remotes));
    say(&format!(
        "one endpoint changes: {among_few:.2?} among {FEW}, {among_many:.2?} among {MANY}"
    ));

    let began = Instant::now();
    others.withdraw(&remotes);
    wait_programmed(host, &BTreeSet::new());
    say(&format!("{MANY} endpoints: gone in {:.2?}", began.elapsed()));

    // All of them at once, as a host that joins late finds them.
    others.publish(&remotes);
    wait_programmed(host, &Remote::texts(&remotes));
    let late = Node::new(&lab, &etcd, 1, &[]);
    let began = Instant::now();
    network(&late);
    wait_programmed(&late.host, &Remote::texts(&remotes));
    say(&format!("{MANY} endpoints: programmed on a host that joins in {:.2?}", began.elapsed()));
}

/// Nothing is lost when everybody starts at once.
#[test]
fn a_hundred_containers_on_three_hosts_at_once() {
    const EACH: usize = 34;
    let _turn = Turn::of_many_neighbours();
    let cluster = Sites::new(3, 1);
    cluster.network("n", 72, "");
    let began = Instant::now();
    thread::scope(|scope| {
        for site in &cluster.sites {
            for number in 0..EACH {
                scope.spawn(move || {
                    site.container(&format!("c{number}"), "--network n");
                });
            }
        }
    });
    let started = began.elapsed();
    cluster.wait_converged();
    let converged = began.elapsed();
    let all = 3 * EACH;
    say(&format!(
        "{all} containers: started in {started:.1?}, known everywhere in {converged:.1?}"
    ));
    thread::scope(|scope| {
        for site in &cluster.sites {
            let others = cluster.sites.iter().filter(|other| other.host.name() != site.host.name());
            let addresses: Vec<String> = others
                .flat_map(|other| other.overlay_endpoints())
                .map(|endpoint| endpoint.split(' ').next().unwrap().to_owned())
                .collect();
            assert_eq!(addresses.len(), 2 * EACH);
            scope.spawn(move || {
                let all = addresses.join(" ");
                let script = format!(
                    "for to in {all}; do ping -q -c 1 -W 5 $to >/dev/null || echo $to; done"
                );
                let silent = site.in_container("c0", &script);
                assert_eq!(silent, "", "from {}", site.host.name());
            });
        }
    });
}
