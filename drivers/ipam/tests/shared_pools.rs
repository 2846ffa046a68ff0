use std::rc::Rc;

use wasmnet_ipam::ipam::Ipam;
use wasmnet_sdk::{Error, IpamPool};

use crate::{
    books::{Around, Bench, Books, option, release_address, request_address, request_pool},
    members::{Agreed, Member, SECOND},
};

const BLUE: &[(&str, &str)] = &[("cluster", "blue"), ("rest", "0")];

fn nodes<const N: usize>() -> (Rc<Agreed>, [Bench; N]) {
    let agreed = Rc::<Agreed>::default();
    let node = |number| {
        let cluster = Member::new(&format!("n{number}"), &agreed);
        Ipam { store: Books::default(), world: Around { cluster, ..Around::default() } }
    };
    let nodes = std::array::from_fn(node);
    (agreed, nodes)
}

fn join(node: &mut Bench, subnet: &str) -> Result<IpamPool, Error> {
    request_pool(node, subnet, "", BLUE)
}

#[track_caller]
fn pool(node: &mut Bench, subnet: &str) -> String {
    join(node, subnet).unwrap().id
}

/// As long as it wants to be.
fn tend(node: &mut Bench) {
    while node.agreed_changed().unwrap() {
        node.store.commit();
    }
}

/// Lets seconds go by for those that are there.
fn pass(agreed: &Agreed, seconds: u64, there: &[&Bench]) {
    for _ in 0..seconds {
        agreed.clock.set(agreed.clock.get() + SECOND);
        there.iter().for_each(|node| node.world.cluster.renew());
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Error>, says: &str) {
    let message = result.unwrap_err().message;
    assert!(message.contains(says), "{message}");
}

fn gateway(node: &mut Bench, pool: &str, address: &str) -> String {
    let options = [option("RequestAddressType", "com.docker.network.gateway")];
    let address = (!address.is_empty()).then(|| address.parse().unwrap());
    node.request_address(pool, address, &options).unwrap().to_string()
}

#[test]
fn the_first_says_what_the_pool_is_and_the_others_get_the_same() {
    let (_, [mut one, mut two]) = nodes();
    let first = pool(&mut one, "");
    assert_eq!(first, "wasm-local/172.17.0.0/16");
    assert_eq!(pool(&mut two, ""), first);
    let (_, [mut one, mut two]) = nodes();
    pool(&mut one, "10.1.0.0/24");
    refused(
        join(&mut two, "10.2.0.0/24"),
        "shared pool \"blue\" has subnet 10.1.0.0/24 on the other hosts, and not 10.2.0.0/24",
    );
    let other = request_pool(&mut two, "", "", &[("cluster", "blue"), ("grace", "60")]);
    refused(other, "has a grace of 300 seconds on the other hosts, and not 60");
    let part = request_pool(&mut two, "10.1.0.0/25", "", &[]).unwrap();
    refused(join(&mut two, ""), "Pool overlaps with other one");
    two.release_pool(&part.id).unwrap();
    assert_eq!(pool(&mut two, "10.1.0.0/24"), "wasm-local/10.1.0.0/24");
    refused(join(&mut two, ""), "Pool overlaps with other one");
    // Beside what other hosts share.
    let (_, [mut one, mut two]) = nodes();
    pool(&mut one, "172.17.0.0/24");
    let red = request_pool(&mut two, "", "", &[("cluster", "red")]).unwrap();
    assert_eq!(red.id, "wasm-local/172.18.0.0/16");
    for (options, says) in [
        (&[("cluster", "a/b")][..], "must be 1 to 64 letters, digits, dots"),
        (&[("cluster", "c"), ("grace", "1")], "must be seconds from 5 to 86400"),
        (&[("grace", "60")], "option grace is for option cluster only"),
    ] {
        refused(request_pool(&mut two, "10.9.0.0/24", "", options), says);
    }
}

#[test]
fn addresses_are_of_blocks_and_need_no_store_while_there_are_some() {
    let (_, [mut one, mut two]) = nodes();
    let id = pool(&mut one, "10.1.0.0/24");
    pool(&mut two, "");
    let give = |node: &mut Bench| request_address(node, &id, "").unwrap();
    assert_eq!(give(&mut one), "10.1.0.2/24", "the first is the gateway's");
    assert_eq!(give(&mut two), "10.1.0.16/24");
    assert_eq!(give(&mut one), "10.1.0.3/24");
    let before = one.world.cluster.trips.get();
    for _ in 4..11 {
        give(&mut one);
    }
    assert_eq!(one.world.cluster.trips.get(), before, "the store was asked");
    // Nearly full: the next is claimed, and lasts when the store is away.
    give(&mut one);
    assert!(one.world.cluster.trips.get() > before);
    one.world.cluster.cut.set(true);
    for last in (12..16).chain(32..48) {
        assert_eq!(give(&mut one), format!("10.1.0.{last}/24"));
    }
    refused(request_address(&mut one, &id, ""), "the cluster store cannot be reached");
    one.world.cluster.cut.set(false);
    assert_eq!(give(&mut one), "10.1.0.48/24");
    let report = &one.pools().unwrap()[0];
    let shared = report.shared.as_ref().unwrap();
    assert_eq!((shared.name.as_str(), shared.blocks.len()), ("blue", 3));
    assert_eq!((shared.others, shared.all, report.free), (Some(1), 16, 15));
}

#[test]
fn a_full_pool_says_how_much_others_have() {
    let (_, [mut one, mut two]) = nodes();
    let id = pool(&mut one, "10.1.0.0/28");
    pool(&mut two, "");
    while request_address(&mut one, &id, "").is_ok() {}
    refused(
        request_address(&mut one, &id, ""),
        "no available IPv4 addresses on this network's address pools: 10.1.0.0/28 \
         (wasm-local/10.1.0.0/28); other hosts have 1 of the 4 blocks of shared pool \"blue\"",
    );
    // What is given back is others' when it has rested.
    for last in [2, 3, 8, 9, 10, 11] {
        release_address(&mut one, &id, &format!("10.1.0.{last}"));
    }
    tend(&mut one);
    for _ in 0..4 {
        request_address(&mut two, &id, "").unwrap();
    }
    assert_eq!(request_address(&mut two, &id, "").unwrap(), "10.1.0.2/28");
}

#[test]
fn the_gateway_is_the_same_everywhere() {
    let (_, [mut one, mut two, mut three]) = nodes();
    let id = pool(&mut one, "10.1.0.0/24");
    pool(&mut two, "");
    pool(&mut three, "");
    assert_eq!(gateway(&mut one, &id, "10.1.0.254"), "10.1.0.254/24");
    assert_eq!(gateway(&mut two, &id, ""), "10.1.0.254/24");
    // An auxiliary address, in a block that nobody has yet.
    for node in [&mut one, &mut two] {
        assert_eq!(request_address(node, &id, "10.1.0.77").unwrap(), "10.1.0.77/24");
    }
    let endpoint = crate::books::of_mac([2, 0, 0, 0, 0, 1]);
    for address in ["10.1.0.254", "10.1.0.77", "10.1.0.1"] {
        let asked = three.request_address(&id, Some(address.parse().unwrap()), &endpoint);
        refused(asked, "Address already in use");
    }
    let (_, [mut one, mut two]) = nodes();
    let id = pool(&mut one, "10.1.0.0/24");
    pool(&mut two, "");
    assert_eq!(gateway(&mut two, &id, ""), "10.1.0.1/24");
    assert_eq!(gateway(&mut one, &id, ""), "10.1.0.1/24");
}

#[test]
fn one_is_had_by_name_from_who_has_its_block() {
    let agreed = Rc::<Agreed>::default();
    let node = |number| {
        let cluster = Member::new(&format!("n{number}"), &agreed);
        let around = Around { cluster, ..Around::default() };
        Rc::new(std::cell::RefCell::new(Ipam { store: Books::default(), world: around }))
    };
    let (one, two) = (node(1), node(2));
    let id = pool(&mut one.borrow_mut(), "10.1.0.0/24");
    pool(&mut two.borrow_mut(), "");
    let owner = Rc::clone(&one);
    let answers = Rc::new(std::cell::Cell::new(true));
    let does = Rc::clone(&answers);
    *agreed.meanwhile.borrow_mut() = Some(Box::new(move || {
        if does.get() {
            tend(&mut owner.borrow_mut());
        }
    }));
    let ask = |of: &std::cell::RefCell<Bench>, address: &str| {
        let endpoint = crate::books::of_mac([2, 0, 0, 0, 0, 1]);
        of.borrow_mut().request_address(&id, Some(address.parse().unwrap()), &endpoint)
    };
    ask(&two, "10.1.0.7").unwrap();
    refused(ask(&one, "10.1.0.7"), "Address already in use");
    ask(&one, "10.1.0.8").unwrap();
    refused(ask(&two, "10.1.0.8"), "Address already in use");
    answers.set(false);
    refused(ask(&two, "10.1.0.9"), "10.1.0.9 is in a block of another host, which does not answer");
    two.borrow().world.cluster.cut.set(true);
    refused(ask(&two, "10.1.0.9"), "the cluster store cannot be reached");
    two.borrow().world.cluster.cut.set(false);
    // A block that nobody has comes with it.
    ask(&two, "10.1.0.77").unwrap();
    // Given back it is the owner's again.
    release_address(&mut two.borrow_mut(), &id, "10.1.0.7");
    tend(&mut two.borrow_mut());
    tend(&mut one.borrow_mut());
    ask(&one, "10.1.0.7").unwrap();
}

#[test]
fn a_dead_hosts_blocks_are_others_after_the_grace_and_not_before() {
    let (agreed, [mut one, mut two]) = nodes();
    let id = pool(&mut one, "10.1.0.0/28");
    pool(&mut two, "");
    request_address(&mut two, &id, "").unwrap();
    while request_address(&mut one, &id, "").is_ok() {
        wall_jumps(&one.world.now);
    }
    // The lease, and then the grace, by a clock that no jump of the other shortens.
    pass(&agreed, 15 + 299, &[&one]);
    one.world.now.set(u64::MAX / 2);
    refused(request_address(&mut one, &id, ""), "other hosts have 1 of the 4 blocks");
    pass(&agreed, 1, &[&one]);
    assert_eq!(request_address(&mut one, &id, "").unwrap(), "10.1.0.4/28");
    assert!(one.world.cluster.warnings.borrow()[0].contains("of host n1, which is gone"));

    // It comes back: what it has it keeps, and it gives out no more of it.
    two.world.cluster.renew();
    tend(&mut two);
    assert!(two.world.cluster.warnings.borrow()[0].contains("was taken over while"));
    refused(request_address(&mut two, &id, ""), "other hosts have 4 of the 4 blocks");
    assert_eq!(two.leases(&id, None).unwrap().len(), 1);
    release_address(&mut two, &id, "10.1.0.4");
    assert_eq!(two.leases(&id, None).unwrap().len(), 0);
}

fn wall_jumps(wall: &std::cell::Cell<u64>) {
    wall.set(wall.get().wrapping_mul(31).wrapping_add(SECOND) % (1 << 40));
}

#[test]
fn who_cannot_be_seen_stops_before_others_may_begin() {
    let (agreed, [mut one, two]) = nodes();
    let id = pool(&mut one, "10.1.0.0/24");
    request_address(&mut one, &id, "").unwrap();
    one.world.cluster.cut.set(true);
    pass(&agreed, 262, &[&one, &two]);
    request_address(&mut one, &id, "").unwrap();
    pass(&agreed, 1, &[&one, &two]);
    refused(request_address(&mut one, &id, ""), "could not be reached for 263 seconds");
    // It has what it had before, and when it is seen again, more.
    one.world.cluster.cut.set(false);
    one.world.cluster.renew();
    assert_eq!(request_address(&mut one, &id, "").unwrap(), "10.1.0.4/24");
}

#[test]
fn a_pool_that_all_have_left_may_be_another() {
    let (agreed, [mut one, mut two]) = nodes();
    let id = pool(&mut one, "10.1.0.0/24");
    pool(&mut two, "");
    one.release_pool(&id).unwrap();
    tend(&mut one);
    refused(join(&mut one, "10.2.0.0/24"), "has subnet 10.1.0.0/24");
    two.release_pool(&id).unwrap();
    two.world.cluster.cut.set(true);
    assert!(two.agreed_changed().is_err());
    refused(join(&mut one, "10.2.0.0/24"), "has subnet 10.1.0.0/24");
    two.world.cluster.cut.set(false);
    tend(&mut two);
    // What the attempts left goes as well.
    tend(&mut one);
    assert!(agreed.rows.borrow().is_empty(), "{:?}", agreed.rows.borrow().keys());
    pool(&mut one, "10.2.0.0/24");
}

#[test]
fn a_pool_made_anew_while_a_host_was_dead_is_told() {
    let (agreed, [mut one, mut two]) = nodes();
    let id = pool(&mut one, "10.1.0.0/24");
    pool(&mut two, "");
    request_address(&mut two, &id, "").unwrap();
    pass(&agreed, 400, &[&one]);
    one.release_pool(&id).unwrap();
    tend(&mut one);
    let anew = pool(&mut one, "10.2.0.0/24");
    two.world.cluster.renew();
    tend(&mut two);
    refused(request_address(&mut two, &id, ""), "was made anew with subnet 10.2.0.0/24");
    one.release_pool(&anew).unwrap();
    tend(&mut one);
    // With nobody else's it is made again as it was.
    tend(&mut two);
    assert_eq!(request_address(&mut two, &id, "").unwrap(), "10.1.0.17/24");
}

#[test]
fn what_a_call_claimed_that_failed_goes_back_by_itself() {
    let (agreed, [mut one, mut two]) = nodes();
    let id = pool(&mut one, "10.1.0.0/24");
    one.store.commit();
    let keys = || agreed.rows.borrow().keys().cloned().collect::<Vec<_>>();
    let before = keys();
    let goes_back = |node: &mut Bench| {
        node.store.crash();
        assert!(keys().len() > before.len(), "nothing was claimed");
        assert!(node.world.cluster.wake.take().is_some(), "nobody looks after it");
        tend(node);
        assert_eq!(keys(), before);
    };
    one.world.cluster.wake.set(None);
    let endpoint = crate::books::of_mac([2, 0, 0, 0, 0, 1]);
    one.request_address(&id, Some("10.1.0.77".parse().unwrap()), &endpoint).unwrap();
    goes_back(&mut one);
    two.world.cluster.wake.set(None);
    pool(&mut two, "");
    goes_back(&mut two);
}

#[test]
fn a_single_address_is_lost_like_a_block_and_not_given_again() {
    let agreed = Rc::<Agreed>::default();
    let node = |number| {
        let cluster = Member::new(&format!("n{number}"), &agreed);
        let around = Around { cluster, ..Around::default() };
        Rc::new(std::cell::RefCell::new(Ipam { store: Books::default(), world: around }))
    };
    let (one, two) = (node(1), node(2));
    let id = pool(&mut one.borrow_mut(), "10.1.0.0/28");
    pool(&mut two.borrow_mut(), "");
    let owner = Rc::clone(&one);
    *agreed.meanwhile.borrow_mut() = Some(Box::new(move || tend(&mut owner.borrow_mut())));
    let endpoint = crate::books::of_mac([2, 0, 0, 0, 0, 1]);
    let ask =
        || two.borrow_mut().request_address(&id, Some("10.1.0.3".parse().unwrap()), &endpoint);
    ask().unwrap();
    pass(&agreed, 15 + 300, &[&one.borrow()]);
    let mut given = Vec::new();
    while let Ok(address) = request_address(&mut one.borrow_mut(), &id, "") {
        given.push(address);
    }
    assert_eq!(given.last().unwrap(), "10.1.0.3/28", "{given:?}");
    two.borrow().world.cluster.renew();
    release_address(&mut two.borrow_mut(), &id, "10.1.0.3");
    refused(ask(), "Address already in use");
}
