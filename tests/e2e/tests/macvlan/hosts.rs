use std::time::Duration;

use wasmnet_e2e::{Daemon, Site};
use wasmnet_lab::{Engine, Host, assert_same_state, wait_for};

use super::{WIRE, container, network, pings};

/// How long something may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// One more host, with an engine and the daemon. Dropped in this order.
struct Another {
    _daemon: Daemon,
    _engine: Engine,
    host: Host,
}

// === impl Another ===

impl Another {
    fn new(site: &Site, name: &str) -> Self {
        let host = site.lab.host(name);
        let engine = host.start_engine();
        Self { _daemon: Daemon::start(&host), _engine: engine, host }
    }
}

fn ping(host: &Host, from: &str, to: &str) -> bool {
    host.try_docker(&["exec", from, "ping", "-c", "1", "-W", "1", to]).success()
}

#[test]
fn containers_of_three_hosts_are_hosts_of_one_wire() {
    let site = Site::new();
    let before = site.host.netns_state();
    let (b, c) = (Another::new(&site, "b"), Another::new(&site, "c"));
    let hosts = [&site.host, &b.host, &c.host];
    for host in hosts {
        network(host, &format!("{WIRE} -o parent=eth0 lan"));
    }
    // Two on each.
    let address = |number: usize| format!("198.51.100.{}", 201 + number);
    for number in 0..6 {
        container(hosts[number / 2], &format!("box{number}"), "lan", &address(number));
    }
    for from in 0..6 {
        let reaches = |to: &str| ping(hosts[from / 2], &format!("box{from}"), to);
        for to in (0..6).filter(|to| *to != from) {
            assert!(reaches(&address(to)), "box{from} does not reach box{to}");
        }
        assert!(reaches(&site.lab.outside().address().to_string()), "box{from}: outside");
        // The kernel keeps a parent and what is on it apart.
        for (number, host) in hosts.iter().enumerate() {
            let apart = number == from / 2;
            assert_eq!(reaches(&host.address().to_string()), !apart, "box{from}, host {number}");
            assert_eq!(pings(host, &address(from)), !apart, "host {number}, box{from}");
        }
    }
    assert!(pings(site.lab.outside(), "198.51.100.201"), "the outside reaches a container");
    site.assert_pings("box0", "box1");
    let addresses = site.in_container("box0", "ip -4 -o address show scope global");
    assert_eq!(addresses.lines().count(), 1, "an interface too many: {addresses}");

    site.docker("restart box0");
    site.assert_pings("box0", "198.51.100.203");
    site.docker("network disconnect lan box0");
    site.docker("network connect --ip 198.51.100.210 lan box0");
    site.assert_pings("box0", "198.51.100.202");
    site.docker("rm --force box0 box1");
    site.docker("network rm lan");
    site.assert_nothing_left();
    assert_same_state(&before, &site.host.netns_state());
}

/// `private` and `vepa` keep the containers of one host apart, and not from those of others.
#[test]
fn modes_keep_apart_whom_the_kernel_says() {
    let site = Site::new();
    let b = Another::new(&site, "b");
    for mode in ["private", "vepa"] {
        for host in [&site.host, &b.host] {
            network(host, &format!("{WIRE} -o parent=eth0 -o macvlan_mode={mode} {mode}"));
        }
        container(&site.host, "one", mode, "198.51.100.201");
        container(&site.host, "two", mode, "198.51.100.202");
        container(&b.host, "three", mode, "198.51.100.203");
        site.assert_pings("one", &site.lab.outside().address().to_string());
        site.assert_pings("one", "198.51.100.203");
        assert!(ping(&b.host, "three", "198.51.100.202"), "{mode}: from another host");
        site.assert_silent("one", "198.51.100.202", mode);
        for host in [&site.host, &b.host] {
            host.docker(&["rm", "--force", "one", "two", "three"]);
            host.docker(&["network", "rm", mode]);
        }
    }
    site.assert_nothing_left();
}

/// A switch that sends frames back where they came from joins `vepa`, and not `private`.
#[test]
fn a_switch_that_sends_frames_back_joins_vepa_only() {
    let site = Site::new();
    site.host.sh("ip link add switch0 type bridge mcast_snooping 0; ip link set switch0 up
        ip link add wire0 type veth peer name wire1
        ip link set wire1 master switch0; ip link set wire0 up; ip link set wire1 up
        bridge link set dev wire1 hairpin on
        # The engine's firewall is not to see what this switch carries.
        for switch in /proc/sys/net/bridge/bridge-nf-call-*; do
            if test -e $switch; then echo 0 >$switch; fi
        done");
    for mode in ["private", "vepa"] {
        let options = format!("--subnet 10.85.0.0/24 -o parent=wire0 -o mode={mode} {mode}");
        network(&site.host, &options);
        container(&site.host, "one", mode, "10.85.0.5");
        container(&site.host, "two", mode, "10.85.0.6");
        match mode {
            "vepa" => wait_for("the switch to send frames back", PATIENCE, || {
                site.pings("one", "10.85.0.6")
            }),
            _ => site.assert_silent("one", "10.85.0.6", mode),
        }
        site.docker("rm --force one two");
        site.docker(&format!("network rm {mode}"));
    }
    site.assert_nothing_left();
}
