use std::net::IpAddr;

use wasmnet_e2e::{Site, Tries, publish};
use wasmnet_lab::{Place, Transport, transports, wait_for};

use super::{LOOPBACK, LOOPBACK6, PATIENCE, at, serve, web};

const GATEWAY: [u8; 4] = [10, 81, 1, 1];

#[test]
fn a_published_port_is_reached_from_everywhere_by_every_address_of_the_host() {
    let site = Site::new();
    let before = site.host.netns_state();
    let remote = site.lab.host("b");
    site.network("net1", "--subnet 10.81.1.0/24");
    site.network("net2", "--subnet 10.81.2.0/24");
    site.docker("network create --driver bridge --subnet 10.81.3.0/24 builtin");
    let web = web(&site, "web", &format!("--network net1 {}", publish("8080:80")));
    site.container("neighbour", "--network net1");
    site.container("other", "--network net2");
    site.container("foreign", "--network builtin");
    let container = |name| Place::container(&site.host, name);
    let host = Place::host(&site.host);
    let uplink: IpAddr = site.host.address().into();
    let gateway: IpAddr = GATEWAY.into();

    for filtered in [1, 0] {
        site.host.sh(&format!("echo {filtered} >/proc/sys/net/bridge/bridge-nf-call-iptables"));
        let mut tries = Tries::default();
        for transport in transports() {
            let seen = remote.address().into();
            tries.reaches_as(&Place::host(&remote), transport, at(uplink, 8080), "web", seen);
            for address in [uplink, gateway] {
                tries.reaches_as(&host, transport, at(address, 8080), "web", address);
            }
            for address in [LOOPBACK, LOOPBACK6] {
                tries.reaches_as(&host, transport, at(address, 8080), "web", gateway);
            }
            for name in ["web", "neighbour", "other", "foreign"] {
                for address in [uplink, gateway] {
                    tries.reaches(&container(name), transport, at(address, 8080), "web");
                }
            }
            tries.reaches_as(&web.place, transport, at(uplink, 8080), "web", gateway);
        }
        tries.assert_good(&format!("bridge-nf-call-iptables={filtered}"));
    }
    site.host.sh("echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables");

    drop(web);
    site.docker("rm --force web neighbour other foreign");
    site.docker("network rm net1 net2 builtin");
    site.assert_nothing_left();
    wasmnet_lab::assert_same_state(&before, &site.host.netns_state());
}

#[test]
fn what_is_not_published_stays_closed_even_with_a_route() {
    let site = Site::new();
    let remote = site.lab.host("b");
    remote.sh(&format!("ip route add 10.81.1.0/24 via {}", site.host.address()));
    site.network("net1", "--subnet 10.81.1.0/24");
    site.network("net2", "--subnet 10.81.2.0/24");
    site.docker("network create --driver bridge --subnet 10.81.3.0/24 builtin");
    let ports = publish("8080:80") + &publish("127.0.0.1:8081:80");
    let web = web(&site, "web", &format!("--network net1 {ports}"));
    let _more = serve(&web.place, 81);
    site.container("other", "--network net2");
    site.container("foreign", "--network builtin");
    let container: IpAddr = site.address("web", "net1").parse().unwrap();
    let places = [
        Place::host(&remote),
        Place::container(&site.host, "other"),
        Place::container(&site.host, "foreign"),
    ];
    let host = Place::host(&site.host);
    let mut tries = Tries::default();
    for transport in transports() {
        for from in &places {
            // By the container's own address: published or not.
            tries.cut_off(from, transport, at(container, 80));
            tries.cut_off(from, transport, at(container, 81));
            // Published on the host's loopback only, or not at all.
            tries.cut_off(from, transport, at(site.host.address(), 8081));
            tries.cut_off(from, transport, at(site.host.address6(), 8081));
            tries.cut_off(from, transport, at(site.host.address(), 81));
        }
        // The servers are there.
        tries.reaches(&host, transport, at(container, 80), "web");
        tries.reaches(&host, transport, at(container, 81), "web");
        tries.reaches(&host, transport, at(LOOPBACK, 8081), "web");
        tries.cut_off(&host, transport, at(site.host.address(), 8081));
        tries.reaches(&places[0], transport, at(site.host.address(), 8080), "web");
    }
    tries.assert_good("from where it is closed");
}

#[test]
fn nobody_on_the_wire_gets_to_a_loopback_port() {
    let site = Site::new();
    site.network("net1", "--subnet 10.81.1.0/24");
    site.network("net2", "--subnet 10.81.2.0/24");
    let ports = publish("127.0.0.1:8081:80");
    let _web = web(&site, "web", &format!("--network net1 {ports}"));
    site.container(
        "bad",
        "--network net2 --cap-add NET_ADMIN --sysctl net.ipv4.conf.all.route_localnet=1",
    );
    // Both send packets for 127.0.0.1 to the host.
    let remote = site.lab.host("b");
    let route = |via: &str| {
        format!(
            "ip route del table local local 127.0.0.0/8 dev lo; \
             ip route del table local local 127.0.0.1 dev lo; \
             ip route add 127.0.0.1 via {via}"
        )
    };
    remote.sh("echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet");
    remote.sh(&route(&site.host.address().to_string()));
    site.in_container("bad", &route("10.81.2.1"));
    // The worst case: the uplink lets such packets in.
    site.host.sh("echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet");

    let mut tries = Tries::default();
    for transport in transports() {
        for from in [Place::host(&remote), Place::container(&site.host, "bad")] {
            tries.cut_off(&from, transport, at(LOOPBACK, 8081));
        }
        tries.reaches(&Place::host(&site.host), transport, at(LOOPBACK, 8081), "web");
    }
    tries.assert_good("packets for 127.0.0.1 on the wire");
}

#[test]
fn a_port_on_one_address_of_the_host_is_on_that_one_only() {
    let site = Site::new();
    let remote = site.lab.host("b");
    site.host.sh("ip address add 198.51.100.77/24 dev eth0");
    site.network("net1", "--subnet 10.81.1.0/24");
    let ports = publish("198.51.100.77:8080:80");
    let one = web(&site, "one", &format!("--network net1 {ports}"));
    let uplink = site.host.address();
    let ports = publish(&format!("{uplink}:8080:80"));
    let two = web(&site, "two", &format!("--network net1 {ports}"));

    let (remote, host) = (Place::host(&remote), Place::host(&site.host));
    let mut tries = Tries::default();
    for transport in transports() {
        for from in [&remote, &host, &one.place, &two.place] {
            tries.reaches(from, transport, at([198, 51, 100, 77], 8080), "one");
            tries.reaches(from, transport, at(uplink, 8080), "two");
        }
        tries.cut_off(&host, transport, at(LOOPBACK, 8080));
        tries.cut_off(&remote, transport, at(site.host.address6(), 8080));
    }
    tries.assert_good("ports on one address");
}

#[test]
fn ipv6_is_published_by_ipv6() {
    let site = Site::new();
    let before = site.host.netns_state();
    let remote = site.lab.host("b");
    site.host.sh("echo 1 >/proc/sys/net/ipv6/conf/all/forwarding");
    remote.sh(&format!("ip route add fd81:1::/64 via {}", site.host.address6()));
    site.network("net1", "--ipv6 --subnet 10.81.1.0/24 --subnet fd81:1::/64");
    site.network("net2", "--ipv6 --subnet 10.81.2.0/24 --subnet fd81:2::/64");
    let ports = publish("8080:80") + &publish("[::1]:8081:80");
    let web = web(&site, "web", &format!("--network net1 --ip6 fd81:1::10 {ports}"));
    site.container("neighbour", "--network net1");
    site.container("other", "--network net2");
    site.wait_pings("other", "fd81:2::1");
    site.wait_pings("neighbour", "fd81:1::10");
    let (remote6, uplink) = (IpAddr::from(remote.address6()), site.host.address6());
    let gateway: IpAddr = "fd81:1::1".parse().unwrap();
    let container: IpAddr = "fd81:1::10".parse().unwrap();
    let (remote, host) = (Place::host(&remote), Place::host(&site.host));
    let [neighbour, other] = ["neighbour", "other"].map(|name| Place::container(&site.host, name));

    let mut tries = Tries::default();
    for transport in transports() {
        tries.reaches_as(&remote, transport, at(uplink, 8080), "web", remote6);
        for address in [LOOPBACK, LOOPBACK6, uplink.into(), gateway] {
            tries.reaches(&host, transport, at(address, 8080), "web");
        }
        for from in [&web.place, &neighbour, &other] {
            tries.reaches(from, transport, at(uplink, 8080), "web");
            tries.reaches(from, transport, at(gateway, 8080), "web");
        }
        tries.reaches_as(&neighbour, transport, at(uplink, 8080), "web", gateway);
        tries.reaches(&host, transport, at(LOOPBACK6, 8081), "web");
        for from in [&remote, &other] {
            tries.cut_off(from, transport, at(uplink, 8081));
            tries.cut_off(from, transport, at(container, 80));
        }
    }
    tries.assert_good("IPv6");

    drop(web);
    site.docker("rm --force web neighbour other");
    site.docker("network rm net1 net2");
    site.assert_nothing_left();
    site.host.sh("echo 0 >/proc/sys/net/ipv6/conf/all/forwarding");
    wasmnet_lab::assert_same_state(&before, &site.host.netns_state());
}

#[test]
fn a_container_without_ipv6_is_reached_by_the_hosts_ipv6_addresses() {
    let site = Site::new();
    let remote = site.lab.host("b");
    site.network("net1", "--subnet 10.81.1.0/24");
    let ports = publish("8080:80");
    let _web = web(&site, "web", &format!("--network net1 {ports}"));
    let (remote, host) = (Place::host(&remote), Place::host(&site.host));
    let uplink = site.host.address6();
    let gateway = IpAddr::from(GATEWAY);
    let mut tries = Tries::default();
    for transport in transports() {
        tries.reaches_as(&remote, transport, at(uplink, 8080), "web", gateway);
        tries.reaches_as(&host, transport, at(uplink, 8080), "web", gateway);
        tries.reaches_as(&host, transport, at(LOOPBACK6, 8080), "web", gateway);
    }
    tries.assert_good("by IPv6 to a container without it");
}

#[test]
fn a_carried_answer_comes_from_the_address_that_was_asked() {
    let site = Site::new();
    let remote = Place::host(&site.lab.host("b"));
    let host = Place::host(&site.host);
    site.host.sh("ip address add 2001:db8:51::77/64 dev eth0 nodad");
    site.network("net1", "--subnet 10.81.1.0/24");
    let ports = publish("8080:80");
    let _web = web(&site, "web", &format!("--network net1 {ports}"));
    let mut tries = Tries::default();
    for address in [site.host.address6(), "2001:db8:51::77".parse().unwrap()] {
        for transport in transports() {
            tries.reaches(&remote, transport, at(address, 8080), "web");
            tries.reaches(&host, transport, at(address, 8080), "web");
        }
    }
    tries.assert_good("a host of two addresses");
}

#[test]
fn an_internal_network_publishes_nothing() {
    let site = Site::new();
    let remote = site.lab.host("b");
    site.network("inner", "--internal --subnet 10.81.1.0/24");
    let ports = publish("8080:80");
    let web = web(&site, "web", &format!("--network inner {ports}"));
    let mut tries = Tries::default();
    for transport in transports() {
        for address in [LOOPBACK, LOOPBACK6, site.host.address().into(), GATEWAY.into()] {
            tries.cut_off(&Place::host(&site.host), transport, at(address, 8080));
        }
        tries.cut_off(&Place::host(&remote), transport, at(site.host.address(), 8080));
        tries.cut_off(&web.place, transport, at(GATEWAY, 8080));
        // The port is not even bound.
        let taken = Place::host(&site.host).try_serve_at(transport, at([0, 0, 0, 0], 8080));
        assert!(taken.is_ok(), "{transport} port 8080 of the host is taken: {:?}", taken.err());
    }
    tries.assert_good("an internal network");

    // On its second network it has a way out, and then its ports.
    site.network("net2", "--subnet 10.81.2.0/24");
    site.docker("network connect net2 web");
    wait_for("the port on the second network", PATIENCE, || {
        Place::host(&remote).ask(Transport::Tcp, at(site.host.address(), 8080)).is_ok()
    });
}
