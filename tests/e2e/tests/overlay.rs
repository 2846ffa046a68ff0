//! One network on several hosts, each with an engine of its own.

/// Addresses that the hosts agree on.
mod addresses;
/// The store or a host is away, and back.
mod faults;
/// What users ask for, and what is refused.
mod options;
/// Many endpoints, and many at once.
mod scale;
/// What operators see of it: inspect and doctor.
mod seen;
/// Frames that do not go by the bridge.
mod shortcuts;
/// Out of the network, and into it.
mod ways_out;

use std::{collections::BTreeSet, thread, time::Duration};

use wasmnet_e2e::{Site, Sites};
use wasmnet_lab::{Turn, assert_same_state, wait_for};

/// Sends 200 kB to whoever connects.
const SERVE: &str = "nc -ll -p 7 -e head -c 200000 /dev/zero";

/// How long something may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(15);
/// The containers of each host.
const EACH: usize = 10;

/// Starts containers that serve data, `EACH` on each host, all hosts at once.
fn fill(cluster: &Sites) -> Vec<String> {
    thread::scope(|scope| {
        for site in &cluster.sites {
            scope.spawn(move || {
                for number in 0..EACH {
                    let name = format!("c{number}");
                    site.docker(&format!(
                        "run --detach --name {name} --stop-signal KILL --network blue busybox {SERVE}"
                    ));
                }
            });
        }
    });
    let addresses = |site: &Site| {
        (0..EACH).map(|number| site.address(&format!("c{number}"), "blue")).collect::<Vec<_>>()
    };
    cluster.sites.iter().flat_map(addresses).collect()
}

/// Fills the hosts, and fails the test unless each container gets data from each. Takes a
/// [`Turn::of_many_neighbours`].
fn assert_all_reach_all(cluster: &Sites) {
    let addresses = fill(cluster);
    let different: BTreeSet<&String> = addresses.iter().collect();
    assert_eq!(different.len(), cluster.sites.len() * EACH, "{addresses:?}");
    cluster.wait_converged();
    let all = addresses.join(" ");
    let script = format!(
        "for to in {all}; do
            ping -q -c 1 -W 5 $to >/dev/null || echo no ping: $to
            got=$(nc -w 5 $to 7 </dev/null | wc -c)
            [ $got = 200000 ] || echo $got bytes: $to
        done"
    );
    thread::scope(|scope| {
        for site in &cluster.sites {
            let script = &script;
            scope.spawn(move || {
                for number in 0..EACH {
                    let failed = site.in_container(&format!("c{number}"), script);
                    assert_eq!(failed, "", "c{number} on {}", site.host.name());
                }
            });
        }
    });
}

#[test]
fn containers_of_three_hosts_reach_each_other() {
    let _turn = Turn::of_many_neighbours();
    let cluster = Sites::new(3, 1);
    cluster.network("blue", 50, "");
    assert_all_reach_all(&cluster);
}

#[test]
fn networks_with_the_same_subnet_are_kept_apart() {
    let cluster = Sites::new(3, 1);
    let [a, b, c] = cluster.first();
    a.overlay("net", 51, 0, "-o wasmnet.overlay.id=blue");
    b.overlay("net", 51, 1, "-o wasmnet.overlay.id=blue");
    c.overlay("net", 51, 1, "-o wasmnet.overlay.id=green");
    a.container("one", "--network net");
    // The same address and the same Ethernet address, on two networks.
    b.container("two", "--network net --ip 10.51.0.70");
    c.container("three", "--network net --ip 10.51.0.70");
    a.wait_neighbours(&b.overlay_endpoints());
    b.wait_neighbours(&a.overlay_endpoints());
    c.wait_neighbours(&Default::default());
    a.assert_pings("one", "10.51.0.70");
    c.assert_silent("three", &a.address("one", "net"), "from another network");
    b.docker("rm --force two");
    a.wait_neighbours(&Default::default());
    a.assert_silent("one", "10.51.0.70", "though it is on another network");
    let vnis = |site: &Site| site.host.sh("ip -d link show type vxlan | grep -o 'vxlan id [0-9]*'");
    assert_eq!(vnis(a), vnis(b));
    assert_ne!(vnis(a), vnis(c));
}

#[test]
fn all_of_it_goes_with_the_last_host() {
    let cluster = Sites::new(2, 1);
    let [a, b] = cluster.first();
    for site in [a, b] {
        // The engine makes it when it needs it, and keeps it.
        site.docker(
            "network create -o com.docker.network.bridge.name=docker_gwbridge docker_gwbridge",
        );
    }
    let before = [a.host.netns_state(), b.host.netns_state()];
    cluster.network("blue", 52, "");
    a.container("one", "--network blue");
    b.container("two", "--network blue");
    cluster.wait_converged();
    a.assert_pings("one", &b.address("two", "blue"));
    a.docker("network disconnect blue one");
    b.wait_neighbours(&Default::default());
    a.docker("network connect blue one");
    cluster.wait_converged();
    b.assert_pings("two", &a.address("one", "blue"));
    a.docker("rm --force one");
    a.docker("network rm blue");
    a.assert_nothing_left();
    b.wait_neighbours(&Default::default());
    b.assert_silent("two", "10.52.0.2", "though its host has left the network");
    b.docker("rm --force two");
    b.docker("network rm blue");
    b.assert_nothing_left();
    for (site, before) in [a, b].iter().zip(before) {
        // The kernel takes its time to see that a bridge has lost its last port.
        wait_for("the host to be as before", PATIENCE, || {
            if site.host.netns_state() == before { Ok(()) } else { Err("it is not") }
        });
        assert_same_state(&before, &site.host.netns_state());
    }
    assert_eq!(cluster.left_in_etcd(), [""; 0]);
}
