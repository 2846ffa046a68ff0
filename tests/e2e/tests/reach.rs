//! Who reaches whom.

use wasmnet_e2e::{BRIDGE, Site};

#[test]
fn containers_reach_each_other_the_host_and_the_outside() {
    let site = Site::new();
    let before = site.host.netns_state();
    site.network("net1", "");
    site.container("one", "--network net1");
    site.container("two", "--network net1");

    site.assert_pings("one", &site.address("two", "net1"));
    site.assert_pings("one", "two");
    site.assert_pings("two", "one");
    site.assert_pings("one", &site.lab.outside().address().to_string());
    site.assert_pings("one", &site.host.address().to_string());
    site.host.run(&["ping", "-c", "1", "-W", "2", &site.address("one", "net1")]);

    site.docker("rm --force one two");
    site.docker("network rm net1");
    site.assert_nothing_left();
    wasmnet_lab::assert_same_state(&before, &site.host.netns_state());
}

#[test]
fn the_outside_sees_the_hosts_address() {
    let site = Site::new();
    site.network("net1", "");
    site.container("one", "--network net1");

    let _server = site.serve_outside();
    assert_eq!(site.seen_outside("one"), site.host.address().to_string());
}

#[test]
fn the_outside_does_not_reach_a_container_even_with_a_route() {
    let site = Site::new();
    site.network("net1", "--subnet 10.81.1.0/24");
    site.container("one", "--network net1");
    let one = site.address("one", "net1");
    // The way is good: the host's own address on the bridge answers.
    let outside = site.lab.outside();
    outside.sh(&format!("ip route add 10.81.1.0/24 via {}", site.host.address()));
    outside.run(&["ping", "-c", "1", "-W", "2", "10.81.1.1"]);

    let output = outside.try_run(&["ping", "-c", "1", "-W", "1", &one]);
    assert!(!output.success(), "the outside reaches container {one}: {output}");
    site.assert_pings("one", &outside.address().to_string());
}

#[test]
fn an_internal_network_is_reached_from_itself_only() {
    let site = Site::new();
    site.network("other", "--subnet 10.81.1.0/24");
    site.network("inner", "--subnet 10.81.2.0/24 --internal");
    site.container("stranger", "--network other");
    site.container("neighbour", "--network inner");
    site.container("one", "--network inner --cap-add NET_ADMIN");
    let stranger = site.address("stranger", "other");
    let one = site.address("one", "inner");
    let uplink = site.host.address().to_string();
    let outside = site.lab.outside().address().to_string();

    let beyond = [outside.as_str(), &uplink, &stranger, "10.81.1.1"];
    let assert_alone = |when: &str| {
        site.assert_pings("one", &site.address("neighbour", "inner"));
        site.assert_pings("one", "neighbour");
        for target in beyond {
            site.assert_silent("one", target, when);
        }
        site.assert_silent("stranger", &one, when);
    };
    let routes = site.in_container("one", "ip route");
    assert!(!routes.contains("default"), "a default route on an internal network: {routes}");
    assert_alone("as it was started");

    site.in_container("one", "ip route add default via 10.81.2.1");
    assert_alone("with a default route of its own");

    // What the container tried would have worked from a network that is not internal.
    for target in [outside.as_str(), &uplink, "10.81.1.1"] {
        site.assert_pings("stranger", target);
    }
    site.host.run(&["ping", "-c", "1", "-W", "2", &stranger]);
}

#[test]
fn an_internal_network_is_closed_for_ipv6_too() {
    let site = Site::new();
    site.host.sh("echo 1 >/proc/sys/net/ipv6/conf/all/forwarding");
    site.network("other", "--ipv6 --subnet 10.81.1.0/24 --subnet fd81:1::/64");
    site.network("inner", "--ipv6 --subnet 10.81.2.0/24 --subnet fd81:2::/64 --internal");
    site.container("stranger", "--network other");
    site.container("neighbour", "--network inner");
    site.container("one", "--network inner --cap-add NET_ADMIN");

    site.wait_pings("one", &site.address6("neighbour", "inner"));
    site.wait_pings("one", "fd81:2::1");
    site.in_container("one", "ip -6 route add default via fd81:2::1");
    let uplink = site.host.address6().to_string();
    let outside = site.lab.outside().address6().to_string();
    for target in [uplink.as_str(), &outside, "fd81:1::1", &site.address6("stranger", "other")] {
        site.assert_silent("one", target, "with a default route of its own");
    }
    for target in [uplink.as_str(), &outside, "fd81:1::1"] {
        site.wait_pings("stranger", target);
    }
}

#[test]
fn networks_do_not_reach_each_other() {
    let site = Site::new();
    site.network("net1", "--subnet 10.81.1.0/24");
    site.network("net2", "--subnet 10.81.2.0/24");
    site.docker("network create --driver bridge --subnet 10.81.3.0/24 builtin");
    site.container("one", "--network net1");
    site.container("two", "--network net2");
    site.container("three", "--network builtin");

    let places = [("one", "net1"), ("two", "net2"), ("three", "builtin")];
    let mut reached = Vec::new();
    for (from, network) in places {
        for (to, other) in places.iter().filter(|(_, other)| *other != network) {
            if site.pings(from, &site.address(to, other)) {
                reached.push(format!("{from} on {network} reaches {to} on {other}"));
            }
        }
        site.host.run(&["ping", "-c", "1", "-W", "2", &site.address(from, network)]);
    }
    assert_eq!(reached, Vec::<String>::new());
}

#[test]
fn a_container_on_two_networks_has_both_and_the_default_route_of_the_built_in_driver() {
    let site = Site::new();
    let built_in = on_two_networks(&site, "bridge");
    let ours = on_two_networks(&site, BRIDGE);
    assert_eq!(ours, built_in, "the routes of a container on two networks");
    site.assert_nothing_left();
}

/// The routes of containers that are on two networks, in several orders of coming
/// to them; everything is removed again.
fn on_two_networks(site: &Site, driver: &str) -> Vec<String> {
    site.docker(&format!("network create --driver {driver} --subnet 10.81.1.0/24 alpha"));
    site.docker(&format!("network create --driver {driver} --subnet 10.81.2.0/24 beta"));
    site.container("one", "--network alpha");
    site.container("two", "--network beta");
    let mut routes = Vec::new();
    for (first, second) in [("alpha", "beta"), ("beta", "alpha")] {
        // As compose does: made, connected, then started.
        site.docker(&format!("create --name both --network {first} busybox sleep 3600"));
        site.docker(&format!("network connect {second} both"));
        site.docker("start both");
        routes.push(seen_on_both(site, driver, "compose", first));
        site.docker("rm --force both");
        // Connected while it runs.
        site.container("both", &format!("--network {first}"));
        site.docker(&format!("network connect {second} both"));
        routes.push(seen_on_both(site, driver, "running", first));
        site.docker(&format!("network disconnect {first} both"));
        routes.push(site.in_container("both", "ip route"));
        site.docker("rm --force both");
    }
    site.docker("rm --force one two");
    site.docker("network rm alpha beta");
    routes
}

/// The routes of container "both", which must reach its neighbours and the outside.
fn seen_on_both(site: &Site, driver: &str, how: &str, first: &str) -> String {
    let outside = site.lab.outside().address().to_string();
    for target in
        ["one", "two", &site.address("one", "alpha"), &site.address("two", "beta"), &outside]
    {
        assert!(site.pings("both", target), "{driver}, {how}, {first} first: no way to {target}");
    }
    assert!(site.pings("one", "both") && site.pings("two", "both"), "{driver}: no way to \"both\"");
    // Engines since 28 start a container's networks in any order, and so name the links.
    let unnamed = if site.engine_since(28) { "s/ dev eth[01]//" } else { "" };
    let routes = site.in_container("both", &format!("ip route | sed '{unnamed}' | sort"));
    format!("{how}, {first} first\n{routes}")
}
