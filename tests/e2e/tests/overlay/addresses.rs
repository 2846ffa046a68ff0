use wasmnet_e2e::{Site, Sites};
use wasmnet_lab::{Turn, wait_for};

use super::{PATIENCE, assert_all_reach_all};

/// Makes the network; the first host says what its subnet is.
fn network(site: &Site, subnet: &str) {
    site.docker(&format!(
        "network create --driver wasm-overlay {subnet} --ipam-driver wasm-ipam \
         --ipam-opt cluster=blue blue"
    ));
}

#[test]
fn hosts_that_share_a_pool_need_no_ranges() {
    let _turn = Turn::of_many_neighbours();
    let mut cluster = Sites::new(3, 1);
    for (number, site) in cluster.sites.iter().enumerate() {
        network(site, if number == 0 { "--subnet 10.58.0.0/24" } else { "" });
        let subnet = "{{(index .IPAM.Config 0).Subnet}}";
        let subnet = site.host.docker(&["network", "inspect", "--format", subnet, "blue"]);
        assert_eq!(subnet.trim(), "10.58.0.0/24");
    }
    assert_all_reach_all(&cluster);

    // An engine that is started anew asks for the network's pool and gateway once more.
    cluster.sites[1].engine.kill();
    cluster.sites[1].engine.start();
    let [_, b, c] = cluster.first();
    b.docker("start c0");
    let to = b.address("c0", "blue");
    // It is another address than before: the others still have that one's Ethernet address.
    wait_for("the container on b to answer", PATIENCE, || {
        if c.pings("c0", &to) { Ok(()) } else { Err(to.clone()) }
    });

    // The last host that deletes the network takes the pool along.
    for site in &cluster.sites {
        site.docker(&format!("rm --force {}", site.docker("ps --all --quiet")));
        site.docker("network rm blue");
    }
    wait_for("the pool to be forgotten", PATIENCE, || {
        let left = cluster.etcd.keys("/wasmnet/agreed/wasm-ipam/");
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
}
