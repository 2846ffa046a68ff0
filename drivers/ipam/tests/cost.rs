use crate::books::{Bench, bench, release_address, request_address, request_pool};

/// Keys that one address may read, and write: a node or two a level, the lease, the subnet,
/// and what may have rested.
const READS_MAX: u64 = 30;
const WRITES_MAX: u64 = 8;

fn fill(bench: &mut Bench, pool: &str, count: u32) {
    for _ in 0..count {
        request_address(bench, pool, "").unwrap();
    }
}

/// The keys read and written by a request and by a release.
fn costs(bench: &mut Bench, pool: &str) -> [u64; 4] {
    let mut counts = [0; 4];
    let before = (bench.store.reads.get(), bench.store.writes);
    let address = request_address(bench, pool, "").unwrap();
    let between = (bench.store.reads.get(), bench.store.writes);
    release_address(bench, pool, address.split('/').next().unwrap());
    let after = (bench.store.reads.get(), bench.store.writes);
    counts[0] = between.0 - before.0;
    counts[1] = between.1 - before.1;
    counts[2] = after.0 - between.0;
    counts[3] = after.1 - between.1;
    counts
}

#[test]
fn an_address_costs_the_same_in_all_subnets_however_full() {
    for subnet in ["10.1.0.0/28", "10.1.0.0/24", "10.1.0.0/16", "10.0.0.0/8", "fd00::/64"] {
        let mut bench = bench();
        let id = request_pool(&mut bench, subnet, "", &[]).unwrap().id;
        let [low, _, _, _] = costs(&mut bench, &id);
        assert!(low <= READS_MAX, "{subnet}, empty: {low} reads");
        let most: u32 = match subnet {
            "10.1.0.0/28" => 12,
            "10.1.0.0/24" => 250,
            _ => 60_000,
        };
        fill(&mut bench, &id, most);
        let costs = costs(&mut bench, &id);
        assert!(costs[0] <= READS_MAX && costs[2] <= READS_MAX, "{subnet}: {costs:?}");
        assert!(costs[1] <= WRITES_MAX && costs[3] <= WRITES_MAX, "{subnet}: {costs:?}");
    }
}

#[test]
fn a_subnet_that_goes_with_many_leases_goes_a_part_at_a_time() {
    let mut bench = bench();
    let id = request_pool(&mut bench, "10.0.0.0/8", "", &[]).unwrap().id;
    fill(&mut bench, &id, 5_000);
    let before = bench.store.writes;
    bench.release_pool(&id).unwrap();
    assert!(bench.store.writes - before < 5_000, "all at once");
    // The subnet is there for others at once, and its addresses are free.
    let again = request_pool(&mut bench, "10.0.0.0/8", "", &[]).unwrap().id;
    assert_eq!(request_address(&mut bench, &again, "").unwrap(), "10.0.0.1/8");
    let mut calls = 0;
    bench.release_pool(&again).unwrap();
    while !bench.store.rows.is_empty() {
        calls += 1;
        assert!(calls < 20, "{} keys are left", bench.store.rows.len());
        bench.release_pool("nonsense").unwrap();
    }
}

#[test]
fn sixty_thousand_leases_take_little_room() {
    let mut bench = bench();
    let id = request_pool(&mut bench, "10.0.0.0/8", "", &[]).unwrap().id;
    fill(&mut bench, &id, 60_000);
    let bytes: usize = bench.store.rows.iter().map(|(key, value)| key.len() + value.len()).sum();
    assert!(bytes < 8 << 20, "{bytes} bytes");
}
