use std::time::Duration;

use wasmnet_e2e::Site;
use wasmnet_lab::wait_for;

use super::{network, pings};

/// How long something may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(10);
const SUBNETS: &str = "--ipv6 --subnet 198.51.100.0/24 --subnet 2001:db8:51::/64";

/// Runs a container at these addresses.
fn container(site: &Site, name: &str, last: u8) {
    site.docker(&format!(
        "run --detach --name {name} --stop-signal KILL --network lan --ip 198.51.100.{last} \
         --ip6 2001:db8:51::{last} busybox sleep 3600"
    ));
}

/// Host and container reach each other by both families, and the container the outside.
fn assert_reach(site: &Site, name: &str, last: u8) {
    for address in [format!("198.51.100.{last}"), format!("2001:db8:51::{last}")] {
        wait_for(&format!("the host to reach {address}"), PATIENCE, || {
            let state = || site.host.sh("ip route; ip -6 route; ip neigh; ip -d link");
            if pings(&site.host, &address) { Ok(()) } else { Err(state()) }
        });
    }
    let (host, outside) = (&site.host, site.lab.outside());
    for address in [host.address().to_string(), outside.address().to_string()] {
        site.assert_pings(name, &address);
    }
    for address in [host.address6().to_string(), outside.address6().to_string()] {
        site.wait_pings(name, &address);
    }
}

/// What the outside takes for the host's Ethernet addresses.
fn seen_outside(site: &Site) -> String {
    let outside = site.lab.outside();
    for address in [site.host.address().to_string(), site.host.address6().to_string()] {
        assert!(pings(outside, &address), "the outside does not reach {address}");
    }
    let neighbours = outside.sh("ip -4 neigh; ip -6 neigh");
    let (v4, v6) = (format!("{} ", site.host.address()), format!("{} ", site.host.address6()));
    let of_host = |line: &&str| line.starts_with(&v4) || line.starts_with(&v6);
    let mac = |line: &str| line.split("lladdr ").nth(1).map(|rest| rest[..17].to_owned());
    let mut macs: Vec<String> = neighbours.lines().filter(of_host).filter_map(mac).collect();
    macs.sort();
    macs.dedup();
    macs.join(" ")
}

#[test]
fn host_and_containers_reach_each_other() {
    let mut site = Site::new();
    let own = site.host.sh("ip -o link show eth0 | sed 's/.*ether //; s/ .*//'");
    network(&site.host, &format!("{SUBNETS} -o parent=eth0 -o wasmnet.host_access=true lan"));
    container(&site, "one", 201);
    assert_reach(&site, "one", 201);
    assert_eq!(seen_outside(&site), own, "the outside has noticed the host's other link");

    site.docker("network disconnect lan one");
    for family in ["-4", "-6"] {
        let routes = site.host.sh(&format!("ip {family} route"));
        assert!(!routes.contains("100.201") && !routes.contains(":201"), "to nobody: {routes}");
    }
    site.docker("network connect --ip 198.51.100.210 --ip6 2001:db8:51::210 lan one");
    assert_reach(&site, "one", 210);

    site.daemon.kill();
    site.host.sh("ip link delete $(ip -o link show type macvlan | cut -d: -f2 | cut -d@ -f1)");
    site.daemon.start_again();
    assert_reach(&site, "one", 210);
    // And once more while the daemon looks on.
    site.host.sh("ip link delete $(ip -o link show type macvlan | cut -d: -f2 | cut -d@ -f1)");
    assert_reach(&site, "one", 210);
    assert_eq!(seen_outside(&site), own, "the outside has noticed the host's other link");

    // The host gets another address.
    site.host.sh("ip address add 2001:db8:51::77/64 dev eth0 nodad");
    site.wait_pings("one", "2001:db8:51::77");
    site.host.sh("ip address delete 2001:db8:51::77/64 dev eth0");

    // The wire is off and on again; IPv6 forgets its addresses with it.
    site.host.sh(&format!(
        "ip link set eth0 down; ip link set eth0 up
        ip route replace default via {}
        ip address replace {}/64 dev eth0 nodad
        ip -6 route replace default via {}",
        site.lab.outside().address(),
        site.host.address6(),
        site.lab.outside().address6(),
    ));
    assert_reach(&site, "one", 210);

    site.docker("rm --force one");
    site.docker("network rm lan");
    site.assert_nothing_left();
}

#[test]
fn several_networks_of_one_parent_are_open_to_the_host() {
    let site = Site::new();
    for number in [1, 2] {
        let subnet = format!("--subnet 10.86.{number}.0/24");
        // What the containers answer to.
        site.host.sh(&format!("ip address add 10.86.{number}.77/24 dev eth0"));
        network(
            &site.host,
            &format!("{subnet} -o parent=eth0 -o wasmnet.host_access=true lan{number}"),
        );
        site.docker(&format!(
            "run --detach --name box{number} --stop-signal KILL --network lan{number} \
             --ip 10.86.{number}.5 busybox sleep 3600"
        ));
    }
    for address in ["10.86.1.5", "10.86.2.5"] {
        assert!(pings(&site.host, address), "the host does not reach {address}");
    }
    site.docker("rm --force box1");
    site.docker("network rm lan1");
    assert!(pings(&site.host, "10.86.2.5"), "the other network went with it");
    site.docker("rm --force box2");
    site.docker("network rm lan2");
    site.assert_nothing_left();
}
