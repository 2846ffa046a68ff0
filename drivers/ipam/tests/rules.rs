use wasmnet_sdk::{LeasePurpose, LeaseState};

use crate::books::{
    Bench, any_pool, bench, of_mac, option, release_address, request_address, request_pool,
    restart_engine, sleep,
};

const OVERLAP: &str = "Pool overlaps with other one on this address space";
const IN_USE: &str = "Address already in use";
const NO_SUBNETS: &str = "all predefined address pools have been fully subnetted";

fn pool(bench: &mut Bench, subnet: &str, range: &str) -> String {
    request_pool(bench, subnet, range, &[]).unwrap().id
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, wasmnet_sdk::Error>, says: &str) {
    assert_eq!(result.unwrap_err().message, says);
}

#[track_caller]
fn gives(bench: &mut Bench, pool: &str, address: &str, expected: &str) {
    assert_eq!(request_address(bench, pool, address).unwrap(), expected);
}

#[test]
fn subnets_do_not_overlap_unless_they_are_one() {
    let mut bench = bench();
    pool(&mut bench, "10.1.0.0/16", "");
    for subnet in ["10.1.0.0/16", "10.1.2.0/24", "10.0.0.0/8"] {
        refused(request_pool(&mut bench, subnet, "", &[]), OVERLAP);
    }
    refused(request_pool(&mut bench, "10.0.0.0/8", "10.5.0.0/16", &[]), OVERLAP);
    pool(&mut bench, "10.2.0.0/16", "");
    pool(&mut bench, "fd00::/64", "");
    refused(request_pool(&mut bench, "fd00::/48", "", &[]), OVERLAP);
    // The other address space is another world.
    let global = wasmnet_sdk::PoolRequest {
        address_space: "wasm-global".to_owned(),
        family: wasmnet_sdk::IpFamily::Ipv4,
        subnet: Some("10.1.0.0/16".parse::<wasmnet_sdk::ipnet::IpNet>().unwrap().into()),
        sub_pool: None,
        options: Vec::new(),
    };
    assert_eq!(bench.request_pool(&global).unwrap().id, "wasm-global/10.1.0.0/16");
    let elsewhere = wasmnet_sdk::PoolRequest { address_space: "mars".to_owned(), ..global };
    refused(bench.request_pool(&elsewhere), "Invalid Address Space");
}

#[test]
fn a_subnet_is_shared_by_different_ranges_and_goes_with_the_last() {
    let mut bench = bench();
    let one = pool(&mut bench, "10.1.0.0/16", "10.1.1.0/24");
    let two = pool(&mut bench, "10.1.0.0/16", "10.1.2.0/24");
    assert_eq!(one, "wasm-local/10.1.0.0/16/10.1.1.0/24");
    refused(request_pool(&mut bench, "10.1.0.0/16", "10.1.1.0/24", &[]), OVERLAP);
    refused(request_pool(&mut bench, "10.1.0.0/16", "", &[]), OVERLAP);
    refused(request_pool(&mut bench, "10.1.0.0/16", "10.2.0.0/24", &[]), "Invalid Address SubPool");
    gives(&mut bench, &one, "", "10.1.1.0/16");
    gives(&mut bench, &two, "", "10.1.2.0/16");
    // Outside of the range, as auxiliary addresses may be; but nobody gets it twice.
    gives(&mut bench, &one, "10.1.2.1", "10.1.2.1/16");
    gives(&mut bench, &two, "", "10.1.2.2/16");
    refused(request_address(&mut bench, &two, "10.1.2.1"), IN_USE);
    bench.release_pool(&one).unwrap();
    bench.release_pool(&one).unwrap();
    refused(request_address(&mut bench, &one, ""), "Address Pool not found");
    refused(request_pool(&mut bench, "10.1.0.0/16", "", &[]), OVERLAP);
    refused(request_address(&mut bench, &two, "10.1.2.1"), IN_USE);
    bench.release_pool(&two).unwrap();
    pool(&mut bench, "10.1.0.0/16", "");
    let again = pool(&mut bench, "10.1.0.0/16", "10.1.1.0/24");
    gives(&mut bench, &again, "", "10.1.1.0/16");
}

#[test]
fn reserved_and_foreign_addresses_are_refused() {
    let mut bench = bench();
    let v4 = pool(&mut bench, "10.1.0.0/30", "");
    for address in ["10.1.0.0", "10.1.0.3"] {
        refused(request_address(&mut bench, &v4, address), IN_USE);
    }
    for address in ["10.1.0.4", "fd00::1"] {
        refused(request_address(&mut bench, &v4, address), "Requested address is out of range");
    }
    let v6 = pool(&mut bench, "fd00::/64", "");
    refused(request_address(&mut bench, &v6, "fd00::"), IN_USE);
    gives(&mut bench, &v6, "", "fd00::1/64");
    gives(&mut bench, &v6, "fd00::ffff:ffff:ffff:ffff", "fd00::ffff:ffff:ffff:ffff/64");
    gives(&mut bench, &v6, "", "fd00::2/64");
}

#[test]
fn the_smallest_subnets_are_used_whole() {
    let mut bench = bench();
    for (subnet, expected) in [
        ("10.1.0.0/31", &["10.1.0.0/31", "10.1.0.1/31"][..]),
        ("10.1.0.9/32", &["10.1.0.9/32"]),
        ("10.1.1.0/30", &["10.1.1.1/30", "10.1.1.2/30"]),
        ("fd00::/127", &["fd00::/127", "fd00::1/127"]),
        ("fd00::9/128", &["fd00::9/128"]),
        ("fd00:1::/126", &["fd00:1::1/126", "fd00:1::2/126", "fd00:1::3/126"]),
    ] {
        let id = pool(&mut bench, subnet, "");
        for address in expected {
            gives(&mut bench, &id, "", address);
        }
        let family = if subnet.contains(':') { "IPv6" } else { "IPv4" };
        let full = format!(
            "no available {family} addresses on this network's address pools: {subnet} ({id})"
        );
        refused(request_address(&mut bench, &id, ""), &full);
    }
}

#[test]
fn addresses_of_ipv6_are_chosen_from_the_first_half() {
    let mut bench = bench();
    let id = pool(&mut bench, "fd00::/64", "fd00::8000:0:0:0/65");
    gives(&mut bench, &id, "", "fd00::8000:0:0:0/64");
    let wide = pool(&mut bench, "fd01::/16", "");
    gives(&mut bench, &wide, "", "fd01::1/16");
    gives(&mut bench, &wide, "fd01:ffff::1", "fd01:ffff::1/16");
    let report = bench.pools().unwrap();
    let wide = report.iter().find(|pool| pool.id == wide).unwrap();
    assert_eq!(wide.free, (1 << 63) - 1, "the first 2^63, less one that is held");
}

#[test]
fn automatic_pools_are_dockers_and_keep_off_the_host() {
    let mut bench = bench();
    let nets = ["172.17.0.0/16", "172.18.4.0/24", "192.168.0.1/32", "172.20.0.0/14"];
    *bench.world.networks.borrow_mut() = nets.map(|net| net.parse().unwrap()).to_vec();
    pool(&mut bench, "172.24.1.0/24", "");
    for expected in ["172.19.0.0/16", "172.25.0.0/16", "172.26.0.0/16", "172.27.0.0/16"] {
        assert_eq!(any_pool(&mut bench, false, &[]).unwrap(), expected);
    }
    for _ in 0..4 {
        any_pool(&mut bench, false, &[]).unwrap();
    }
    assert_eq!(any_pool(&mut bench, false, &[]).unwrap(), "192.168.16.0/20");
    for _ in 0..14 {
        any_pool(&mut bench, false, &[]).unwrap();
    }
    refused(any_pool(&mut bench, false, &[]), NO_SUBNETS);
    assert_eq!(any_pool(&mut bench, true, &[]).unwrap(), "fd01:203:405::/64");
    assert_eq!(any_pool(&mut bench, true, &[]).unwrap(), "fd01:203:405:1::/64");
    bench.release_pool("wasm-local/172.26.0.0/16").unwrap();
    assert_eq!(any_pool(&mut bench, false, &[]).unwrap(), "172.26.0.0/16");
    let range = request_pool(&mut bench, "", "10.1.0.0/24", &[]);
    refused(range, "Invalid Address SubPool");
}

#[test]
fn a_length_alone_asks_for_any_pool_of_it() {
    let mut bench = bench();
    let subnet = |text: &str, bench: &mut Bench| pool(bench, text, "");
    assert_eq!(subnet("0.0.0.0/24", &mut bench), "wasm-local/172.17.0.0/24");
    assert_eq!(subnet("0.0.0.0/24", &mut bench), "wasm-local/172.17.1.0/24");
    assert_eq!(subnet("0.0.0.0/15", &mut bench), "wasm-local/172.20.0.0/15");
    assert_eq!(subnet("::/120", &mut bench), "wasm-local/fd01:203:405::/120");
    refused(request_pool(&mut bench, "0.0.0.0/7", "", &[]), NO_SUBNETS);
    refused(request_pool(&mut bench, "0.0.0.0/0", "", &[]), "Invalid Address Pool");
}

#[test]
fn the_operator_names_blocks() {
    let mut bench = bench();
    let config = |key: &str, value: &str, bench: &Bench| {
        bench.world.config.borrow_mut().insert(key.to_owned(), value.to_owned());
    };
    config("default-pools", "10.80.0.0/15 size 16", &bench);
    config("pool-blue", "10.50.0.0/23 size 24, fd50::/48 size 64", &bench);
    assert_eq!(any_pool(&mut bench, false, &[]).unwrap(), "10.80.0.0/16");
    assert_eq!(any_pool(&mut bench, true, &[]).unwrap(), "fd01:203:405::/64", "not a word of IPv6");
    let blue = &[("pool", "blue")];
    assert_eq!(any_pool(&mut bench, false, blue).unwrap(), "10.50.0.0/24");
    assert_eq!(any_pool(&mut bench, true, blue).unwrap(), "fd50::/64");
    request_pool(&mut bench, "10.50.1.0/25", "", blue).unwrap();
    refused(any_pool(&mut bench, false, blue), NO_SUBNETS);
    refused(
        request_pool(&mut bench, "10.51.0.0/24", "", blue),
        "option pool: 10.51.0.0/24 is not within pool \"blue\"",
    );
    refused(
        any_pool(&mut bench, false, &[("pool", "red")]),
        "option pool: there is no pool \"red\"; the operator names it with pool-red in the \
         driver's config",
    );
    let names: Vec<_> = bench.pools().unwrap().into_iter().map(|pool| pool.name).collect();
    assert_eq!(names.iter().flatten().count(), 3, "{names:?}");
}

#[test]
fn options_that_are_wrong_are_told_and_others_are_others() {
    let mut bench = bench();
    for (key, value, says) in [
        ("colour", "blue", "option colour is not known; known are pool, rest, cluster, grace"),
        ("rest", "soon", "option rest: \"soon\" must be seconds from 0 to 86400"),
        ("rest", "86401", "option rest: \"86401\" must be seconds from 0 to 86400"),
    ] {
        refused(request_pool(&mut bench, "10.1.0.0/24", "", &[(key, value)]), says);
    }
    bench.world.config.borrow_mut().insert("rest".to_owned(), "never".to_owned());
    refused(
        request_pool(&mut bench, "10.1.0.0/24", "", &[]),
        "config rest: \"never\" must be seconds from 0 to 86400",
    );
    let options = &[("com.acme.colour", "blue"), ("rest", "0")];
    request_pool(&mut bench, "10.1.0.0/24", "", options).unwrap();
}

#[test]
fn an_address_rests_unless_it_is_asked_for_or_needed() {
    let mut bench = bench();
    let id = pool(&mut bench, "10.1.0.0/29", "");
    for last in 1..=3 {
        gives(&mut bench, &id, "", &format!("10.1.0.{last}/29"));
    }
    release_address(&mut bench, &id, "10.1.0.2");
    release_address(&mut bench, &id, "10.1.0.1");
    gives(&mut bench, &id, "", "10.1.0.4/29");
    gives(&mut bench, &id, "10.1.0.1", "10.1.0.1/29");
    release_address(&mut bench, &id, "10.1.0.1");
    sleep(&bench, 29);
    gives(&mut bench, &id, "", "10.1.0.5/29");
    gives(&mut bench, &id, "", "10.1.0.6/29");
    // Nothing else is left: the one that has rested longest.
    gives(&mut bench, &id, "", "10.1.0.2/29");
    gives(&mut bench, &id, "", "10.1.0.1/29");
    assert!(request_address(&mut bench, &id, "").is_err());
    for last in [6, 1] {
        release_address(&mut bench, &id, &format!("10.1.0.{last}"));
    }
    sleep(&bench, 30);
    gives(&mut bench, &id, "", "10.1.0.1/29");
}

#[test]
fn an_address_need_not_rest() {
    let mut bench = bench();
    let id = request_pool(&mut bench, "10.1.0.0/29", "", &[("rest", "0")]).unwrap().id;
    gives(&mut bench, &id, "", "10.1.0.1/29");
    release_address(&mut bench, &id, "10.1.0.1");
    gives(&mut bench, &id, "", "10.1.0.1/29");
}

#[test]
fn one_that_rests_for_another_range_is_found_when_it_is_needed() {
    let mut bench = bench();
    let whole = pool(&mut bench, "10.1.0.0/24", "");
    let range = pool(&mut bench, "10.1.0.0/24", "10.1.0.8/31");
    for address in ["10.1.0.8", "10.1.0.9", "10.1.0.1"] {
        gives(&mut bench, &whole, address, &format!("{address}/24"));
    }
    assert!(request_address(&mut bench, &range, "").is_err());
    release_address(&mut bench, &whole, "10.1.0.1");
    release_address(&mut bench, &whole, "10.1.0.9");
    gives(&mut bench, &range, "", "10.1.0.9/24");
}

#[test]
fn a_mac_address_finds_its_address_again() {
    let mut bench = bench();
    let id = pool(&mut bench, "10.1.0.0/24", "");
    let (one, two) = (of_mac([2, 0, 0, 0, 0, 1]), of_mac([2, 0, 0, 0, 0, 2]));
    let any = |bench: &mut Bench, options| {
        bench.request_address(&id, None, options).unwrap().addr().to_string()
    };
    assert_eq!(any(&mut bench, &one), "10.1.0.1");
    assert_eq!(any(&mut bench, &two), "10.1.0.2");
    for address in ["10.1.0.1", "10.1.0.2"] {
        release_address(&mut bench, &id, address);
    }
    assert_eq!(any(&mut bench, &two), "10.1.0.2");
    // Somebody else gets it.
    gives(&mut bench, &id, "10.1.0.1", "10.1.0.1/24");
    assert_eq!(any(&mut bench, &one), "10.1.0.3");
}

#[test]
fn serial_addresses_go_on_after_the_last() {
    let mut bench = bench();
    let id = request_pool(&mut bench, "10.1.0.0/29", "", &[("rest", "0")]).unwrap().id;
    let serial = [option("com.docker.network.ipam.serial", "true")];
    for last in [1, 2, 3, 4, 5, 6, 1, 2] {
        let net = bench.request_address(&id, None, &serial).unwrap();
        assert_eq!(net.to_string(), format!("10.1.0.{last}/29"));
        release_address(&mut bench, &id, &format!("10.1.0.{last}"));
    }
}

#[test]
fn a_replay_is_answered_as_before_and_once() {
    let mut bench = bench();
    let options = &[("rest", "5")];
    let id = request_pool(&mut bench, "10.1.0.0/24", "10.1.0.0/25", options).unwrap().id;
    gives(&mut bench, &id, "10.1.0.1", "10.1.0.1/24");
    restart_engine(&bench);
    refused(request_pool(&mut bench, "10.1.0.0/24", "10.1.0.0/25", &[]), OVERLAP);
    for again in 0..2 {
        let replayed = request_pool(&mut bench, "10.1.0.0/24", "10.1.0.0/25", options);
        match again {
            0 => assert_eq!(replayed.unwrap().id, id),
            _ => refused(replayed, OVERLAP),
        }
        let replayed = request_address(&mut bench, &id, "10.1.0.1");
        match again {
            0 => assert_eq!(replayed.unwrap(), "10.1.0.1/24"),
            _ => refused(replayed, IN_USE),
        }
    }
    // What was not repeated stays.
    gives(&mut bench, &id, "", "10.1.0.2/24");
    restart_engine(&bench);
    gives(&mut bench, &id, "", "10.1.0.3/24");
}

#[test]
fn who_has_an_address_gets_it_again() {
    let mut bench = bench();
    let id = pool(&mut bench, "10.1.0.0/24", "");
    let (one, two) = (of_mac([2, 0, 0, 0, 0, 1]), of_mac([2, 0, 0, 0, 0, 2]));
    let address = Some("10.1.0.9".parse().unwrap());
    for _ in 0..2 {
        bench.request_address(&id, address, &one).unwrap();
    }
    refused(bench.request_address(&id, address, &two), IN_USE);
    refused(bench.request_address(&id, address, &[]), IN_USE);
}

#[test]
fn giving_back_what_nobody_has_is_fine() {
    let mut bench = bench();
    let id = pool(&mut bench, "10.1.0.0/24", "");
    for pool in [id.as_str(), "wasm-local/10.9.0.0/24", "nonsense", ""] {
        for address in ["10.1.0.1", "10.1.0.0", "192.0.2.1", "fd00::1"] {
            release_address(&mut bench, pool, address);
        }
    }
    bench.release_pool("nonsense").unwrap();
    bench.release_pool("wasm-local/10.9.0.0/24").unwrap();
    bench.release_pool(&id).unwrap();
    release_address(&mut bench, &id, "10.1.0.1");
    assert_eq!(bench.store.rows.len(), 0, "{:?}", bench.store.rows.keys());
}

#[test]
fn what_a_pool_that_is_gone_has_left_is_told_with_another() {
    let mut bench = bench();
    let one = pool(&mut bench, "10.1.0.0/16", "10.1.1.0/24");
    let two = pool(&mut bench, "10.1.0.0/16", "10.1.2.0/24");
    let three = pool(&mut bench, "10.1.0.0/16", "10.1.3.0/24");
    gives(&mut bench, &one, "", "10.1.1.0/16");
    gives(&mut bench, &three, "", "10.1.3.0/16");
    bench.release_pool(&one).unwrap();
    let addresses = |bench: &Bench, pool: &str| -> Vec<std::net::IpAddr> {
        bench.leases(pool, None).unwrap().iter().map(|lease| lease.address.into()).collect()
    };
    assert_eq!(addresses(&bench, &two), ["10.1.1.0".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(addresses(&bench, &three), ["10.1.3.0".parse::<std::net::IpAddr>().unwrap()]);
    release_address(&mut bench, &two, "10.1.1.0");
    assert!(addresses(&bench, &two).is_empty());
}

#[test]
fn leases_tell_who_has_what() {
    let mut bench = bench();
    let id = pool(&mut bench, "10.1.0.0/16", "");
    let gateway = [option("RequestAddressType", "com.docker.network.gateway")];
    bench.request_address(&id, None, &gateway).unwrap();
    gives(&mut bench, &id, "10.1.9.9", "10.1.9.9/16");
    let mut options = of_mac([2, 0, 0, 0, 0, 1]);
    options.push(option("com.docker.network.endpoint.name", "web"));
    sleep(&bench, 5);
    bench.request_address(&id, None, &options).unwrap();
    release_address(&mut bench, &id, "10.1.9.9");
    let leases = bench.leases(&id, None).unwrap();
    let short: Vec<_> = leases
        .iter()
        .map(|lease| (lease.purpose, lease.state, lease.mac.is_some(), lease.name.as_str()))
        .collect();
    let expected = [
        (LeasePurpose::Gateway, LeaseState::Held, false, ""),
        (LeasePurpose::Endpoint, LeaseState::Held, true, "web"),
        (LeasePurpose::Auxiliary, LeaseState::Resting, false, ""),
    ];
    assert_eq!(short, expected);
    assert_eq!((leases[0].since, leases[2].since), (0, 5_000_000_000));
    let after = bench.leases(&id, Some("10.1.0.2".parse().unwrap())).unwrap();
    assert_eq!(after, leases[2..]);
    assert_eq!(bench.leases(&id, Some("10.1.255.255".parse().unwrap())).unwrap(), []);
    let report = &bench.pools().unwrap()[0];
    assert_eq!((report.held, report.resting, report.free), (2, 1, 65534 - 3));
}
