//! IPv6 beside IPv4, and alone.

use std::net::{IpAddr, SocketAddr};

use wasmnet_e2e::{Site, Tries, publish};
use wasmnet_lab::{Place, assert_same_state, transports};

/// Of a bridge and of a container's interface.
const SETTINGS: [&str; 3] = ["disable_ipv6", "accept_ra", "autoconf"];

#[test]
fn ipv6_works_beside_ipv4() {
    let site = Site::new();
    let before = site.host.netns_state();
    site.network("net1", "--ipv6 --subnet 10.81.1.0/24 --subnet fd81:1::/64");
    site.container("one", "--network net1 --ip6 fd81:1::10");
    site.container("two", "--network net1");

    let two = site.address6("two", "net1");
    assert!(two.starts_with("fd81:1::"), "docker inspect shows {two:?}");
    site.wait_pings("one", &two);
    site.wait_pings("two", "fd81:1::10");
    site.wait_pings("one", "fd81:1::1");
    site.assert_pings("one", &site.address("two", "net1"));
    let routes = site.in_container("one", "ip -6 route");
    assert!(routes.contains("default via fd81:1::1 dev eth0"), "{routes}");

    site.docker("rm --force one two");
    site.docker("network rm net1");
    site.assert_nothing_left();
    assert_same_state(&before, &site.host.netns_state());
}

#[test]
fn an_ipv6_neighbour_outside_is_reached_through_masquerade() {
    let site = Site::new();
    site.host.sh("echo 1 >/proc/sys/net/ipv6/conf/all/forwarding");
    site.network("net1", "--ipv6 --subnet 10.81.1.0/24 --subnet fd81:1::/64");
    site.container("one", "--network net1");
    // The outside has no route back: only with the host's address it can answer.
    site.wait_pings("one", &site.lab.outside().address6().to_string());
    site.wait_pings("one", &site.host.address6().to_string());
}

#[test]
fn a_network_of_ipv6_alone_has_all_that_others_have() {
    let site = Site::new();
    if !site.engine_since(28) {
        // Older ones give every network an IPv4 subnet.
        return;
    }
    site.host.sh("echo 1 >/proc/sys/net/ipv6/conf/all/forwarding");
    let before = site.host.netns_state();
    let remote = site.lab.host("b");
    site.network("net1", "--ipv4=false --ipv6 --subnet fd81:1::/64");
    site.network("net2", "--ipv4=false --ipv6 --subnet fd81:2::/64");
    let ports = publish("8080:80");
    site.container("web", &format!("--network net1 --ip6 fd81:1::10 {ports}"));
    site.container("neighbour", "--network net1");
    site.container("other", "--network net2");

    let web = Place::container(&site.host, "web");
    let servers: Vec<_> =
        transports().into_iter().map(|transport| web.serve(transport, 80)).collect();
    assert_eq!(site.address("web", "net1"), "");
    let routes = site.in_container("web", "ip route; ip -6 route");
    assert!(routes.contains("default via fd81:1::1 dev eth0"), "{routes}");
    assert!(!routes.contains("10."), "{routes}");
    site.wait_pings("neighbour", "fd81:1::10");
    site.wait_pings("neighbour", "web");
    site.wait_pings("neighbour", &remote.address6().to_string());

    let at = |ip: IpAddr, port| SocketAddr::new(ip, port);
    let container: IpAddr = "fd81:1::10".parse().unwrap();
    let uplink: IpAddr = site.host.address6().into();
    let places = [Place::host(&remote), Place::container(&site.host, "other")];
    let mut tries = Tries::default();
    for transport in transports() {
        for from in &places {
            tries.reaches(from, transport, at(uplink, 8080), "web");
            tries.cut_off(from, transport, at(container, 80));
        }
        let host = Place::host(&site.host);
        tries.reaches(&host, transport, at(uplink, 8080), "web");
        tries.reaches(&host, transport, at("::1".parse().unwrap(), 8080), "web");
        tries.reaches(&web, transport, at(uplink, 8080), "web");
    }
    tries.assert_good("IPv6 alone");

    drop(servers);
    site.docker("rm --force web neighbour other");
    site.docker("network rm net1 net2");
    site.assert_nothing_left();
    assert_same_state(&before, &site.host.netns_state());
}

#[test]
fn the_kernels_settings_are_those_of_the_built_in_driver() {
    let site = Site::new();
    for (number, options) in [(1, ""), (2, "--ipv6 --subnet fd81:NET::/64")] {
        let seen = ["bridge", "wasm-bridge"].map(|driver| {
            let name = format!("{driver}{number}");
            let net = if driver == "bridge" { number } else { 10 + number };
            let options = options.replace("NET", &net.to_string());
            site.docker(&format!(
                "network create --driver {driver} {options} --subnet 10.81.{net}.0/24 \
                 --opt com.docker.network.bridge.name=br-{name} {name}"
            ));
            site.container(&name, &format!("--network {name}"));
            let show = |link: &str| {
                let values = SETTINGS.map(|setting| {
                    format!("echo {setting} $(cat /proc/sys/net/ipv6/conf/{link}/{setting})")
                });
                values.join("; ")
            };
            // Without IPv6 engines differ in what they do to the bridge.
            let bridge = match options.is_empty() {
                true => String::new(),
                false => site.host.sh(&show(&format!("br-{name}"))),
            };
            format!("bridge: {bridge}\ncontainer: {}", site.in_container(&name, &show("eth0")))
        });
        assert_eq!(seen[0], seen[1], "built-in and ours, network {options:?}");
    }
}

#[test]
fn another_gateway_is_given_by_an_auxiliary_address() {
    let site = Site::new();
    site.network(
        "net1",
        "--ipv6 --subnet 10.81.1.0/24 --aux-address DefaultGatewayIPv4=10.81.1.9 \
         --subnet fd81:1::/64 --aux-address DefaultGatewayIPv6=fd81:1::9",
    );
    site.container("one", "--network net1");
    let routes = site.in_container("one", "ip route; ip -6 route");
    for gateway in ["10.81.1.9", "fd81:1::9"] {
        let route = format!("default via {gateway} dev eth0");
        assert!(routes.contains(&route), "no {route:?} in:\n{routes}");
    }
    // The bridge has its own all the same.
    site.wait_pings("one", "fd81:1::1");
    site.assert_pings("one", "10.81.1.1");
}
