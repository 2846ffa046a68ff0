use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    net::IpAddr,
};

use crate::members::Member;
use wasmnet_ipam::{
    ipam::Ipam,
    store::{Cluster, Store, World},
};
use wasmnet_sdk::{
    DriverOption, Error, IpFamily, IpNetwork, IpamPool, PoolRequest, cluster::Standing,
    ipnet::IpNet,
};

/// Keys in memory, of which a crash takes back what is not committed.
#[derive(Debug, Default)]
pub struct Books {
    pub rows: BTreeMap<String, Vec<u8>>,
    undo: Vec<(String, Option<Vec<u8>>)>,
    pub reads: Cell<u64>,
    pub writes: u64,
}

/// What the logic sees of the world.
#[derive(Debug, Default)]
pub struct Around {
    pub now: Cell<u64>,
    pub session: Cell<u64>,
    pub config: RefCell<BTreeMap<String, String>>,
    pub networks: RefCell<Vec<IpNet>>,
    pub cluster: Member,
}

pub type Bench = Ipam<Books, Around>;

impl Books {
    /// What was written lasts.
    pub fn commit(&mut self) {
        self.undo.clear();
    }

    /// What was written is gone.
    pub fn crash(&mut self) {
        for (key, value) in self.undo.drain(..).rev() {
            match value {
                Some(value) => drop(self.rows.insert(key, value)),
                None => drop(self.rows.remove(&key)),
            }
        }
    }
}

impl Store for Books {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        self.reads.set(self.reads.get() + 1);
        Ok(self.rows.get(key).cloned())
    }

    fn set(&mut self, key: &str, value: &[u8]) -> Result<(), Error> {
        assert!((1..=255).contains(&key.len()), "the host refuses key {key}");
        self.writes += 1;
        let old = self.rows.insert(key.to_owned(), value.to_vec());
        self.undo.push((key.to_owned(), old));
        Ok(())
    }

    fn delete(&mut self, key: &str) -> Result<(), Error> {
        self.writes += 1;
        let old = self.rows.remove(key);
        self.undo.push((key.to_owned(), old));
        Ok(())
    }

    fn keys(&self, prefix: &str) -> Result<Vec<String>, Error> {
        let from = self.rows.range(prefix.to_owned()..);
        Ok(from.map(|(key, _)| key.clone()).take_while(|key| key.starts_with(prefix)).collect())
    }
}

impl World for Around {
    fn now(&self) -> u64 {
        self.now.get()
    }

    fn session(&self) -> u64 {
        self.session.get()
    }

    fn config(&self, key: &str) -> Option<String> {
        self.config.borrow().get(key).cloned()
    }

    fn networks(&self) -> Result<Vec<IpNet>, Error> {
        Ok(self.networks.borrow().clone())
    }

    fn random(&self) -> [u8; 5] {
        [1, 2, 3, 4, 5]
    }
}

impl Cluster for Around {
    fn node(&self) -> Result<String, Error> {
        Ok(self.cluster.id.clone())
    }

    fn name_of(&self, _node: &str) -> Option<String> {
        None
    }

    fn presence(&self) -> Result<Standing, Error> {
        self.cluster.presence()
    }

    fn away(&self, node: &str) -> Result<Option<u64>, Error> {
        self.cluster.away(node)
    }

    fn agreed(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        self.cluster.get(key)
    }

    fn agreed_keys(&self, prefix: &str) -> Result<Vec<String>, Error> {
        self.cluster.keys(prefix)
    }

    fn agree(&self, key: &str, old: Option<&[u8]>, new: Option<&[u8]>) -> Result<bool, Error> {
        self.cluster.set(key, old, new)
    }

    fn wait(
        &self,
        key: &str,
        old: Option<&[u8]>,
        _patience: u32,
    ) -> Result<Option<Vec<u8>>, Error> {
        self.cluster.wait(key, old)
    }

    fn call_later(&self, after: u64) {
        self.cluster.call_later(after);
    }

    fn warn(&self, line: &str) {
        self.cluster.warnings.borrow_mut().push(line.to_owned());
    }
}

/// Empty books.
pub fn bench() -> Bench {
    Ipam { store: Books::default(), world: Around::default() }
}

/// Lets seconds go by.
pub fn sleep(bench: &Bench, seconds: u64) {
    bench.world.now.set(bench.world.now.get() + seconds * 1_000_000_000);
}

/// The engine is started anew.
pub fn restart_engine(bench: &Bench) {
    bench.world.session.set(bench.world.session.get() + 1);
}

pub fn option(key: &str, value: &str) -> DriverOption {
    DriverOption { key: key.to_owned(), value: value.to_owned() }
}

/// The options of an endpoint's address.
pub fn of_mac(mac: [u8; 6]) -> Vec<DriverOption> {
    let octets: Vec<String> = mac.iter().map(|octet| format!("{octet:02x}")).collect();
    vec![option("com.docker.network.endpoint.macaddress", &octets.join(":"))]
}

/// RequestPool as the engine says it: "" for what is open.
pub fn request_pool(
    bench: &mut Bench,
    subnet: &str,
    range: &str,
    options: &[(&str, &str)],
) -> Result<IpamPool, Error> {
    let net = |text: &str| -> Option<IpNetwork> {
        (!text.is_empty()).then(|| text.parse::<IpNet>().unwrap().into())
    };
    request(bench, net(subnet), net(range), subnet.contains(':'), options)
}

/// RequestPool of any subnet.
pub fn any_pool(bench: &mut Bench, ipv6: bool, options: &[(&str, &str)]) -> Result<String, Error> {
    let pool = request(bench, None, None, ipv6, options)?;
    Ok(IpNet::new(pool.subnet.address.into(), pool.subnet.prefix_length).unwrap().to_string())
}

fn request(
    bench: &mut Bench,
    subnet: Option<IpNetwork>,
    sub_pool: Option<IpNetwork>,
    ipv6: bool,
    options: &[(&str, &str)],
) -> Result<IpamPool, Error> {
    bench.request_pool(&PoolRequest {
        address_space: "wasm-local".to_owned(),
        family: if ipv6 { IpFamily::Ipv6 } else { IpFamily::Ipv4 },
        subnet,
        sub_pool,
        options: options.iter().map(|(key, value)| option(key, value)).collect(),
    })
}

/// RequestAddress as the engine says it: "" for any.
pub fn request_address(bench: &mut Bench, pool: &str, address: &str) -> Result<String, Error> {
    let address = (!address.is_empty()).then(|| address.parse::<IpAddr>().unwrap());
    bench.request_address(pool, address, &[]).map(|net| net.to_string())
}

pub fn release_address(bench: &mut Bench, pool: &str, address: &str) {
    bench.release_address(pool, address.parse().unwrap()).unwrap();
}
