use std::{collections::BTreeSet, thread};

use serde_json::{Value, json};
use wasmnet_e2e::{Bench, Plugin};

use super::{IPAM, given, pool, release_address, request_address, request_pool};

const OVERLAP: &str = "wasm-ipam: Pool overlaps with other one on this address space";

#[test]
fn it_is_an_ipam_driver_with_dockers_two_address_spaces() {
    let bench = Bench::new(&[]);
    let mut plugin = bench.plugin(IPAM);
    assert_eq!(plugin.ask("Plugin.Activate").ok()["Implements"], json!(["IpamDriver"]));
    let capabilities = plugin.ask("IpamDriver.GetCapabilities").ok();
    assert_eq!(capabilities["RequiresMACAddress"], true);
    assert_eq!(capabilities["RequiresRequestReplay"], true);
    let spaces = plugin.ask("IpamDriver.GetDefaultAddressSpaces").ok();
    assert_eq!(spaces["LocalDefaultAddressSpace"], "wasm-local");
    assert_eq!(spaces["GlobalDefaultAddressSpace"], "wasm-global");
}

#[test]
fn sixty_four_clients_get_an_address_each() {
    let bench = Bench::new(&[]);
    let pool = pool(&mut bench.plugin(IPAM), "10.70.0.0/24");
    let addresses: Vec<String> = thread::scope(|scope| {
        let client = || {
            let mut plugin = bench.plugin(IPAM);
            let mut ask = || given(&request_address(&mut plugin, &pool, ""));
            [ask(), ask(), ask()]
        };
        let clients: Vec<_> = (0..64).map(|_| scope.spawn(client)).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let different: BTreeSet<&String> = addresses.iter().collect();
    assert_eq!(different.len(), 3 * 64, "an address was given twice: {addresses:?}");
}

#[test]
fn a_full_subnet_says_so_as_docker_does_and_is_usable_again() {
    let bench = Bench::new(&[]);
    let mut plugin = bench.plugin(IPAM);
    let pool = pool(&mut plugin, "10.70.0.0/28");
    for last in 1..=14 {
        assert_eq!(given(&request_address(&mut plugin, &pool, "")), format!("10.70.0.{last}"));
    }
    let full = request_address(&mut plugin, &pool, "").error();
    assert_eq!(
        full,
        "wasm-ipam: no available IPv4 addresses on this network's address pools: 10.70.0.0/28 \
         (wasm-local/10.70.0.0/28)"
    );
    let taken = request_address(&mut plugin, &pool, "10.70.0.7").error();
    assert_eq!(taken, "wasm-ipam: Address already in use");
    release_address(&mut plugin, &pool, "10.70.0.7").ok();
    assert_eq!(given(&request_address(&mut plugin, &pool, "")), "10.70.0.7");
}

#[test]
fn networks_share_a_subnet_by_ranges() {
    let bench = Bench::new(&[]);
    let mut plugin = bench.plugin(IPAM);
    let mut range = |range: &str| {
        let answer = request_pool(&mut plugin, "10.70.0.0/16", range, &Value::Null).ok();
        answer["PoolID"].as_str().unwrap().to_owned()
    };
    let (one, two) = (range("10.70.1.0/24"), range("10.70.2.0/24"));
    assert_eq!(request_address(&mut plugin, &one, "").ok()["Address"], "10.70.1.0/16");
    assert_eq!(request_address(&mut plugin, &two, "").ok()["Address"], "10.70.2.0/16");
    request_address(&mut plugin, &one, "10.70.2.1").ok();
    request_address(&mut plugin, &two, "10.70.2.1").error();
    let whole = request_pool(&mut plugin, "10.70.0.0/16", "", &Value::Null).error();
    assert_eq!(whole, OVERLAP);
}

#[test]
fn an_engine_that_begins_anew_repeats_itself_and_others_do_not() {
    let mut bench = Bench::new(&[]);
    let mut plugin = bench.plugin(IPAM);
    plugin.ask("Plugin.Activate").ok();
    let pool = pool(&mut plugin, "10.70.0.0/24");
    request_address(&mut plugin, &pool, "10.70.0.9").ok();
    let again = |plugin: &mut Plugin| request_pool(plugin, "10.70.0.0/24", "", &Value::Null);
    assert_eq!(again(&mut plugin).error(), OVERLAP);

    // The daemon's end is not the engine's.
    bench.daemon.kill();
    bench.daemon.start_again();
    let mut plugin = bench.plugin(IPAM);
    assert_eq!(again(&mut plugin).error(), OVERLAP);
    request_address(&mut plugin, &pool, "10.70.0.9").error();

    plugin.ask("Plugin.Activate").ok();
    bench.daemon.kill();
    bench.daemon.start_again();
    let mut plugin = bench.plugin(IPAM);
    assert_eq!(again(&mut plugin).ok()["PoolID"], pool.as_str());
    assert_eq!(given(&request_address(&mut plugin, &pool, "10.70.0.9")), "10.70.0.9");
    assert_eq!(again(&mut plugin).error(), OVERLAP);
    request_address(&mut plugin, &pool, "10.70.0.9").error();
}
