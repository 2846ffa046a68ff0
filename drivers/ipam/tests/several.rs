//! Several nodes, one pool: who has which address is the model. Nodes are killed, cut off from
//! the store, and come back; the store fails in the middle of calls; calls are taken back;
//! wall clocks jump. What a node that was dead for longer than the grace had may be others'.

use std::{cell::RefCell, collections::BTreeMap, net::IpAddr, rc::Rc};

use wasmnet_ipam::{
    ipam::Ipam,
    net::{self, Span},
    record::PoolId,
};

use crate::{
    books::{Around, Bench, Books, of_mac, option, request_pool},
    members::{Agreed, Member, SECOND},
};

const STEPS: u32 = 12_000;
const GRACE: u64 = 300;
const POOLS: [(&str, usize); 4] =
    [("10.1.0.0/24", 3), ("10.2.0.0/28", 3), ("10.3.0.0/26", 4), ("fd00::/121", 2)];

type Node = Rc<RefCell<Bench>>;

struct Random(u64);

struct Run {
    subnet: &'static str,
    agreed: Rc<Agreed>,
    nodes: Vec<Node>,
    /// Daemons that run.
    up: Vec<bool>,
    /// Nodes that have the pool.
    pools: Vec<Option<PoolId>>,
    /// By address and node: whether others may have it by now.
    held: BTreeMap<(IpAddr, usize), bool>,
    told: Vec<u64>,
    random: Random,
    /// What happened, so that the test is not of nothing.
    count: BTreeMap<&'static str, u32>,
}

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        // xorshift64* (Vigna).
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % end
    }
}

#[test]
fn no_address_is_two_hosts_and_none_is_lost() {
    let mut count = BTreeMap::<&str, u32>::new();
    for (subnet, nodes) in POOLS {
        for seed in 1..=3 {
            let mut run = Run::new(subnet, nodes, seed);
            for _ in 0..STEPS {
                run.step();
            }
            run.end();
            for (what, times) in run.count {
                *count.entry(what).or_default() += times;
            }
        }
    }
    for what in ["given", "by name", "of another's block", "full", "away", "taken over", "gateway"]
    {
        assert!(count.get(what).is_some_and(|times| *times > 10), "{what}: {count:?}");
    }
}

/// Has those called that want to be.
fn settle(nodes: &[Node], up: impl Fn(usize) -> bool, told: impl Fn(usize) -> bool) {
    for (number, node) in nodes.iter().enumerate() {
        // Who waits is not called.
        let Ok(mut node) = node.try_borrow_mut() else { continue };
        let member = &node.world.cluster;
        let now = member.agreed.clock.get();
        let wakes = member.wake.get().is_some_and(|wake| wake <= now);
        if !up(number) || member.cut.get() || !(wakes || told(number)) {
            continue;
        }
        member.wake.set(None);
        for _ in 0..8 {
            match node.agreed_changed() {
                Ok(again) => {
                    node.store.commit();
                    if !again {
                        break;
                    }
                }
                Err(error) => {
                    node.store.crash();
                    node.world.cluster.wake.set(Some(now));
                    assert!(error.message.contains("store c"), "{}", error.message);
                    break;
                }
            }
        }
    }
}

impl Run {
    fn new(subnet: &'static str, count: usize, seed: u64) -> Self {
        let agreed = Rc::<Agreed>::default();
        let node = |number: usize| {
            let member = Member::new(&format!("n{number}"), &agreed);
            let world = Around { cluster: member, ..Around::default() };
            Rc::new(RefCell::new(Ipam { store: Books::default(), world }))
        };
        let nodes: Vec<Node> = (0..count).map(node).collect();
        let others = nodes.clone();
        *agreed.meanwhile.borrow_mut() =
            Some(Box::new(move || settle(&others, |_| true, |_| true)));
        Self {
            subnet,
            agreed,
            nodes,
            up: vec![true; count],
            pools: vec![None; count],
            held: BTreeMap::new(),
            told: vec![0; count],
            random: Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed)),
            count: BTreeMap::new(),
        }
    }

    fn note(&mut self, what: &'static str) {
        *self.count.entry(what).or_default() += 1;
    }

    fn any(&mut self) -> usize {
        self.random.below(self.nodes.len() as u64) as usize
    }

    fn settle(&mut self) {
        for _ in 0..4 {
            let told = self.agreed.told.get();
            let before = std::mem::replace(&mut self.told, vec![told; self.nodes.len()]);
            settle(&self.nodes, |number| self.up[number], |number| before[number] != told);
            // Who was not there is told when it is back.
            if self.agreed.told.get() == told {
                break;
            }
        }
    }

    fn sleep(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.agreed.clock.set(self.agreed.clock.get() + SECOND);
            for (number, node) in self.nodes.iter().enumerate() {
                let node = node.borrow();
                node.world.now.set(node.world.now.get() + SECOND);
                if self.up[number] {
                    node.world.cluster.renew();
                }
                if node.world.cluster.gone_for() >= GRACE * SECOND {
                    let of_node = self.held.iter_mut().filter(|((_, of), _)| *of == number);
                    of_node.for_each(|(_, orphan)| *orphan = true);
                }
            }
        }
        self.settle();
    }

    fn step(&mut self) {
        let number = self.any();
        match self.random.below(200) {
            0..=89 => self.request(number),
            90..=157 => self.release(number),
            158..=169 => {
                let seconds = self.random.below(20);
                self.sleep(seconds);
            }
            170 => {
                let seconds = 60 + self.random.below(2 * GRACE);
                self.sleep(seconds);
            }
            171..=174 => self.cut(number),
            175..=178 => self.kill(number),
            179 => self.leave(number),
            180..=189 => self.join(number),
            190..=193 => self.gateway(number),
            194 => {
                let node = self.nodes[number].borrow();
                node.world.now.set(self.random.below(1 << 40));
            }
            _ => self.settle(),
        }
    }

    /// Begins a call that may find the store gone in the middle.
    fn faults(&mut self, number: usize) {
        let (cut, unheard) = (self.random.below(20) == 0, self.random.below(30) == 0);
        let after = self.random.below(12) as u32;
        let node = self.nodes[number].borrow();
        node.world.cluster.cut_after.set(cut.then_some(after));
        node.world.cluster.unheard.set(unheard);
    }

    /// Ends a call: whether it counts.
    fn finish(&mut self, number: usize) -> bool {
        let end = self.random.below(30);
        let mut node = self.nodes[number].borrow_mut();
        node.world.cluster.end_of_call();
        match end {
            0 => {
                node.store.crash();
                node.world.cluster.start();
                false
            }
            1 => {
                node.store.crash();
                false
            }
            _ => {
                node.store.commit();
                true
            }
        }
    }

    fn fail(&mut self, number: usize) {
        let mut node = self.nodes[number].borrow_mut();
        node.world.cluster.end_of_call();
        node.store.crash();
    }

    fn cut(&mut self, number: usize) {
        let cut = !self.nodes[number].borrow().world.cluster.cut.get();
        let node = self.nodes[number].borrow();
        node.world.cluster.cut.set(cut);
        if self.up[number] {
            node.world.cluster.renew();
        }
    }

    fn kill(&mut self, number: usize) {
        self.up[number] = !self.up[number];
        if self.up[number] {
            self.nodes[number].borrow().world.cluster.start();
        }
        self.settle();
    }

    fn join(&mut self, number: usize) {
        if !self.up[number] || self.pools[number].is_some() {
            return;
        }
        self.faults(number);
        // Who does not name the subnet of an agreed pool gets it.
        let named = self.random.below(2) == 0
            || !self.agreed.rows.borrow().keys().any(|key| key.starts_with("pool/"));
        let subnet = match (named, self.subnet.contains(':')) {
            (true, _) => self.subnet,
            (false, true) => "::/121",
            (false, false) => "",
        };
        let made = {
            let mut node = self.nodes[number].borrow_mut();
            request_pool(&mut node, subnet, "", &[("cluster", "blue"), ("rest", "3")])
        };
        match made {
            Ok(pool) => {
                if self.finish(number) {
                    // Without a name another may have been chosen if all had left.
                    let id = PoolId::parse(&pool.id).unwrap();
                    assert_eq!(id.subnet.to_string(), self.subnet);
                    self.pools[number] = Some(id);
                }
            }
            Err(error) => {
                assert!(is_away(&error.message), "{}", error.message);
                self.fail(number);
            }
        }
    }

    fn leave(&mut self, number: usize) {
        if !self.up[number] {
            return;
        }
        let Some(id) = self.pools[number].take() else { return };
        self.release_all(number, &id);
        let mut node = self.nodes[number].borrow_mut();
        node.release_pool(&id.to_string()).unwrap();
        node.store.commit();
        drop(node);
        self.settle();
    }

    fn release_all(&mut self, number: usize, id: &PoolId) {
        let of_node: Vec<IpAddr> =
            self.held.keys().filter(|(_, of)| *of == number).map(|(address, _)| *address).collect();
        let mut node = self.nodes[number].borrow_mut();
        for address in of_node {
            node.release_address(&id.to_string(), address).unwrap();
            node.store.commit();
            self.held.remove(&(address, number));
        }
    }

    fn request(&mut self, number: usize) {
        let (true, Some(id)) = (self.up[number], self.pools[number]) else { return };
        let by_name = self.random.below(5) == 0;
        let mac = self.random.below(40) as u8;
        let options = of_mac([2, number as u8, 0, 0, 0, mac]);
        let Span { high, .. } = net::usable(id.subnet);
        let asked =
            by_name.then(|| net::at(id.subnet, 1 + u128::from(self.random.below(high as u64))));
        if asked.is_some_and(|asked| self.held.contains_key(&(asked, number))) {
            return;
        }
        self.faults(number);
        let before = self.agreed.told.get();
        let given =
            self.nodes[number].borrow_mut().request_address(&id.to_string(), asked, &options);
        match given {
            Ok(given) => {
                let address = given.addr();
                let age = self.nodes[number].borrow().world.cluster.presence().unwrap().age;
                assert!(age < GRACE * SECOND, "{address} was given by who may be dead");
                assert_ne!(net::offset(id.subnet, address), Some(1), "the gateway's");
                for other in 0..self.nodes.len() {
                    let orphan = self.held.get(&(address, other)).copied();
                    if other != number && orphan == Some(true) {
                        self.note("taken over");
                    }
                    assert!(orphan != Some(false), "{address} is n{other}'s and n{number}'s");
                }
                self.note(if by_name { "by name" } else { "given" });
                if by_name && self.agreed.told.get() > before {
                    self.note("of another's block");
                }
                if self.finish(number) {
                    self.held.insert((address, number), false);
                }
            }
            Err(error) => {
                let says = error.message.as_str();
                if says.starts_with("no available") {
                    self.note("full");
                } else if is_away(says) {
                    self.note("away");
                } else {
                    assert!(
                        by_name
                            && (says.contains("already in use")
                                || says.contains("does not answer")),
                        "{says}"
                    );
                }
                self.fail(number);
            }
        }
        self.settle();
    }

    fn release(&mut self, number: usize) {
        let (true, Some(id)) = (self.up[number], self.pools[number]) else { return };
        let of_node: Vec<IpAddr> =
            self.held.keys().filter(|(_, of)| *of == number).map(|(address, _)| *address).collect();
        if of_node.is_empty() {
            return;
        }
        let address = of_node[self.random.below(of_node.len() as u64) as usize];
        self.nodes[number].borrow_mut().release_address(&id.to_string(), address).unwrap();
        if self.finish(number) {
            self.held.remove(&(address, number));
        }
        self.settle();
    }

    /// All get the same one.
    fn gateway(&mut self, number: usize) {
        let (true, Some(id)) = (self.up[number], self.pools[number]) else { return };
        let options = [option("RequestAddressType", "com.docker.network.gateway")];
        let given =
            self.nodes[number].borrow_mut().request_address(&id.to_string(), None, &options);
        match given {
            Ok(given) => {
                assert_eq!(net::offset(id.subnet, given.addr()), Some(1));
                self.note("gateway");
                let mut node = self.nodes[number].borrow_mut();
                node.store.commit();
                node.release_address(&id.to_string(), given.addr()).unwrap();
                node.store.commit();
            }
            Err(error) => {
                assert!(is_away(&error.message), "{}", error.message);
                self.fail(number);
            }
        }
    }

    /// Without trouble any host can have all addresses, and without pools nothing is left.
    fn end(&mut self) {
        for number in 0..self.nodes.len() {
            let node = self.nodes[number].borrow();
            node.world.cluster.cut.set(false);
            node.world.now.set(0);
            if !std::mem::replace(&mut self.up[number], true) {
                node.world.cluster.start();
            }
        }
        self.sleep(10);
        for number in 0..self.nodes.len() {
            self.leave(number);
        }
        self.sleep(10);
        let rows = self.agreed.rows.borrow().keys().cloned().collect::<Vec<_>>();
        assert!(rows.is_empty(), "left: {rows:?}");
        let ids: Vec<PoolId> = (0..2)
            .map(|number| {
                let mut node = self.nodes[number].borrow_mut();
                let made = request_pool(&mut node, self.subnet, "", &[("cluster", "blue")]);
                node.store.commit();
                PoolId::parse(&made.unwrap().id).unwrap()
            })
            .collect();
        for (number, id) in ids.iter().enumerate() {
            let mut node = self.nodes[number].borrow_mut();
            while let Ok(given) = node.request_address(&id.to_string(), None, &[]) {
                node.store.commit();
                assert!(self.held.insert((given.addr(), number), false).is_none());
                assert!(!self.held.contains_key(&(given.addr(), 1 - number)), "{given} twice");
            }
            node.store.crash();
        }
        let Span { low, high } = net::usable(ids[0].subnet);
        assert_eq!(self.held.len() as u128, high - low, "all but the gateway's");
        for (number, id) in ids.into_iter().enumerate() {
            self.pools[number] = Some(id);
            self.leave(number);
        }
        self.sleep(10);
        let rows = self.agreed.rows.borrow().keys().cloned().collect::<Vec<_>>();
        assert!(rows.is_empty(), "left: {rows:?}");
        for node in &self.nodes {
            let mut node = node.borrow_mut();
            for _ in 0..4 {
                node.release_pool("none").unwrap();
            }
            let rows = &node.store.rows;
            assert!(rows.keys().all(|key| key == "ula"), "left: {:?}", rows.keys());
        }
    }
}

fn is_away(says: &str) -> bool {
    says.contains("cluster store c")
}
