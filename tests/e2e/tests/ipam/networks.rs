use std::collections::BTreeSet;

use wasmnet_e2e::Site;

/// A site whose operator says this to the driver.
fn configured(config: &str) -> Site {
    let config = format!("[[driver]]\nname = \"wasm-ipam\"\n[driver.config]\n{config}\n");
    Site::prepared(&["--config", "/run/ipam.toml"], |host| {
        host.exec(&["sh", "-c", "cat >/run/ipam.toml"]).stdin(config).run();
    })
}

/// Makes a network with addresses of ours.
fn network(site: &Site, name: &str, options: &str) {
    site.docker(&format!("network create --ipam-driver wasm-ipam {options} {name}"));
}

/// The subnet of a network.
fn subnet(site: &Site, name: &str) -> String {
    let format = "{{(index .IPAM.Config 0).Subnet}}";
    site.host.docker(&["network", "inspect", "--format", format, name]).trim().to_owned()
}

#[test]
fn all_of_dockers_flags_work_under_our_bridge_and_under_dockers() {
    for driver in ["wasm-bridge", "bridge"] {
        let site = Site::new();
        network(
            &site,
            "net1",
            &format!(
                "--driver {driver} --subnet 10.70.0.0/16 --ip-range 10.70.4.0/24 \
                 --gateway 10.70.0.9 --aux-address printer=10.70.4.1"
            ),
        );
        site.container("one", "--network net1");
        site.container("two", "--network net1");
        site.container("three", "--network net1 --ip 10.70.9.9");
        assert_eq!(site.address("one", "net1"), "10.70.4.0", "{driver}");
        assert_eq!(site.address("two", "net1"), "10.70.4.2", "{driver}: .1 is the printer's");
        assert_eq!(site.address("three", "net1"), "10.70.9.9", "{driver}");
        for target in ["10.70.4.2", "10.70.9.9", "10.70.0.9"] {
            site.assert_pings("one", target);
        }
        for address in ["10.70.9.9", "10.70.0.9", "10.70.4.1"] {
            let run = format!("run --rm --network net1 --ip {address} busybox true");
            let taken = site.try_docker(&run);
            assert!(taken.stderr.contains("Address already in use"), "{driver}: {taken}");
        }
        let overlap = format!(
            "network create --driver {driver} --ipam-driver wasm-ipam --subnet 10.70.8.0/24 net2"
        );
        let overlap = site.try_docker(&overlap);
        let sentence = "Pool overlaps with other one on this address space";
        assert!(overlap.stderr.contains(sentence), "{driver}: {overlap}");
        site.docker("rm --force one two three");
        site.docker("network rm net1");
        site.assert_nothing_left();
    }
}

#[test]
fn both_families_work() {
    let site = Site::new();
    network(&site, "net1", "--driver wasm-bridge --ipv6 --subnet 10.70.0.0/24 --subnet fd70::/64");
    site.container("one", "--network net1");
    site.container("two", "--network net1");
    assert_eq!(site.address("two", "net1"), "10.70.0.3");
    assert_eq!(site.address6("two", "net1"), "fd70::3");
    site.assert_pings("one", "10.70.0.3");
    site.wait_pings("one", "fd70::3");
    site.docker("rm --force one two");
    site.docker("network rm net1");
    site.assert_nothing_left();
}

#[test]
fn macvlan_networks_get_their_addresses_and_share_a_subnet() {
    let site = Site::new();
    let has = site.host.try_sh("ip link add mv0 link eth0 type macvlan && ip link del mv0");
    if !has.success() {
        // Nothing to test on a kernel without it.
        assert!(has.stderr.contains("nknown device type"), "{has}");
        return;
    }
    let parent = |name: &str| format!("--driver macvlan -o parent={name} --subnet 10.70.0.0/16");
    for name in ["dm0", "dm1"] {
        site.host
            .sh(&format!("ip link add {name} type veth peer {name}p; ip link set {name}p up; ip link set {name} up"));
    }
    network(&site, "net1", &format!("{} --ip-range 10.70.1.0/24", parent("dm0")));
    network(&site, "net2", &format!("{} --ip-range 10.70.2.0/24", parent("dm1")));
    for (name, network, address) in
        [("one", "net1", "10.70.1.1"), ("two", "net1", "10.70.1.2"), ("three", "net2", "10.70.2.1")]
    {
        site.container(name, &format!("--network {network}"));
        assert_eq!(site.address(name, network), address);
    }
    site.assert_pings("one", "10.70.1.2");
    let taken = site.try_docker("run --rm --network net2 --ip 10.70.1.2 busybox true");
    assert!(taken.stderr.contains("Address already in use"), "{taken}");
    site.docker("rm --force one two three");
    site.docker("network rm net1 net2");
    site.assert_nothing_left();
}

#[test]
fn automatic_pools_keep_off_the_hosts_networks() {
    let site = Site::new();
    for route in ["172.18.0.0/16 dev eth0", "blackhole 172.19.4.0/24"] {
        site.host.sh(&format!("ip route add {route}"));
    }
    site.host.sh("ip address add 172.20.9.9/32 dev lo");
    network(&site, "net1", "--driver wasm-bridge");
    network(&site, "net2", "--driver bridge");
    let found: BTreeSet<String> = ["net1", "net2"].map(|name| subnet(&site, name)).into();
    let expected = ["172.21.0.0/16", "172.22.0.0/16"].map(str::to_owned).into();
    // docker0 has the first.
    assert_eq!(found, expected);
    // A prefix of this host's own, of which the driver keeps the random part.
    network(&site, "net3", "--driver wasm-bridge --ipv6");
    site.container("one", "--network net3");
    site.container("two", "--network net3");
    let address = site.address6("two", "net3");
    assert!(address.starts_with("fd") && address.ends_with("::3"), "{address}");
    site.wait_pings("one", &address);
    site.docker("rm --force one two");
    site.docker("network rm net1 net2 net3");
    site.wait_ledger(0, 0);
    assert_eq!(site.daemon.json(&["ipam", "ls"]), serde_json::json!([]));
}

#[test]
fn the_operator_names_pools() {
    let site = configured(
        "default-pools = \"10.80.0.0/15 size 16\"\npool-blue = \"10.50.0.0/23 size 24\"",
    );
    network(&site, "any", "--driver wasm-bridge");
    network(&site, "one", "--driver wasm-bridge --ipam-opt pool=blue");
    network(&site, "two", "--driver bridge --ipam-opt pool=blue");
    assert_eq!(subnet(&site, "any"), "10.80.0.0/16");
    assert_eq!(subnet(&site, "one"), "10.50.0.0/24");
    assert_eq!(subnet(&site, "two"), "10.50.1.0/24");
    for (options, says) in [
        ("--ipam-opt pool=blue", "all predefined address pools have been fully subnetted"),
        ("--ipam-opt pool=red", "there is no pool \"red\""),
        (
            "--ipam-opt colour=red",
            "option colour is not known; known are pool, rest, cluster, grace",
        ),
    ] {
        let refused = site.try_docker(&format!(
            "network create --driver wasm-bridge --ipam-driver wasm-ipam {options} wrong"
        ));
        assert!(!refused.success() && refused.stderr.contains(says), "{options}: {refused}");
    }
    site.docker("network rm any one two");
    site.assert_nothing_left();
}

#[test]
fn an_address_rests_before_others_get_it_unless_the_network_says_no() {
    let site = Site::new();
    network(&site, "net1", "--driver wasm-bridge --subnet 10.70.0.0/24");
    network(&site, "net2", "--driver wasm-bridge --subnet 10.71.0.0/24 --ipam-opt rest=0");
    for (network, expected) in [("net1", "10.70.0.3"), ("net2", "10.71.0.2")] {
        site.container("one", &format!("--network {network}"));
        site.docker("rm --force one");
        site.container("two", &format!("--network {network}"));
        assert_eq!(site.address("two", network), expected);
        site.docker("rm --force two");
    }
    // By name it is given at once.
    site.container("one", "--network net1 --ip 10.70.0.2");
    site.docker("rm --force one");
    site.docker("network rm net1 net2");
    site.assert_nothing_left();
}

#[test]
fn a_container_with_a_mac_address_finds_its_address_again() {
    let site = Site::new();
    network(&site, "net1", "--driver wasm-bridge --subnet 10.70.0.0/24");
    site.container_with_mac("one", "net1", None, "02:00:00:00:00:01");
    site.container("two", "--network net1");
    site.docker("rm --force one");
    site.container("three", "--network net1");
    assert_eq!(site.address("three", "net1"), "10.70.0.4");
    site.container_with_mac("one", "net1", None, "02:00:00:00:00:01");
    assert_eq!(site.address("one", "net1"), "10.70.0.2");
    site.docker("rm --force one two three");
    site.docker("network rm net1");
    site.assert_nothing_left();
}
