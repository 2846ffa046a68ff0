//! Networks on bridges that somebody else made.

use std::net::{Ipv4Addr, SocketAddr};

use wasmnet_e2e::Site;
use wasmnet_lab::{Place, TRANSPORTS, assert_same_state};

const NAME: &str = "com.docker.network.bridge.name";

#[test]
fn a_bridge_with_a_machine_on_it_is_used_and_left_as_it_was() {
    let site = site_with_lan("");
    let before = state(&site);
    site.network("net1", &format!("--subnet 10.81.1.0/24 --opt {NAME}=lan0"));
    site.container("web", "--network net1 --ip 10.81.1.10 --publish 8080:80/tcp");
    site.assert_pings("web", "10.81.1.1");
    site.assert_pings("web", "10.81.1.50");
    site.assert_pings("web", &site.lab.outside().address().to_string());
    let web = Place::container(&site.host, "web");
    let _servers = TRANSPORTS.map(|transport| web.serve(transport, 80));
    for host in [site.host.address(), Ipv4Addr::LOCALHOST] {
        let to = SocketAddr::new(host.into(), 8080);
        Place::host(&site.host).assert_reaches(TRANSPORTS[0], to, "web");
    }

    let again = site.try_docker(&format!(
        "network create --driver wasm-bridge --subnet 10.82.0.0/24 --opt {NAME}=lan0 net2"
    ));
    assert!(!again.success() && again.stderr.contains("lan0"), "two networks on it: {again}");

    site.docker("rm --force web");
    site.docker("network rm net1");
    site.assert_nothing_left();
    assert_same_state(&before, &state(&site));
}

#[test]
fn what_the_network_adds_to_the_bridge_goes_with_it() {
    // Down, and with neither the gateway's address nor any other of the subnet.
    let site = site_with_lan("ip address del 10.81.1.1/24 dev lan0; ip link set lan0 down");
    let before = state(&site);
    site.network("net1", &format!("--subnet 10.81.1.0/24 --opt {NAME}=lan0"));
    site.container("one", "--network net1");
    site.assert_pings("one", "10.81.1.1");
    site.assert_pings("one", "192.0.2.1");
    site.docker("rm --force one");
    site.docker("network rm net1");
    site.assert_nothing_left();
    site.host.run(&["ip", "link", "set", "lan0", "down"]);
    assert_same_state(&before, &state(&site));
}

#[test]
fn a_bridge_stays_in_use_over_a_restart_of_the_daemon() {
    let mut site = site_with_lan("");
    let before = state(&site);
    site.network("net1", &format!("--subnet 10.81.1.0/24 --opt {NAME}=lan0"));
    site.container("one", "--network net1");
    site.daemon.kill();
    site.daemon.start_again();
    site.assert_pings("one", "10.81.1.1");
    site.container("two", "--network net1");
    site.assert_pings("two", "10.81.1.50");
    site.docker("rm --force one two");
    site.docker("network rm net1");
    site.assert_nothing_left();
    assert_same_state(&before, &state(&site));
}

/// A host with bridge `lan0`, on which there is a machine 10.81.1.50.
fn site_with_lan(more: &str) -> Site {
    let site = Site::new();
    site.host.sh(&format!(
        "ip link add lan0 type bridge
        ip address add 10.81.1.1/24 dev lan0
        ip address add 192.0.2.1/24 dev lan0
        ip netns add machine
        ip link add port0 type veth peer eth0 netns machine
        ip link set port0 master lan0 up
        ip link set lan0 up
        ip -n machine address add 10.81.1.50/24 dev eth0
        ip -n machine link set eth0 up
        {more}"
    ));
    site
}

/// The namespace, and the bridge's own settings.
fn state(site: &Site) -> String {
    let settings = site
        .host
        .sh("grep -r '' /proc/sys/net/ipv4/conf/lan0 /proc/sys/net/ipv6/conf/lan0 2>/dev/null |
         grep -v stable_secret | sort");
    format!("{}\n{settings}", site.host.netns_state())
}
