//! The daemon, the engine or the host goes away and comes back.

use std::{thread, time::Duration};

use wasmnet_e2e::{BRIDGE, Daemon, Site};
use wasmnet_lab::{EngineOptions, Lab, assert_same_state, wait_for};

/// How long something may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_killed_daemon_costs_no_packet() {
    let mut site = two_neighbours();
    let pings = [Pings::start(&site, "10.81.1.20"), Pings::start(&site, &outside(&site))];
    site.daemon.kill();
    pings.iter().for_each(|ping| ping.wait_for_more(&site, 20));
    site.daemon.start_again();
    pings.iter().for_each(|ping| ping.wait_for_more(&site, 20));
    pings.iter().for_each(|ping| ping.assert_none_lost(&site));

    site.container("three", "--network net1");
    site.assert_pings("three", "one");
    site.assert_pings("one", "three");
    site.assert_pings("three", &outside(&site));
    remove_all(&site, "one two three");
}

#[test]
fn a_stopped_daemon_removes_its_sockets_and_costs_no_packet() {
    let mut site = two_neighbours();
    let sockets = "find /run/docker/plugins /run/wasmnet -type s";
    assert_ne!(site.host.sh(sockets), "", "the daemon's sockets are elsewhere");
    let standing = site.host.netns_state();
    let pings = [Pings::start(&site, "10.81.1.20"), Pings::start(&site, &outside(&site))];
    let status = site.daemon.stop();
    assert!(status.success(), "the daemon ended with {status}:\n{}", site.daemon.log());
    assert_eq!(site.host.sh(sockets), "", "sockets left behind");
    pings.iter().for_each(|ping| ping.wait_for_more(&site, 20));
    assert_same_state(&standing, &site.host.netns_state());

    site.daemon.start_again();
    pings.iter().for_each(|ping| ping.wait_for_more(&site, 20));
    pings.iter().for_each(|ping| ping.assert_none_lost(&site));
    assert_same_state(&standing, &site.host.netns_state());
    site.container("three", "--network net1");
    site.assert_pings("three", "one");
    remove_all(&site, "one two three");
}

#[test]
fn what_is_asked_while_the_daemon_is_away_is_done_when_it_is_back() {
    for kill in [true, false] {
        let mut site = two_neighbours();
        if kill {
            site.daemon.kill();
        } else {
            site.daemon.stop();
        }
        let (host, engine, daemon) = (&site.host, &site.engine, &mut site.daemon);
        thread::scope(|scope| {
            let run = scope.spawn(|| {
                host.try_docker(&["run", "--rm", "--network=net1", "busybox", "ping", "-c1", "one"])
            });
            // The engine has asked in vain at least once.
            wait_for("the engine to miss the plugin", PATIENCE, || {
                engine.log().contains("wasm-bridge.sock")
            });
            daemon.start_again();
            let output = run.join().unwrap();
            assert!(output.success(), "docker run (daemon killed: {kill}): {output}");
        });
        remove_all(&site, "one two");
    }
}

#[test]
fn a_second_start_compiles_nothing() {
    let lab = Lab::new();
    let mut daemon = Daemon::start_cold(&lab.host("a"), &[], &[]);
    let first = daemon.json(&["status"]);
    assert!(first["compiled"].as_u64() > Some(0), "the first start: {first}");
    daemon.stop();
    daemon.start_again();
    let second = daemon.json(&["status"]);
    assert_eq!(second["compiled"], 0, "{second}");
    assert_eq!(first["drivers"], second["drivers"], "the drivers after a restart");
}

#[test]
fn networks_outlive_the_engine() {
    let mut site = two_neighbours();
    let standing = site.host.sh("nft list table inet wasmnet; ip -o -4 address show type bridge");
    site.engine.restart();
    site.wait_ledger(1, 0);
    site.docker("start one");
    assert_one(&site);
    site.docker("start two");
    site.assert_pings("one", "two");
    let after = site.host.sh("nft list table inet wasmnet; ip -o -4 address show type bridge");
    assert_eq!(standing, after, "firewall and bridges after a restart of the engine");
    remove_all(&site, "one two");
}

#[test]
fn an_engine_that_was_killed_leaves_no_endpoint_behind() {
    let mut site = two_neighbours();
    let links = links_of_endpoints(&site);
    assert_eq!(links.len(), 2, "{links:?}");
    site.engine.kill();
    site.wait_endpoints(&["10.81.1.10", "10.81.1.20"]);
    site.engine.start();
    // It has ended the containers, and says nothing of it to us.
    site.docker("start one");
    assert_one(&site);
    site.wait_ledger(1, 1);
    site.wait_endpoints(&["10.81.1.10"]);
    for link in &links {
        let output = site.host.try_run(&["ip", "link", "show", "dev", link]);
        assert!(!output.success(), "left behind: {output}");
    }
    site.docker("start two");
    site.assert_pings("two", "one");
    site.wait_endpoints(&["10.81.1.10", "10.81.1.20"]);
    remove_all(&site, "one two");
}

#[test]
fn containers_with_a_restart_policy_come_back_with_the_engine() {
    for kill in [false, true] {
        let mut site = Site::new();
        site.network("net1", "--subnet 10.81.1.0/24");
        site.container("one", "--network net1 --ip 10.81.1.10 --restart always");
        site.container("two", "--network net1 --restart always");
        if kill {
            site.engine.kill();
            site.engine.start();
        } else {
            site.engine.restart();
        }
        wait_for("the containers to run again", PATIENCE, || {
            site.pings("two", "10.81.1.10") && site.pings("one", "two")
        });
        assert_one(&site);
        site.wait_ledger(1, 2);
        remove_all(&site, "one two");
    }
}

#[test]
fn making_other_networks_costs_no_packet() {
    let site = two_neighbours();
    let pings = [Pings::start(&site, "10.81.1.20"), Pings::start(&site, &outside(&site))];
    for _ in 0..5 {
        for driver in ["bridge", BRIDGE] {
            site.docker(&format!("network create --driver {driver} other"));
            site.docker("network rm other");
        }
    }
    pings.iter().for_each(|ping| ping.wait_for_more(&site, 20));
    pings.iter().for_each(|ping| ping.assert_none_lost(&site));
    remove_all(&site, "one two");
}

#[test]
fn containers_live_on_while_the_engine_restarts_with_live_restore() {
    let args = vec!["--live-restore".to_owned()];
    let mut site = Site::with_engine(EngineOptions { args, ..EngineOptions::default() });
    site.network("net1", "--subnet 10.81.1.0/24");
    site.container("one", "--network net1 --ip 10.81.1.10");
    site.container("two", "--network net1 --ip 10.81.1.20");
    let ping = Pings::start(&site, "10.81.1.20");
    for kill in [false, true] {
        if kill {
            site.engine.kill();
            site.engine.start();
        } else {
            site.engine.restart();
        }
        ping.wait_for_more(&site, 10);
        site.wait_endpoints(&["10.81.1.10", "10.81.1.20"]);
    }
    ping.assert_none_lost(&site);
    site.docker("restart two");
    site.assert_pings("one", "two");
    remove_all(&site, "one two");
}

/// A host with network net1 and containers one (10.81.1.10) and two (10.81.1.20) on it.
fn two_neighbours() -> Site {
    let site = Site::new();
    site.network("net1", "--subnet 10.81.1.0/24");
    site.container("one", "--network net1 --ip 10.81.1.10");
    site.container("two", "--network net1 --ip 10.81.1.20");
    site.assert_pings("one", "two");
    site
}

/// Container one runs, with its address, and reaches the outside.
fn assert_one(site: &Site) {
    assert_eq!(site.address("one", "net1"), "10.81.1.10", "docker inspect");
    let addresses = site.in_container("one", "ip address show");
    assert!(addresses.contains(" 10.81.1.10/24 "), "{addresses}");
    site.assert_pings("one", "10.81.1.1");
    site.assert_pings("one", &outside(site));
}

fn outside(site: &Site) -> String {
    site.lab.outside().address().to_string()
}

/// Removes the containers and net1; nothing may be left.
fn remove_all(site: &Site, containers: &str) {
    site.docker(&format!("rm --force {containers}"));
    site.docker("network rm net1");
    site.assert_nothing_left();
    let links = site.host.sh("ip -o link | grep -c 'wn[0-9a-f]' || true");
    assert_eq!(links, "0", "links left: {}", site.host.sh("ip -o link"));
}

/// The host's ends of all endpoints' links.
fn links_of_endpoints(site: &Site) -> Vec<String> {
    let endpoints = site.daemon.json(&["endpoint", "ls"]);
    let links = endpoints.as_array().unwrap().iter().filter_map(|view| view["link"].as_str());
    links.map(str::to_owned).collect()
}

/// Echo requests from container one that go on in the background.
struct Pings {
    target: String,
    log: String,
}

// === impl Pings ===

impl Pings {
    /// Starts, and waits for the first answers.
    fn start(site: &Site, target: &str) -> Self {
        let pings = Self { target: target.to_owned(), log: format!("/tmp/ping-{target}") };
        let command = format!("exec ping -i 0.02 {target} >{} 2>&1", pings.log);
        site.host.docker(&["exec", "--detach", "one", "sh", "-c", &command]);
        pings.wait_for_more(site, 5);
        pings
    }

    /// The sequence numbers of the answers so far.
    fn answers(&self, site: &Site) -> Vec<usize> {
        let log = site.exec("one", &format!("cat {}", self.log)).stdout;
        let numbers = log.lines().filter_map(|line| line.split_once("seq=")?.1.split(' ').next());
        numbers.filter_map(|number| number.parse().ok()).collect()
    }

    /// Waits until there are so many more answers.
    fn wait_for_more(&self, site: &Site, more: usize) {
        let before = self.answers(site).last().copied().unwrap_or_default();
        wait_for(&format!("answers from {}", self.target), PATIENCE, || {
            let last = self.answers(site).last().copied().unwrap_or_default();
            if last >= before + more { Ok(()) } else { Err(format!("{before}, then {last}")) }
        });
    }

    /// Every request up to the last answer was answered, in order.
    fn assert_none_lost(&self, site: &Site) {
        let answers = self.answers(site);
        let last = answers.last().copied().unwrap_or_default();
        let lost: Vec<usize> = (0..last).filter(|number| !answers.contains(number)).collect();
        assert!(lost.is_empty(), "{}: of {last} requests these were lost: {lost:?}", self.target);
        assert!(answers.is_sorted(), "{}: answers out of order: {answers:?}", self.target);
    }
}
