use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::json;
use wasmnet_e2e::{Bench, Plugin, Site};
use wasmnet_lab::wait_for;

use super::{IPAM, given, pool, request_address};

/// How long something may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(30);
const CONTAINERS: usize = 20;

/// The addresses that the driver says are held by endpoints.
fn held(site: &Site) -> BTreeSet<String> {
    let pools = site.daemon.json(&["ipam", "ls"]);
    let pools = pools.as_array().unwrap();
    let leases = pools.iter().flat_map(|pool| pool["leases"].as_array().unwrap());
    leases
        .filter(|lease| lease["state"] == "held" && lease["purpose"] == "endpoint")
        .map(|lease| lease["address"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn an_engine_killed_with_twenty_containers_loses_no_address_and_doubles_none() {
    let mut site = Site::new();
    let subnets = [("wasm-bridge", "10.70.0.0/24"), ("bridge", "10.71.0.0/24 --ipam-opt rest=3")];
    for (driver, subnet) in subnets {
        site.docker(&format!(
            "network create --driver {driver} --ipam-driver wasm-ipam --subnet {subnet} {driver}-net"
        ));
    }
    let names: Vec<String> = (0..CONTAINERS).map(|number| format!("c{number}")).collect();
    let network = |number: usize| format!("{}-net", subnets[number % 2].0);
    for (number, name) in names.iter().enumerate() {
        site.container(name, &format!("--network {}", network(number)));
    }
    let addresses = |site: &Site| -> BTreeSet<String> {
        let address = |(number, name): (usize, &String)| site.address(name, &network(number));
        names.iter().enumerate().map(address).collect()
    };
    assert_eq!(addresses(&site).len(), CONTAINERS);
    assert_eq!(held(&site), addresses(&site));

    site.engine.kill();
    site.engine.start();
    // It has ended the containers, and gives back what they had.
    wait_for("the engine to give back what it had", PATIENCE, || {
        let held = held(&site);
        if held.is_empty() { Ok(()) } else { Err(format!("{held:?}")) }
    });
    let log = site.engine.log();
    for refused in ["Failed to allocate ipam pool", "Failed to reserve current address"] {
        assert!(!log.contains(refused), "the replay was not answered as before:\n{log}");
    }
    for name in &names {
        site.docker(&format!("start {name}"));
    }
    let after = addresses(&site);
    assert_eq!(after.len(), CONTAINERS, "an address was given twice: {after:?}");
    assert_eq!(held(&site), after, "what is held is not what containers have");
    site.assert_pings("c0", &site.address("c18", &network(18)));
    site.assert_pings("c1", &site.address("c19", &network(19)));

    for (driver, subnet) in subnets {
        let again = site.try_docker(&format!(
            "network create --driver {driver} --ipam-driver wasm-ipam --subnet {subnet} again"
        ));
        assert!(!again.success(), "{subnet} was given twice: {again}");
    }
    site.docker(&format!("rm --force {}", names.join(" ")));
    site.docker("network rm wasm-bridge-net bridge-net");
    site.assert_nothing_left();
}

#[test]
fn a_daemon_killed_among_requests_gives_no_address_twice() {
    let mut bench = Bench::new(&[]);
    let pool = pool(&mut bench.plugin(IPAM), "10.70.0.0/24");
    let body = json!({ "PoolID": pool, "Address": "", "Options": null });
    let answers = Mutex::new(Vec::new());
    let host = bench.host.clone();
    for _ in 0..3 {
        let stop = AtomicBool::new(false);
        let before = answers.lock().unwrap().len();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mut plugin = Plugin::connect(&host, IPAM);
                    while !stop.load(Ordering::Relaxed) {
                        let Some(reply) = plugin.try_call("IpamDriver.RequestAddress", &body)
                        else {
                            return;
                        };
                        answers.lock().unwrap().push(given(&reply));
                    }
                });
            }
            wait_for("some answers", PATIENCE, || answers.lock().unwrap().len() > before + 20);
            bench.daemon.kill();
            stop.store(true, Ordering::Relaxed);
        });
        bench.daemon.start_again();
    }
    let mut plugin = bench.plugin(IPAM);
    let mut answers = answers.into_inner().unwrap();
    // The rest of them; those whose answers were lost are the doctor's.
    loop {
        let reply = request_address(&mut plugin, &pool, "");
        if reply.status != 200 {
            assert!(reply.error().contains("no available IPv4 addresses"), "{reply:?}");
            break;
        }
        answers.push(given(&reply));
    }
    let different: BTreeSet<&String> = answers.iter().collect();
    assert_eq!(different.len(), answers.len(), "an address was given twice: {answers:?}");
    assert!(answers.len() >= 254 - 3 * 8, "{} addresses are lost", 254 - answers.len());
}

#[test]
fn when_all_books_are_lost_the_engines_replay_writes_new_ones() {
    let mut site = Site::new();
    let create = "network create --driver bridge --ipam-driver wasm-ipam";
    site.docker(&format!("{create} --subnet 10.70.0.0/24 --ip-range 10.70.0.128/25 net1"));
    site.container("one", "--network net1");
    let address = site.address("one", "net1");
    site.daemon.stop();
    let state = site.host.path_in_data_dir("state");
    site.host.run(&["rm", "-r", state.to_str().unwrap()]);
    site.daemon.start_again();
    assert_eq!(site.daemon.json(&["ipam", "ls"]), json!([]));

    site.engine.kill();
    site.engine.start();
    let pools = site.daemon.json(&["ipam", "ls"]);
    assert_eq!(pools[0]["id"], "wasm-local/10.70.0.0/24/10.70.0.128/25", "{pools}");
    site.docker("start one");
    // Its first address, of which the engine gave back the lease, rests.
    assert_ne!(site.address("one", "net1"), address);
    let again = site.try_docker(&format!("{create} --subnet 10.70.0.0/24 net2"));
    assert!(!again.success(), "the subnet was given twice: {again}");
    site.docker("rm --force one");
    site.docker("network rm net1");
    site.assert_nothing_left();
}
