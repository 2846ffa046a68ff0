use std::time::Duration;

use wasmnet_e2e::Site;
use wasmnet_lab::{Host, assert_same_state, wait_for};

use super::{WIRE, container, network, pings};

/// How long something may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// A wire, and an address of the host's on it that containers answer to.
fn lay_wire(host: &Host) {
    host.sh("ip link add wire0 type veth peer name wire1
        # The other end is not to answer for the host, too.
        echo 8 >/proc/sys/net/ipv4/conf/wire1/arp_ignore
        ip address add 10.87.0.77/24 dev wire0
        ip link set wire0 up; ip link set wire1 up");
    // The kernel sees by and by that each has the other.
    wait_for("the wire", PATIENCE, || {
        let ends = host.sh("ip -o link show wire0; ip -o link show wire1");
        ends.matches(" state UP ").count() == 2
    });
}

/// The host's own links on wires.
fn own_links(host: &Host) -> usize {
    host.sh("ip -o link show type macvlan").lines().count()
}

/// What Docker does, too: what the kernel took with the parent is there again when a container
/// starts; beyond that the host's own link comes back by itself.
#[test]
fn a_network_lives_through_the_death_of_its_parent() {
    let mut site = Site::new();
    lay_wire(&site.host);
    let options = "--subnet 10.87.0.0/24 -o parent=wire0 -o wasmnet.host_access=true lan";
    network(&site.host, options);
    container(&site.host, "one", "lan", "10.87.0.5");
    assert!(pings(&site.host, "10.87.0.5"), "at first");
    assert_eq!(own_links(&site.host), 1);

    site.host.sh("ip link delete wire0");
    let started = site.try_docker("restart --time 0 one");
    assert!(started.stderr.contains("there is no link wire0"), "{started}");
    lay_wire(&site.host);
    wait_for("the host's own link", PATIENCE, || own_links(&site.host) == 1);
    site.docker("start one");
    wait_for("the container", PATIENCE, || pings(&site.host, "10.87.0.5"));

    // The same while the daemon is away, and back before the parent is.
    site.host.sh("ip link delete wire0");
    site.daemon.kill();
    site.daemon.start_again();
    assert_eq!(own_links(&site.host), 0);
    lay_wire(&site.host);
    wait_for("the host's own link", PATIENCE, || own_links(&site.host) == 1);
    site.docker("restart --time 0 one");
    wait_for("the container", PATIENCE, || pings(&site.host, "10.87.0.5"));

    site.docker("rm --force one");
    // A network whose parent is gone can be removed.
    site.host.sh("ip link delete wire0");
    site.docker("network rm lan");
    site.assert_nothing_left();
}

#[test]
fn a_parent_that_is_down_is_no_hindrance() {
    let site = Site::new();
    lay_wire(&site.host);
    site.host.sh("ip link set wire0 down");
    let options = "--subnet 10.87.0.0/24 -o parent=wire0 -o wasmnet.host_access=true lan";
    network(&site.host, options);
    container(&site.host, "one", "lan", "10.87.0.5");
    site.host.sh("ip link set wire0 up");
    wait_for("the container", PATIENCE, || pings(&site.host, "10.87.0.5"));
    site.docker("rm --force one");
    site.docker("network rm lan");
    site.assert_nothing_left();
}

/// Either the kernel has VLAN and ipvlan links and it works, or one sentence says what it lacks.
#[test]
fn vlans_and_ipvlan_work_or_the_kernel_says_what_it_lacks() {
    let site = Site::new();
    lay_wire(&site.host);
    let before = site.host.netns_state();
    for (options, kind, lacks) in [
        (
            "-o parent=wire0.50",
            "vlan id 50",
            "no vlan links (it was built without CONFIG_VLAN_8021Q",
        ),
        (
            "-o parent=wire0 -o mode=ipvlan-l2",
            "ipvlan mode l2",
            "(it was built without CONFIG_IPVLAN",
        ),
        (
            "-o parent=wire0 -o mode=ipvlan-l3",
            "ipvlan mode l3",
            "(it was built without CONFIG_IPVLAN",
        ),
    ] {
        let trial =
            format!("ip link add link wire0 name trial0 type {kind} && ip link delete trial0");
        let has = site.host.try_sh(&trial).success();
        let create =
            format!("network create --driver wasm-macvlan --subnet 10.87.0.0/24 {options} lan");
        let made = site.try_docker(&create);
        assert_eq!(made.success(), has, "{options}: {made}");
        if has {
            container(&site.host, "one", "lan", "10.87.0.5");
            container(&site.host, "two", "lan", "10.87.0.6");
            site.wait_pings("one", "10.87.0.6");
            site.docker("rm --force one two");
            site.docker("network rm lan");
        } else {
            assert!(made.stderr.contains(lacks), "{options}: {made}");
        }
        site.assert_nothing_left();
        assert_same_state(&before, &site.host.netns_state());
    }
}

/// Without a gateway the wire can be the default route. Engines before 28 always give one.
#[test]
fn the_wire_is_the_default_route_for_who_asks() {
    let site = Site::new();
    network(&site.host, &format!("{WIRE} -o parent=eth0 -o wasmnet.default_route=true lan"));
    container(&site.host, "one", "lan", "198.51.100.201");
    let routes = site.in_container("one", "ip route");
    let default = routes.lines().find(|line| line.starts_with("default")).unwrap_or_default();
    let expected = if site.engine_since(28) { "default dev eth0" } else { "default via" };
    assert!(default.starts_with(expected), "{routes}");
    site.docker("rm --force one");
    site.docker("network rm lan");
    site.assert_nothing_left();
}
