//! One network on several hosts, each with an engine of its own.

use std::thread;

use wasmnet_e2e::{Site, Sites};

/// Sends 200 kB to whoever connects.
const SERVE: &str = "nc -ll -p 7 -e head -c 200000 /dev/zero";

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

#[test]
fn containers_of_three_hosts_reach_each_other() {
    let cluster = Sites::new(3, 1);
    cluster.network("blue", 50, "");
    let addresses = fill(&cluster);
    assert_eq!(addresses.len(), 3 * EACH);
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
