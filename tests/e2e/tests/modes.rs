//! Gateway modes and what else changes who reaches whom.

use std::net::{IpAddr, SocketAddr};

use wasmnet_e2e::{Site, Tries, publish};
use wasmnet_lab::{Place, Server, Transport, assert_same_state, transports};

const PORT: &str = "8080:80";
const WEB: [u8; 4] = [10, 81, 1, 10];
const GATEWAY: [u8; 4] = [10, 81, 1, 1];

#[test]
fn routed_containers_have_their_own_address_and_published_ports_only() {
    let stage = Stage::new("--opt com.docker.network.bridge.gateway_mode_ipv4=routed", "");
    let Stage { site, remote, host, other, .. } = &stage;
    let remote_ip = site.lab.outside().address();
    let mut tries = Tries::default();
    for transport in transports() {
        let seen = remote_ip.into();
        tries.reaches_as(remote, transport, at(WEB, 80), "web", seen);
        tries.reaches(host, transport, at(WEB, 80), "web");
        tries.reaches(other, transport, at(WEB, 80), "web");
        for from in [remote, other] {
            tries.cut_off(from, transport, at(WEB, 81));
        }
        // The host's own port is not meant, and stays free.
        tries.cut_off(remote, transport, at(site.host.address(), 8080));
        drop(host.serve_at(transport, at([0, 0, 0, 0], 8080)));
    }
    tries.assert_good("routed");
    assert!(stage.outside_pings(&web_ip()), "ICMP does not reach a routed container");
    site.assert_pings("other", &web_ip());
    let _server = site.serve_outside();
    assert_eq!(site.seen_outside("web"), web_ip(), "masqueraded");
    stage.remove();
}

#[test]
fn unprotected_containers_are_reached_at_every_port() {
    let stage = Stage::new("--opt com.docker.network.bridge.gateway_mode_ipv4=nat-unprotected", "");
    let Stage { site, remote, other, .. } = &stage;
    let mut tries = Tries::default();
    for transport in transports() {
        for from in [remote, other] {
            tries.reaches(from, transport, at(WEB, 80), "web");
            tries.reaches(from, transport, at(WEB, 81), "web");
            tries.reaches(from, transport, at(site.host.address(), 8080), "web");
        }
    }
    tries.assert_good("unprotected");
    assert!(stage.outside_pings(&web_ip()));
    let _server = site.serve_outside();
    assert_eq!(site.seen_outside("web"), site.host.address().to_string(), "not masqueraded");
    stage.remove();
}

#[test]
fn behind_a_trusted_link_everybody_reaches_the_containers() {
    let stage = Stage::new("--opt com.docker.network.bridge.trusted_host_interfaces=eth0", "");
    let Stage { site, remote, other, .. } = &stage;
    let mut tries = Tries::default();
    for transport in transports() {
        tries.reaches(remote, transport, at(WEB, 80), "web");
        tries.reaches(remote, transport, at(WEB, 81), "web");
        tries.cut_off(other, transport, at(WEB, 80));
        tries.reaches(remote, transport, at(site.host.address(), 8080), "web");
    }
    tries.assert_good("trusted");
    site.assert_silent("other", &web_ip(), "though only eth0 is trusted");
    stage.remove();
}

#[test]
fn isolated_containers_have_only_each_other() {
    let site = Site::new();
    let before = site.host.netns_state();
    let mode = "--opt com.docker.network.bridge.gateway_mode_ipv4=isolated";
    let name = "--opt com.docker.network.bridge.name=acme0";
    let output = site.try_docker(&format!("network create --driver wasm-bridge {mode} net1"));
    assert!(!output.success(), "isolated, and not internal: {output}");
    for part in ["gateway_mode_ipv4", "isolated", "--internal"] {
        assert!(output.stderr.contains(part), "no {part} in {output}");
    }

    site.network("net1", &format!("--internal --subnet 10.81.1.0/29 {mode} {name}"));
    let addresses = site.host.run(&["ip", "address", "show", "acme0"]);
    assert!(!addresses.contains("inet "), "the bridge has an address: {addresses}");
    site.container("one", "--network net1");
    site.container("two", "--network net1 --publish 8080:80");
    let (one, two) = (site.address("one", "net1"), site.address("two", "net1"));
    site.assert_pings("one", &two);
    site.assert_pings("two", &one);
    assert!(!site.host.try_run(&["ping", "-c", "1", "-W", "1", &one]).success());
    let routes = site.in_container("one", "ip route");
    assert!(!routes.contains("default"), "{routes}");

    site.docker("rm --force one two");
    site.docker("network rm net1");
    site.assert_nothing_left();
    assert_same_state(&before, &site.host.netns_state());
}

#[test]
fn ports_are_published_where_the_network_says() {
    let binding = "--opt com.docker.network.bridge.host_binding_ipv4=127.0.0.1";
    let uplink = "--publish 198.51.100.1:8082:80";
    let stage = Stage::new(binding, uplink);
    let Stage { site, remote, host, .. } = &stage;
    assert_eq!(site.host.address().to_string(), "198.51.100.1");
    let mut tries = Tries::default();
    for transport in transports() {
        tries.reaches(host, transport, at([127, 0, 0, 1], 8080), "web");
        tries.cut_off(host, transport, at(site.host.address(), 8080));
        tries.cut_off(remote, transport, at(site.host.address(), 8080));
    }
    tries.reaches(remote, Transport::Tcp, at(site.host.address(), 8082), "web");
    tries.assert_good("published on 127.0.0.1");
    stage.remove();
}

#[test]
fn the_outside_sees_the_address_that_was_chosen() {
    let site = Site::new();
    site.host.sh("ip address add 198.51.100.77/24 dev eth0");
    site.network("net1", "--opt com.docker.network.host_ipv4=198.51.100.77");
    site.container("one", "--network net1");
    let _server = site.serve_outside();
    assert_eq!(site.seen_outside("one"), "198.51.100.77");
}

#[test]
fn without_an_address_of_its_own_the_bridge_leaves_the_gateway_to_another() {
    let site = Site::new();
    let before = site.host.netns_state();
    site.network(
        "net1",
        "--subnet 10.81.1.0/24 --opt com.docker.network.bridge.inhibit_ipv4=true \
         --opt com.docker.network.bridge.name=acme0",
    );
    let addresses = site.host.run(&["ip", "address", "show", "acme0"]);
    assert!(!addresses.contains("inet "), "the bridge has an address: {addresses}");
    site.container("one", "--network net1");
    site.container("two", "--network net1");
    let routes = site.in_container("one", "ip route");
    assert!(routes.contains("default via 10.81.1.1"), "{routes}");
    site.assert_pings("one", "two");
    site.docker("rm --force one two");
    site.docker("network rm net1");

    site.network("net1", "--subnet 10.81.1.0/24 --aux-address DefaultGatewayIPv4=10.81.1.9");
    site.container("router", "--network net1 --ip 10.81.1.200");
    site.container("one", "--network net1");
    let routes = site.in_container("one", "ip route");
    assert!(routes.contains("default via 10.81.1.9"), "{routes}");
    site.assert_pings("one", "10.81.1.1");
    site.docker("rm --force one router");
    site.docker("network rm net1");
    site.assert_nothing_left();
    assert_same_state(&before, &site.host.netns_state());
}

#[test]
fn without_icc_a_neighbour_has_the_published_ports() {
    without_icc("1");
}

#[test]
fn without_icc_and_br_netfilter_a_neighbour_has_the_published_ports() {
    without_icc("0");
}

fn without_icc(br_netfilter: &str) {
    let stage = Stage::new("--opt com.docker.network.bridge.enable_icc=false", "");
    let Stage { site, remote, .. } = &stage;
    site.host.sh(&format!("echo {br_netfilter} >/proc/sys/net/bridge/bridge-nf-call-iptables"));
    site.container("neighbour", "--network net1");
    let neighbour = Place::container(&site.host, "neighbour");
    let mut tries = Tries::default();
    for transport in transports() {
        tries.cut_off(&neighbour, transport, at(WEB, 80));
        tries.reaches(&neighbour, transport, at(site.host.address(), 8080), "web");
        tries.reaches(&neighbour, transport, at(GATEWAY, 8080), "web");
        tries.reaches(&stage.web, transport, at(site.host.address(), 8080), "web");
        tries.reaches(remote, transport, at(site.host.address(), 8080), "web");
    }
    tries.assert_good("without icc");
    site.docker("rm --force neighbour");
    site.host.sh("echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables");
    stage.remove();
}

#[test]
fn each_family_has_its_own_mode() {
    let site = Site::new();
    let outside = site.lab.outside();
    site.host.sh("echo 1 >/proc/sys/net/ipv6/conf/all/forwarding");
    outside.sh(&format!("ip route add fd81:1::/64 via {}", site.host.address6()));
    outside.sh(&format!("ip route add 10.81.1.0/24 via {}", site.host.address()));
    site.network(
        "net1",
        "--ipv6 --subnet 10.81.1.0/24 --subnet fd81:1::/64 \
         --opt com.docker.network.bridge.gateway_mode_ipv6=routed",
    );
    let ports = publish(PORT);
    site.container("web", &format!("--network net1 --ip 10.81.1.10 --ip6 fd81:1::10 {ports}"));
    let web = Place::container(&site.host, "web");
    let _servers = serve(&web);
    site.wait_pings("web", &outside.address6().to_string());
    let container: IpAddr = "fd81:1::10".parse().unwrap();
    let remote = Place::host(outside);
    let mut tries = Tries::default();
    for transport in transports() {
        let seen = outside.address6().into();
        tries.reaches_as(&remote, transport, at(container, 80), "web", seen);
        tries.cut_off(&remote, transport, at(container, 81));
        tries.cut_off(&remote, transport, at(WEB, 80));
        tries.reaches(&remote, transport, at(site.host.address(), 8080), "web");
    }
    tries.assert_good("nat for IPv4, routed for IPv6");
    outside.run(&["ping", "-c", "1", "-W", "2", "fd81:1::10"]);
}

#[test]
fn a_wrong_value_is_refused_by_name() {
    let site = Site::new();
    let before = site.host.netns_state();
    let cases = [
        ("com.docker.network.bridge.gateway_mode_ipv4", "bridged"),
        ("com.docker.network.bridge.gateway_mode_ipv6", "NAT"),
        ("com.docker.network.bridge.gateway_mode_ipv6", "isolated"),
        ("com.docker.network.bridge.inhibit_ipv4", "maybe"),
        ("com.docker.network.bridge.host_binding_ipv4", "127.0.0.256"),
        ("com.docker.network.bridge.host_binding_ipv4", "localhost"),
        ("com.docker.network.bridge.trusted_host_interfaces", "eth0::wg0"),
        ("com.docker.network.bridge.trusted_host_interfaces", "a/b"),
        ("com.docker.network.bridge.trusted_host_interfaces", "a234567890123456"),
        ("com.docker.network.host_ipv4", "2001:db8::1"),
        ("com.docker.network.host_ipv4", "here"),
        ("com.docker.network.host_ipv6", "198.51.100.1"),
    ];
    let mut wrong = Vec::new();
    for (key, value) in cases {
        let created = format!("network create --driver wasm-bridge --opt {key}={value} net1");
        let output = site.try_docker(&created);
        let text = output.stderr.trim();
        if output.success() {
            wrong.push(format!("{key}={value}: taken"));
            site.docker("network rm net1");
        } else if !(text.contains(key) && text.contains(value) && text.lines().count() == 1) {
            wrong.push(format!("{key}={value}: {text}"));
        }
    }
    assert!(wrong.is_empty(), "not one sentence with key and value:\n{}", wrong.join("\n"));
    site.assert_nothing_left();
    assert_same_state(&before, &site.host.netns_state());
}

/// A network with options, a server on it that publishes port 80 and not port 81, a
/// container on another network, and an outside that has a route to both.
struct Stage {
    servers: Vec<Server>,
    web: Place,
    other: Place,
    remote: Place,
    host: Place,
    site: Site,
    before: String,
}

// === impl Stage ===

impl Stage {
    /// `options` are the network's, `more` the server's.
    fn new(options: &str, more: &str) -> Self {
        let site = Site::new();
        let before = site.host.netns_state();
        let outside = site.lab.outside();
        outside.sh(&format!("ip route add 10.81.0.0/16 via {}", site.host.address()));
        site.network("net1", &format!("--subnet 10.81.1.0/24 {options}"));
        site.network("net2", "--subnet 10.81.2.0/24");
        let ports = publish(PORT);
        site.container("web", &format!("--network net1 --ip {} {ports} {more}", web_ip()));
        site.container("other", "--network net2");
        let web = Place::container(&site.host, "web");
        Self {
            servers: serve(&web),
            web,
            other: Place::container(&site.host, "other"),
            remote: Place::host(outside),
            host: Place::host(&site.host),
            site,
            before,
        }
    }

    fn outside_pings(&self, target: &str) -> bool {
        self.site.lab.outside().try_run(&["ping", "-c", "1", "-W", "2", target]).success()
    }

    /// Removes everything; nothing may be left.
    fn remove(self) {
        drop(self.servers);
        self.site.docker("rm --force web other");
        self.site.docker("network rm net1 net2");
        self.site.assert_nothing_left();
        assert_same_state(&self.before, &self.site.host.netns_state());
    }
}

fn serve(web: &Place) -> Vec<Server> {
    let ports = transports().into_iter().flat_map(|transport| [(transport, 80), (transport, 81)]);
    ports.map(|(transport, port)| web.serve(transport, port)).collect()
}

fn web_ip() -> String {
    IpAddr::from(WEB).to_string()
}

fn at(ip: impl Into<IpAddr>, port: u16) -> SocketAddr {
    SocketAddr::new(ip.into(), port)
}
