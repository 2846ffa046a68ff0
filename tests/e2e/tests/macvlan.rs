//! Containers on the wire of the host's uplink.

use wasmnet_e2e::{Daemon, Site, binary};
use wasmnet_lab::{Host, assert_same_state, wait_for};

const WIRE: &str = "--driver wasm-macvlan --subnet 198.51.100.0/24";

/// A container that does nothing, on the network `lan`.
fn container(host: &Host, name: &str, network: &str, ip: &str) {
    let command = format!(
        "run --detach --name {name} --stop-signal KILL --network {network} --ip {ip} busybox sleep 3600"
    );
    host.docker(&command.split_whitespace().collect::<Vec<_>>());
}

fn pings(host: &Host, target: &str) -> bool {
    host.try_run(&["ping", "-c", "1", "-W", "1", target]).success()
}

#[test]
fn containers_are_hosts_of_the_wire_and_the_host_is_not() {
    let site = Site::new();
    let before = site.host.netns_state();
    // Dropped before its host: the last declared goes first.
    let other = site.lab.host("b");
    let _engine = other.start_engine();
    let _daemon = Daemon::start(&other);
    for host in [&site.host, &other] {
        let create = format!("network create {WIRE} -o parent=eth0 lan");
        host.docker(&create.split_whitespace().collect::<Vec<_>>());
    }
    container(&site.host, "one", "lan", "198.51.100.201");
    container(&site.host, "two", "lan", "198.51.100.202");
    container(&other, "three", "lan", "198.51.100.203");

    site.assert_pings("one", "198.51.100.202");
    site.assert_pings("one", "two");
    site.assert_pings("one", "198.51.100.203");
    site.assert_pings("one", &site.lab.outside().address().to_string());
    site.assert_pings("one", &other.address().to_string());
    assert!(pings(site.lab.outside(), "198.51.100.201"), "the outside reaches a container");
    // The kernel keeps a parent and what is on it apart.
    site.assert_silent("one", &site.host.address().to_string(), "without host_access");
    assert!(!pings(&site.host, "198.51.100.201"), "the host reaches it without host_access");
    let addresses = site.in_container("one", "ip -4 -o address show scope global");
    assert_eq!(addresses.lines().count(), 1, "an interface too many: {addresses}");

    site.docker("restart one");
    site.assert_pings("one", "198.51.100.203");
    site.docker("network disconnect lan one");
    site.docker("network connect --ip 198.51.100.210 lan one");
    site.assert_pings("one", "198.51.100.202");
    site.docker("rm --force one two");
    site.docker("network rm lan");
    site.assert_nothing_left();
    assert_same_state(&before, &site.host.netns_state());
}

#[test]
fn with_host_access_host_and_containers_reach_each_other() {
    let mut site = Site::new();
    site.docker(&format!("network create {WIRE} -o parent=eth0 -o wasmnet.host_access=true lan"));
    container(&site.host, "one", "lan", "198.51.100.201");
    let host = site.host.address().to_string();
    let assert_both = |site: &Site, address: &str| {
        wait_for("the host to reach the container", std::time::Duration::from_secs(5), || {
            if pings(&site.host, address) {
                Ok(())
            } else {
                Err(site.host.sh("ip route; ip -d link"))
            }
        });
        site.assert_pings("one", &host);
        site.assert_pings("one", &site.lab.outside().address().to_string());
    };
    assert_both(&site, "198.51.100.201");

    site.docker("network disconnect lan one");
    assert!(!site.host.sh("ip route").contains("198.51.100.201"), "a route to nobody");
    site.docker("network connect --ip 198.51.100.210 lan one");
    assert_both(&site, "198.51.100.210");

    site.daemon.kill();
    site.host.sh("ip link delete $(ip -o link show type macvlan | cut -d: -f2 | cut -d@ -f1)");
    site.daemon.start_again();
    assert_both(&site, "198.51.100.210");

    // The way back comes with the wire.
    site.host.sh("ip link set eth0 down; ip link set eth0 up");
    site.host.sh(&format!("ip route replace default via {}", site.lab.outside().address()));
    assert_both(&site, "198.51.100.210");

    site.docker("rm --force one");
    site.docker("network rm lan");
    site.assert_nothing_left();
}

#[test]
fn private_and_vepa_containers_do_not_talk_on_one_host() {
    let site = Site::new();
    for mode in ["private", "vepa"] {
        site.docker(&format!("network create {WIRE} -o parent=eth0 -o macvlan_mode={mode} {mode}"));
        container(&site.host, "one", mode, "198.51.100.201");
        container(&site.host, "two", mode, "198.51.100.202");
        site.assert_pings("one", &site.lab.outside().address().to_string());
        site.assert_silent("one", "198.51.100.202", mode);
        site.docker("rm --force one two");
        site.docker(&format!("network rm {mode}"));
    }
    site.assert_nothing_left();
}

#[test]
fn passthru_has_its_parent_to_itself() {
    let site = Site::new();
    site.host.sh(
        "ip link add wire0 type veth peer name wire1; ip link set wire0 up; ip link set wire1 up",
    );
    let subnet = |number: u8| format!("--driver wasm-macvlan --subnet 10.82.{number}.0/24");
    site.docker(&format!(
        "network create {} -o parent=wire0 -o macvlan_mode=passthru alone",
        subnet(1)
    ));
    for mode in ["bridge", "passthru"] {
        let second = site.try_docker(&format!(
            "network create {} -o parent=wire0 -o macvlan_mode={mode} second",
            subnet(2)
        ));
        assert!(second.stderr.contains("is already using parent interface wire0"), "{second}");
    }
    container(&site.host, "one", "alone", "10.82.1.5");
    let two = site.try_docker("run --rm --network alone busybox true");
    assert!(two.stderr.contains("link wire0 cannot be shared"), "{two}");
    site.docker("rm --force one");
    site.docker("network rm alone");

    site.docker(&format!("network create {} -o parent=wire0 first", subnet(1)));
    let alone = site.try_docker(&format!(
        "network create {} -o parent=wire0 -o macvlan_mode=passthru alone",
        subnet(2)
    ));
    assert!(alone.stderr.contains("is already using parent interface wire0"), "{alone}");
    site.docker(&format!("network create {} -o parent=wire0 second", subnet(2)));
    site.docker("network rm first second");
    site.assert_nothing_left();
}

#[test]
fn without_a_parent_a_network_is_for_itself() {
    let site = Site::new();
    site.docker("network create --driver wasm-macvlan --subnet 10.83.0.0/24 island");
    site.container("one", "--network island");
    site.container("two", "--network island");
    site.assert_pings("one", "two");
    site.assert_silent("one", &site.lab.outside().address().to_string(), "from an island");
    site.assert_silent("one", &site.host.address().to_string(), "from an island");
    site.docker("rm --force one two");
    site.docker("network rm island");
    site.assert_nothing_left();
}

#[test]
fn a_gateway_is_there_only_if_the_user_says_so() {
    let site = Site::new();
    let outside = site.lab.outside().address();
    site.docker(&format!("network create {WIRE} -o parent=eth0 --gateway {outside} lan"));
    container(&site.host, "one", "lan", "198.51.100.201");
    let routes = site.in_container("one", "ip route");
    assert!(routes.contains(&format!("default via {outside}")), "{routes}");
    site.docker("rm --force one");
    site.docker("network rm lan");

    site.docker(&format!("network create {WIRE} -o parent=eth0 --internal lan"));
    container(&site.host, "one", "lan", "198.51.100.201");
    let routes = site.in_container("one", "ip route");
    assert!(!routes.contains("default"), "on an internal network: {routes}");
    site.docker("rm --force one");
    site.docker("network rm lan");
    site.assert_nothing_left();
}

#[test]
fn wrong_options_and_parents_are_refused_with_a_sentence() {
    let site = Site::prepared(&[], |host| {
        host.sh("ip link add other0 type veth peer name other1");
    });
    let before = site.host.netns_state();
    for (options, sentence) in [
        ("-o parent=nowhere0", "there is no link nowhere0"),
        ("-o parent=lo", "has no wire"),
        ("-o parent=eth0 -o com.docker.network.driver.mtu=9000", "use 1500 or less"),
        ("-o parent=eth0 -o macvlan_mode=fast", "must be bridge, private, vepa or passthru"),
        ("-o parent=eth0 -o speed=1", "option speed is not known; known are parent"),
        ("-o parent=eth0 -o wasmnet.host_access=maybe", "must be true or false"),
        ("-o wasmnet.host_access=true", "needs a parent"),
        (
            "-o parent=eth0 -o macvlan_mode=vepa -o wasmnet.host_access=true",
            "needs macvlan_mode=bridge",
        ),
    ] {
        let refused = site.try_docker(&format!("network create {WIRE} {options} bad"));
        assert!(refused.stderr.contains(sentence), "{options}: {refused}");
    }
    site.assert_nothing_left();
    assert_same_state(&before, &site.host.netns_state());
}

#[test]
fn a_parent_that_is_not_granted_is_denied_with_the_grant_that_would_do() {
    let lab = wasmnet_lab::Lab::new();
    let host = lab.host("a");
    let _engine = host.start_engine();
    let config = "[[driver]]\nname = \"wasm-macvlan\"\n[driver.grants]\nlinks = [\"macvlan\"]\nparents = [\"lan*\"]\n";
    let config = host.put("config.toml", config);
    let _daemon = Daemon::start_with(&host, &["--config", config.to_str().unwrap()]);
    let create = format!("network create {WIRE} -o parent=eth0 lan");
    let denied = host.try_docker(&create.split_whitespace().collect::<Vec<_>>());
    assert!(denied.stderr.contains("denied-parent"), "{denied}");
    let explained = host.run(&[&binary(), "explain", "denied-parent"]);
    assert!(explained.contains("parents = "), "{explained}");
}
