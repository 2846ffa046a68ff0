//! A model that is as simple as can be: who has which address. Beside it the driver's logic
//! gets random requests; calls crash before they are committed, answers get lost, the engine
//! is started anew and repeats what it knows.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use wasmnet_ipam::{
    net::{self, Span},
    record::PoolId,
};
use wasmnet_sdk::{DriverOption, LeaseState};

use crate::books::{Bench, bench, of_mac, option, request_pool, restart_engine, sleep};

const STEPS: u32 = 100_000;

/// Small ones, so that they are full again and again; shared ones; large ones.
const POOLS: [(&str, &str, &str); 11] = [
    ("10.1.0.0/28", "", "30"),
    ("10.2.0.0/24", "", "3"),
    ("10.2.0.0/24", "10.2.0.0/26", "0"),
    ("10.2.0.0/24", "10.2.0.32/27", "10"),
    ("10.3.0.0/30", "", "1"),
    ("10.4.0.0/31", "", "0"),
    ("10.5.0.0/16", "10.5.3.240/28", "30"),
    ("10.5.0.0/16", "10.5.0.0/20", "30"),
    ("11.0.0.0/8", "11.255.255.192/26", "2"),
    ("fd00::/64", "fd00::/122", "5"),
    ("fd01::/120", "", "60"),
];

/// What the engine knows.
#[derive(Default)]
struct Engine {
    pools: BTreeMap<usize, PoolId>,
    /// By subnet and address: the pool, and the MAC address.
    held: BTreeMap<(String, IpAddr), (usize, Option<u8>)>,
}

/// How a call ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Good,
    /// The daemon died before the commit.
    Crash,
    /// The engine died before the answer.
    Lost,
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // xorshift64* (Vigna).
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end
    }

    fn pick<T: Clone>(&mut self, of: impl IntoIterator<Item = T>) -> Option<T> {
        let all: Vec<T> = of.into_iter().collect();
        (!all.is_empty()).then(|| all[self.below(all.len() as u64) as usize].clone())
    }
}

struct Run {
    bench: Bench,
    engine: Engine,
    random: Random,
}

#[test]
fn no_address_is_given_twice_lost_or_refused() {
    for seed in [1, 2, 3] {
        let random = Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let mut run = Run { bench: bench(), engine: Engine::default(), random };
        for step in 0..STEPS {
            run.step();
            if step % 1000 == 0 {
                run.check();
            }
        }
        run.check();
        run.end();
    }
}

impl Run {
    fn step(&mut self) {
        match self.random.below(100) {
            0..=54 => self.request(),
            55..=89 => self.release(),
            90..=93 => sleep(&self.bench, self.random.below(20)),
            94..=97 => self.make_pool(),
            98 if self.random.below(4) == 0 => self.remove_pool(),
            _ if self.random.below(20) == 0 => self.restart_engine(),
            _ => self.release_nothing(),
        }
    }

    fn end_of_call(&mut self) -> End {
        match self.random.below(40) {
            0 => End::Crash,
            1 if self.random.below(10) == 0 => End::Lost,
            _ => End::Good,
        }
    }

    /// Ends a call; says whether the engine knows of it.
    fn finish(&mut self, end: End) -> bool {
        match end {
            End::Crash => self.bench.store.crash(),
            _ => self.bench.store.commit(),
        }
        end == End::Good
    }

    fn make_pool(&mut self) {
        let missing = (0..POOLS.len()).filter(|index| !self.engine.pools.contains_key(index));
        let Some(index) = self.random.pick(missing) else { return };
        let (subnet, range, rest) = POOLS[index];
        let shared = self.engine.pools.keys().any(|other| POOLS[*other].0 == subnet);
        let made = request_pool(&mut self.bench, subnet, range, &[("rest", rest)]);
        if range.is_empty() && shared {
            assert!(made.is_err(), "{subnet} was given twice");
            self.bench.store.crash();
            return;
        }
        let id = PoolId::parse(&made.unwrap().id).unwrap();
        let end = self.end_of_call();
        if self.finish(end) {
            self.engine.pools.insert(index, id);
        } else if end == End::Lost {
            self.restart_engine();
        }
    }

    fn remove_pool(&mut self) {
        let Some((index, id)) = self.random.pick(self.engine.pools.clone()) else { return };
        let of_pool = |(_, (pool, _)): &(&(String, IpAddr), &(usize, Option<u8>))| *pool == index;
        let held: Vec<_> = self.engine.held.iter().filter(of_pool).map(|(key, _)| key.1).collect();
        // As the engine does: what containers have is given back first.
        for address in held {
            self.bench.release_address(&id.to_string(), address).unwrap();
            self.bench.store.commit();
            self.engine.held.remove(&(id.subnet.to_string(), address));
        }
        self.bench.release_pool(&id.to_string()).unwrap();
        self.bench.store.commit();
        self.engine.pools.remove(&index);
    }

    fn request(&mut self) {
        let Some((index, id)) = self.random.pick(self.engine.pools.clone()) else { return };
        let mac = (self.random.below(3) > 0).then(|| self.random.below(200) as u8);
        let mut options = mac.map_or_else(Vec::new, |mac| of_mac([2, 0, 0, 0, 0, mac]));
        if self.random.below(10) == 0 {
            options.push(option("com.docker.network.ipam.serial", "true"));
        }
        match self.random.below(5) {
            0 => self.request_this(index, &id, mac, &options),
            _ => self.request_any(index, &id, mac, &options),
        }
    }

    fn request_any(
        &mut self,
        index: usize,
        id: &PoolId,
        mac: Option<u8>,
        options: &[DriverOption],
    ) {
        let subnet = id.subnet.to_string();
        let Span { low, high } = net::choice(id.subnet, id.range);
        match self.bench.request_address(&id.to_string(), None, options) {
            Ok(given) => {
                let address = given.addr();
                let offset = net::offset(id.subnet, address).unwrap();
                assert!((low..=high).contains(&offset), "{address} is not of {id}");
                let new = !self.engine.held.contains_key(&(subnet.clone(), address));
                assert!(new, "{address} was given twice");
                self.note(subnet, address, index, mac);
            }
            Err(error) => {
                self.bench.store.crash();
                assert!(error.message.starts_with("no available"), "{}", error.message);
                for offset in low..=high {
                    let address = net::at(id.subnet, offset);
                    let held = self.engine.held.contains_key(&(subnet.clone(), address));
                    assert!(held, "{address} is free, but {}", error.message);
                }
            }
        }
    }

    fn request_this(
        &mut self,
        index: usize,
        id: &PoolId,
        mac: Option<u8>,
        options: &[DriverOption],
    ) {
        let subnet = id.subnet.to_string();
        let span = net::choice(id.subnet, None);
        let near = net::choice(id.subnet, id.range).low.saturating_sub(2);
        let offset = (near + u128::from(self.random.below(70))).min(span.high + 1);
        let address = net::at(id.subnet, offset);
        let usable = net::usable(id.subnet);
        let reserved = !(usable.low..=usable.high).contains(&offset);
        let outside = net::offset(id.subnet, address).is_none();
        let holder = self.engine.held.get(&(subnet.clone(), address)).copied();
        let is_owner = holder.is_some_and(|(_, holder)| holder.is_some() && holder == mac);
        let given = self.bench.request_address(&id.to_string(), Some(address), options);
        let expected = !reserved && !outside && (holder.is_none() || is_owner);
        if !expected {
            // Asked for again in a later session it would be a replay; it is not repeated here.
            let error = given.expect_err(&format!("{address} was given, held by {holder:?}"));
            assert!(
                ["Address already in use", "Requested address is out of range"]
                    .contains(&error.message.as_str())
            );
            self.bench.store.crash();
            return;
        }
        assert_eq!(given.unwrap().addr(), address);
        match holder {
            Some(_) => self.bench.store.commit(),
            None => self.note(subnet, address, index, mac),
        }
    }

    /// The end of a call that has given an address.
    fn note(&mut self, subnet: String, address: IpAddr, pool: usize, mac: Option<u8>) {
        let end = self.end_of_call();
        if self.finish(end) {
            self.engine.held.insert((subnet, address), (pool, mac));
        } else if end == End::Lost {
            self.restart_engine();
        }
    }

    fn release(&mut self) {
        let Some(((subnet, address), (pool, _))) = self.random.pick(self.engine.held.clone())
        else {
            return;
        };
        let id = self.engine.pools[&pool];
        self.bench.release_address(&id.to_string(), address).unwrap();
        let end = self.end_of_call();
        if self.finish(end) {
            self.engine.held.remove(&(subnet, address));
        } else if end == End::Lost {
            self.engine.held.remove(&(subnet, address));
            self.restart_engine();
        }
    }

    fn release_nothing(&mut self) {
        let Some((_, id)) = self.random.pick(self.engine.pools.clone()) else { return };
        let offset = u128::from(self.random.below(300)).min(net::usable(id.subnet).high);
        let address = net::at(id.subnet, offset);
        if !self.engine.held.contains_key(&(id.subnet.to_string(), address)) {
            self.bench.release_address(&id.to_string(), address).unwrap();
            self.bench.store.commit();
        }
    }

    /// The engine is started anew: it repeats what it knows, and the doctor gives back what
    /// it does not know.
    fn restart_engine(&mut self) {
        restart_engine(&self.bench);
        for (index, id) in self.engine.pools.clone() {
            let (subnet, range, rest) = POOLS[index];
            let again = request_pool(&mut self.bench, subnet, range, &[("rest", rest)]).unwrap();
            assert_eq!(again.id, id.to_string());
            self.bench.store.commit();
        }
        for ((_, address), (pool, mac)) in self.engine.held.clone() {
            let id = self.engine.pools[&pool];
            // Some engines forget the MAC address.
            let mac = mac.filter(|_| self.random.below(2) == 0);
            let options = mac.map_or_else(Vec::new, |mac| of_mac([2, 0, 0, 0, 0, mac]));
            let again = self.bench.request_address(&id.to_string(), Some(address), &options);
            assert_eq!(again.unwrap().addr(), address, "a replay");
            self.bench.store.commit();
        }
        self.cure();
    }

    fn cure(&mut self) {
        for pool in self.bench.pools().unwrap() {
            let id = PoolId::parse(&pool.id).unwrap();
            for address in self.held_of(&pool.id) {
                if !self.engine.held.contains_key(&(id.subnet.to_string(), address)) {
                    self.bench.release_address(&pool.id, address).unwrap();
                    self.bench.store.commit();
                }
            }
            if !self.engine.pools.values().any(|known| *known == id) {
                self.bench.release_pool(&pool.id).unwrap();
                self.bench.store.commit();
            }
        }
    }

    fn held_of(&self, pool: &str) -> BTreeSet<IpAddr> {
        let leases = self.bench.leases(pool, None).unwrap();
        let held = leases.iter().filter(|lease| lease.state == LeaseState::Held);
        held.map(|lease| lease.address.into()).collect()
    }

    /// The books say what the engine knows, and no more.
    fn check(&self) {
        for report in self.bench.pools().unwrap() {
            let id = PoolId::parse(&report.id).unwrap();
            let index = self.engine.pools.iter().find(|(_, known)| **known == id);
            let (index, _) = index.unwrap_or_else(|| panic!("{id} is nobody's"));
            let known: BTreeSet<IpAddr> = self
                .engine
                .held
                .iter()
                .filter(|(_, (pool, _))| pool == index)
                .map(|((_, address), _)| *address)
                .collect();
            assert_eq!(self.held_of(&report.id), known, "{id}");
            assert_eq!(report.held, known.len() as u64, "{id}");
            let all = self.bench.leases(&report.id, None).unwrap().len() as u64;
            assert_eq!(report.held + report.resting, all, "{id}");
        }
    }

    /// Without pools nothing is left.
    fn end(&mut self) {
        while !self.engine.pools.is_empty() {
            self.remove_pool();
        }
        for _ in 0..10 {
            self.bench.release_pool("none").unwrap();
        }
        let rows = &self.bench.store.rows;
        assert!(rows.is_empty(), "left: {:?}", rows.keys().take(20).collect::<Vec<_>>());
    }
}
