use serde_json::Value;
use wasmnet_e2e::{LEASE, Site, Sites};

use crate::doctor::{assert_finds, assert_well};

/// What `wasmnet network inspect` shows of the only network.
fn inspect(site: &Site) -> Value {
    let id = site.docker("network inspect --format {{.Id}} n");
    site.daemon.json(&["network", "inspect", id.trim()])[0].clone()
}

#[test]
fn inspect_shows_peers_identifier_and_remote_endpoints() {
    let cluster = Sites::new(2, 1);
    let [a, b] = cluster.first();
    cluster.network("n", 72, "-o com.docker.network.driver.overlay.vxlanid_list=7007");
    b.container("two", "--network n --ip 10.72.0.100");
    a.wait_neighbours(&b.overlay_endpoints());
    let view = inspect(a);
    let names: Vec<&str> = view["peers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|peer| peer["name"].as_str().unwrap())
        .collect();
    assert!(names.len() == 2 && names.contains(&"a") && names.contains(&"b"), "{view}");
    let vtep = &view["vteps"][0];
    assert_eq!((&vtep["vni"], &vtep["port"]), (&7007.into(), &4789.into()), "{view}");
    assert_eq!(vtep["local"], a.host.address().to_string());
    let remote = view["remote"].as_array().unwrap();
    let two = remote.iter().find(|entry| entry["key"] == "endpoint/10.72.0.100").unwrap();
    assert_eq!(
        (&two["node"], &two["address"]),
        (&"b".into(), &b.host.address().to_string().into())
    );
    let forwarding: Vec<_> = vtep["forwarding"].as_object().unwrap().values().collect();
    assert_eq!(forwarding, [&Value::from(b.host.address().to_string())], "{view}");
}

#[test]
fn the_doctor_sees_what_keeps_hosts_apart() {
    let mut cluster = Sites::new(2, 1);
    {
        let [a, b] = cluster.first();
        cluster.network("n", 73, "");
        a.container("one", "--network n");
        b.container("two", "--network n");
        cluster.wait_converged();
        assert_well(a);
        assert_well(b);

        // Everything that the other sends is lost on the way.
        let block = |rule: &str| {
            b.host.sh(&format!(
                "nft 'add table inet between; add chain inet between input {{ type filter hook input \
                 priority -300; }}; add rule inet between input udp dport 4789 {rule} drop'"
            ));
        };
        let open = || b.host.sh("nft delete table inet between");
        block("");
        assert_finds_in_time(b, "peer", "nothing that host a");
        assert_well(a);
        open();
        // Only what is large.
        block("udp length > 1000");
        assert_finds_in_time(b, "mtu", "large packets from host a");
        open();
        wasmnet_lab::wait_for("all to be well", PATIENCE, || {
            let found = crate::doctor::examine(b, &[]);
            if found.is_empty() { Ok(()) } else { Err(format!("{found:?}")) }
        });
    }
    cluster.etcd.kill(0);
    let [a, _] = cluster.first();
    wasmnet_lab::wait_for("the store to be missed", PATIENCE, || {
        if a.daemon.json(&["status"])["cluster"]["reachable"] == false {
            Ok(())
        } else {
            Err(LEASE)
        }
    });
    assert_finds(a, "cluster", "the cluster store cannot be reached");
}

/// How long it takes until what no longer arrives is missed, and some more.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(90);

fn assert_finds_in_time(site: &Site, kind: &str, says: &str) {
    wasmnet_lab::wait_for(says, PATIENCE, || {
        let found = crate::doctor::examine(site, &[]);
        let hit = found.iter().any(|(is, wrong)| is == kind && wrong.contains(says));
        if hit { Ok(()) } else { Err(format!("{found:?}")) }
    });
}

#[test]
fn another_mtu_on_another_host_is_found() {
    let cluster = Sites::new(2, 1);
    let [a, b] = cluster.first();
    a.overlay("n", 74, 0, "");
    b.overlay("n", 74, 1, "-o com.docker.network.driver.mtu=1300");
    wasmnet_lab::wait_for("the hosts to know each other", PATIENCE, || {
        let view = inspect(a);
        if view["peers"].as_array().unwrap().len() == 2 { Ok(()) } else { Err(view.to_string()) }
    });
    assert_finds(a, "mtu", "has MTU 1450 here and 1300 on host b");
}
