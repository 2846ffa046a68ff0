use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use wasmnet_e2e::{Node, Nodes, Plugin, Reply};
use wasmnet_lab::{Lab, wait_for};

use super::{IPAM, given, release_address, request_address, request_pool};

/// How long something may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a host may be gone until its blocks are others', in seconds.
const GRACE: u64 = 5;
const SUBNET: &str = "10.90.0.0/24";
const POOL: &str = "wasm-local/10.90.0.0/24";
/// What the keys of the driver's agreed values begin with in the store.
const AGREED: &str = "/wasmnet/agreed/wasm-ipam/";

fn options() -> Value {
    json!({ "cluster": "blue", "grace": GRACE.to_string(), "rest": "0" })
}

fn ipam(node: &Node) -> Plugin {
    Plugin::connect(&node.host, IPAM)
}

/// The pool on a node; the first names the subnet.
fn join(node: &Node, subnet: &str) {
    let body = json!({
        "AddressSpace": "wasm-local", "Pool": subnet, "SubPool": "", "Options": options(), "V6": false,
    });
    let pool = ipam(node).call("IpamDriver.RequestPool", &body).ok();
    assert_eq!((&pool["PoolID"], &pool["Pool"]), (&json!(POOL), &json!(SUBNET)));
}

fn join_all(cluster: &Nodes) {
    for (number, node) in cluster.nodes.iter().enumerate() {
        join(node, if number == 0 { SUBNET } else { "" });
    }
}

fn any(node: &Node) -> Reply {
    request_address(&mut ipam(node), POOL, "")
}

/// Asks for an address for a container.
fn named(node: &Node, address: &str) -> Reply {
    let body = json!({
        "PoolID": POOL, "Address": address,
        "Options": { "com.docker.network.endpoint.macaddress": "02:00:00:00:00:07" },
    });
    ipam(node).call("IpamDriver.RequestAddress", &body)
}

fn shared(node: &Node) -> Value {
    node.daemon.json(&["ipam", "ls"])[0]["shared"].clone()
}

/// Waits for an address of a node whose daemon has just been started, or whose store is back.
fn wait_any(node: &Node) -> String {
    wait_for("an address", PATIENCE, || {
        let reply = any(node);
        if reply.status == 200 { Ok(given(&reply)) } else { Err(reply.text) }
    })
}

/// What the hosts have agreed on, keys as the driver knows them.
fn agreed(cluster: &Nodes) -> Vec<String> {
    let keys = cluster.etcd.keys(AGREED);
    keys.iter().filter_map(|key| key.strip_prefix(AGREED)).map(str::to_owned).collect()
}

fn wait_agreed(cluster: &Nodes, what: &str, is: impl Fn(&[String]) -> bool) {
    wait_for(what, PATIENCE, || {
        let keys = agreed(cluster);
        if is(&keys) { Ok(()) } else { Err(format!("{keys:?}")) }
    });
}

#[test]
fn three_hosts_give_no_address_twice_whoever_is_killed() {
    let mut cluster = Nodes::new(3, 1);
    join_all(&cluster);
    let taken = Mutex::new(Vec::new());
    for killed in 0..3 {
        let stop = AtomicBool::new(false);
        let hosts: Vec<_> = cluster.nodes.iter().map(|node| node.host.clone()).collect();
        let before = taken.lock().unwrap().len();
        thread::scope(|scope| {
            for host in hosts.iter().flat_map(|host| [host, host]) {
                let (stop, taken) = (&stop, &taken);
                scope.spawn(move || {
                    let mut plugin = Plugin::connect(host, IPAM);
                    let body = json!({ "PoolID": POOL, "Address": "", "Options": null });
                    while !stop.load(Ordering::Relaxed) {
                        match plugin.try_call("IpamDriver.RequestAddress", &body) {
                            Some(reply) if reply.status == 200 => {
                                taken.lock().unwrap().push(given(&reply));
                            }
                            // The pool is full, or the daemon dead.
                            _ => return,
                        }
                    }
                });
            }
            let some = || taken.lock().unwrap().len() >= before + 30;
            wait_for("some addresses", PATIENCE, some);
            cluster.nodes[killed].daemon.kill();
            stop.store(true, Ordering::Relaxed);
        });
        cluster.nodes[killed].daemon.start_again();
    }
    let mut taken = taken.into_inner().unwrap();
    for node in &cluster.nodes {
        taken.push(wait_any(node));
        loop {
            let reply = any(node);
            if reply.status != 200 {
                let says = reply.error();
                assert!(says.contains("blocks of shared pool \"blue\""), "{says}");
                break;
            }
            taken.push(given(&reply));
        }
    }
    let different: BTreeSet<&String> = taken.iter().collect();
    assert_eq!(different.len(), taken.len(), "an address was given twice: {taken:?}");
    assert!(!different.contains(&"10.90.0.1".to_owned()), "the gateway's");
    // Answers that were lost are the doctor's.
    assert!(taken.len() >= 253 - 3 * 2, "{} addresses are lost", 253 - taken.len());
}

#[test]
fn the_gateway_is_the_same_and_the_last_to_leave_forgets_the_pool() {
    let mut cluster = Nodes::new(3, 1);
    join_all(&cluster);
    for node in &cluster.nodes {
        let body = json!({
            "PoolID": POOL, "Address": "",
            "Options": { "RequestAddressType": "com.docker.network.gateway" },
        });
        let reply = ipam(node).call("IpamDriver.RequestAddress", &body);
        assert_eq!(given(&reply), "10.90.0.1");
        // An auxiliary address.
        assert_eq!(given(&request_address(&mut ipam(node), POOL, "10.90.0.99")), "10.90.0.99");
    }
    let other = request_pool(&mut ipam(&cluster.nodes[0]), "10.91.0.0/24", "", &options()).error();
    assert!(other.contains("has subnet 10.90.0.0/24 on the other hosts"), "{other}");
    let text = cluster.nodes[1].host.run(&[&wasmnet_e2e::binary(), "ipam", "ls"]);
    assert!(text.contains("SHARED") && text.contains("10.90.0.16/28"), "{text}");

    let leave = |node: &Node| {
        ipam(node).call("IpamDriver.ReleasePool", &json!({ "PoolID": POOL })).ok();
    };
    leave(&cluster.nodes[0]);
    leave(&cluster.nodes[1]);
    wait_for("the others to be alone", PATIENCE, || {
        let shared = shared(&cluster.nodes[2]);
        if shared["others"] == 0 { Ok(()) } else { Err(shared.to_string()) }
    });
    assert!(!agreed(&cluster).is_empty());
    // The last leaves when the store is away, and is killed.
    cluster.etcd.kill(0);
    leave(&cluster.nodes[2]);
    cluster.nodes[2].daemon.kill();
    cluster.nodes[2].daemon.start_again();
    cluster.etcd.start(0);
    wait_agreed(&cluster, "the pool to be forgotten", <[String]>::is_empty);
    // Another may have the name.
    let pool = request_pool(&mut ipam(&cluster.nodes[0]), "10.91.0.0/24", "", &options());
    assert_eq!(pool.ok()["PoolID"], "wasm-local/10.91.0.0/24");
}

#[test]
fn with_the_store_away_addresses_of_own_blocks_are_given() {
    let mut cluster = Nodes::new(2, 1);
    join_all(&cluster);
    let first = given(&any(&cluster.nodes[1]));
    assert_eq!(first, "10.90.0.16");
    cluster.etcd.kill(0);
    let [one, other] = &cluster.nodes[..] else { panic!("two nodes") };
    let began = Instant::now();
    for last in 17..20 {
        assert_eq!(given(&any(other)), format!("10.90.0.{last}"));
    }
    assert!(began.elapsed() < Duration::from_secs(2), "each waited: {:?}", began.elapsed());
    release_address(&mut ipam(other), POOL, "10.90.0.17").ok();
    assert_eq!(given(&any(other)), "10.90.0.17");
    let error = named(other, "10.90.0.77").error();
    assert!(error.contains("the cluster store cannot be reached"), "{error}");
    // To the end of the block, or of the time after which others may have it.
    let end = wait_for("an end", PATIENCE, || {
        let reply = any(one);
        if reply.status == 200 { Err(reply.text) } else { Ok(reply.error()) }
    });
    assert!(end.contains("the cluster store c"), "{end}");
    cluster.etcd.start(0);
    wait_any(&cluster.nodes[0]);
    wait_any(&cluster.nodes[1]);
}

#[test]
fn a_dead_hosts_blocks_are_taken_over_after_the_grace() {
    let mut cluster = Nodes::new(2, 1);
    join_all(&cluster);
    let theirs = given(&any(&cluster.nodes[1]));
    assert_eq!(theirs, "10.90.0.16");
    let mut own = BTreeSet::new();
    loop {
        let reply = any(&cluster.nodes[0]);
        if reply.status != 200 {
            assert!(reply.error().contains("other hosts have 1 of the 16 blocks"), "{reply:?}");
            break;
        }
        own.insert(given(&reply));
    }
    cluster.nodes[1].daemon.kill();
    let killed = Instant::now();
    let taken = wait_any(&cluster.nodes[0]);
    let took = killed.elapsed();
    assert!(took >= Duration::from_secs(GRACE), "taken over after {took:?}");
    assert_eq!(taken, "10.90.0.16", "the dead host's containers are dead with it");
    assert!(!own.contains(&taken));

    cluster.nodes[1].daemon.start_again();
    wait_for("the host that is back to say so", PATIENCE, || {
        let log = cluster.nodes[1].daemon.log();
        if log.contains("was taken over while this host was away") {
            Ok(())
        } else {
            Err("no word")
        }
    });
    let none = any(&cluster.nodes[1]).error();
    assert!(none.contains("other hosts have 16 of the 16 blocks"), "{none}");
    // What its containers have is in its books.
    let pools = cluster.nodes[1].daemon.json(&["ipam", "ls"]);
    assert_eq!(pools[0]["leases"][0]["address"], "10.90.0.16", "{pools}");
    // And when there is room again it has some.
    for last in 32..48 {
        release_address(&mut ipam(&cluster.nodes[0]), POOL, &format!("10.90.0.{last}")).ok();
    }
    release_address(&mut ipam(&cluster.nodes[0]), POOL, "10.90.0.200").ok();
    for last in 192..208 {
        release_address(&mut ipam(&cluster.nodes[0]), POOL, &format!("10.90.0.{last}")).ok();
    }
    let again = wait_any(&cluster.nodes[1]);
    assert!(again.starts_with("10.90.0."), "{again}");
}

#[test]
fn one_address_is_had_from_the_host_that_has_its_block() {
    let mut cluster = Nodes::new(2, 1);
    join_all(&cluster);
    let [one, other] = &cluster.nodes[..] else { panic!("two nodes") };
    assert_eq!(given(&any(one)), "10.90.0.2");
    let began = Instant::now();
    assert_eq!(given(&named(other, "10.90.0.9")), "10.90.0.9");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    for address in ["10.90.0.2", "10.90.0.1"] {
        let taken = named(other, address).error();
        assert!(taken.contains("Address already in use"), "{taken}");
    }
    let taken = named(one, "10.90.0.9").error();
    assert!(taken.contains("Address already in use"), "{taken}");
    // One of a block that nobody has comes with the block.
    named(other, "10.90.0.77").ok();
    wait_for("the empty block to go back", PATIENCE, || {
        let blocks = shared(other)["blocks"].clone();
        if blocks == json!(["10.90.0.64/28"]) { Ok(()) } else { Err(blocks.to_string()) }
    });
    // It comes back to who had it.
    release_address(&mut ipam(other), POOL, "10.90.0.9").ok();
    wait_for("the address to be free again", PATIENCE, || {
        let reply = named(one, "10.90.0.9");
        if reply.status == 200 { Ok(()) } else { Err(reply.text) }
    });
    cluster.nodes[0].daemon.kill();
    let silent = named(&cluster.nodes[1], "10.90.0.11").error();
    assert!(
        silent.contains("10.90.0.11 is in a block of another host, which does not"),
        "{silent}"
    );
}

#[test]
fn what_a_daemon_did_not_get_into_its_books_goes_back() {
    let mut cluster = Nodes::new(2, 1);
    join_all(&cluster);
    assert_eq!(given(&any(&cluster.nodes[0])), "10.90.0.2");
    let keys = agreed(&cluster);
    // The first host's claim of the first block: "block/GENERATION/0", "own/GENERATION/NODE/0".
    let block = keys.iter().find(|key| key.starts_with("block/") && key.ends_with("/0")).unwrap();
    let own = keys.iter().find(|key| key.starts_with("own/") && key.ends_with("/0")).unwrap();
    let [_, generation, node, _] = own.split('/').collect::<Vec<_>>()[..] else { panic!("{own}") };
    let claim = cluster.etcd.value(&format!("{AGREED}{block}")).unwrap();
    cluster.nodes[0].daemon.kill();
    // As if it had been killed in three calls: when it had claimed a block, when it was about
    // to, and when it had joined a pool.
    let put = |key: &str, value: &[u8]| cluster.etcd.put(&format!("{AGREED}{key}"), value);
    let claimed = format!("own/{generation}/{node}/d");
    put(&claimed, b"");
    put(&format!("block/{generation}/d"), &claim);
    put(&format!("own/{generation}/{node}/e"), b"");
    put("pool/red/4", b"subnet=10.91.0.0/24\nblock-bits=4\ngrace=5\ngeneration=feed\njoins=1\n");
    put(&format!("member/red/4/{node}"), b"1");
    put(&format!("own/feed/{node}/0"), b"");
    put("block/feed/0", &claim);
    cluster.nodes[0].daemon.start_again();
    wait_agreed(&cluster, "the store to be as before", |now| now == keys);
    assert_eq!(given(&any(&cluster.nodes[0])), "10.90.0.3");
}

#[test]
fn one_host_alone_shares_with_itself() {
    let lab = Lab::new();
    let mut node = Node::with_config(lab.host("n0"), "");
    join(&node, SUBNET);
    assert_eq!(given(&any(&node)), "10.90.0.2");
    node.daemon.kill();
    node.daemon.start_again();
    assert_eq!(given(&any(&node)), "10.90.0.3");
    named(&node, "10.90.0.200").ok();
    ipam(&node).call("IpamDriver.ReleasePool", &json!({ "PoolID": POOL })).ok();
    join(&node, SUBNET);
    assert_eq!(given(&any(&node)), "10.90.0.2");
}
