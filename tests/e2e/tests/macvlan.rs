//! Containers on the wire of the host's uplink.

/// Host and containers that reach each other.
mod access;
/// Several hosts, and who reaches whom in which mode.
mod hosts;
/// Parents that come and go, VLANs, and kernels without.
mod parents;

use wasmnet_e2e::{Daemon, Site, binary};
use wasmnet_lab::{Host, assert_same_state};

const WIRE: &str = "--subnet 198.51.100.0/24";

/// A container that does nothing, on the network `lan`.
fn container(host: &Host, name: &str, network: &str, ip: &str) {
    let command = format!(
        "run --detach --name {name} --stop-signal KILL --network {network} --ip {ip} busybox sleep 3600"
    );
    host.docker(&command.split_whitespace().collect::<Vec<_>>());
}

/// Makes a network with these options.
fn network(host: &Host, options: &str) {
    let command = format!("network create --driver wasm-macvlan {options}");
    host.docker(&command.split_whitespace().collect::<Vec<_>>());
}

fn pings(host: &Host, target: &str) -> bool {
    host.try_run(&["ping", "-c", "1", "-W", "1", target]).success()
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
    site.docker(&format!(
        "network create --driver wasm-macvlan {WIRE} -o parent=eth0 --gateway {outside} lan"
    ));
    container(&site.host, "one", "lan", "198.51.100.201");
    let routes = site.in_container("one", "ip route");
    assert!(routes.contains(&format!("default via {outside}")), "{routes}");
    site.docker("rm --force one");
    site.docker("network rm lan");

    site.docker(&format!(
        "network create --driver wasm-macvlan {WIRE} -o parent=eth0 --internal lan"
    ));
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
        ("-o parent=eth0 -o mode=fast", "passthru, ipvlan-l2, ipvlan-l3 or ipvlan-l3s"),
        ("-o parent=nowhere0.50", "there is no link nowhere0"),
        ("-o parent=eth0 -o macvlan_mode=fast", "must be bridge, private, vepa or passthru"),
        ("-o parent=eth0 -o speed=1", "option speed is not known; known are parent"),
        ("-o parent=eth0 -o wasmnet.host_access=maybe", "must be true or false"),
        ("-o wasmnet.host_access=true", "needs a parent"),
        (
            "-o parent=eth0 -o macvlan_mode=vepa -o wasmnet.host_access=true",
            "needs macvlan_mode=bridge",
        ),
    ] {
        let refused =
            site.try_docker(&format!("network create --driver wasm-macvlan {WIRE} {options} bad"));
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
    let create = format!("network create --driver wasm-macvlan {WIRE} -o parent=eth0 lan");
    let denied = host.try_docker(&create.split_whitespace().collect::<Vec<_>>());
    assert!(denied.stderr.contains("denied-parent"), "{denied}");
    let explained = host.run(&[&binary(), "explain", "denied-parent"]);
    assert!(explained.contains("parents = "), "{explained}");
}
