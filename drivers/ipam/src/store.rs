//! Where the driver keeps its books, and what else it has from outside.

use wasmnet_sdk::{
    Error, clock, config, engine, host_networks,
    ipnet::IpNet,
    random,
    store::{self, Scope},
};

/// Keys and values that last. What a call wrote counts when the call succeeds, all of it or
/// nothing.
pub trait Store {
    /// The value of a key, this call's own writes included.
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error>;
    /// Writes a value.
    fn set(&mut self, key: &str, value: &[u8]) -> Result<(), Error>;
    /// Deletes a key; a missing one is fine.
    fn delete(&mut self, key: &str) -> Result<(), Error>;
    /// The keys that begin with `prefix`, sorted.
    fn keys(&self, prefix: &str) -> Result<Vec<String>, Error>;
}

/// What a call can learn about the world outside.
pub trait World {
    /// Nanoseconds since 1970.
    fn now(&self) -> u64;
    /// The engine's session: greater when the engine was started anew.
    fn session(&self) -> u64;
    /// A value of the operator's.
    fn config(&self, key: &str) -> Option<String>;
    /// What the host itself uses.
    fn networks(&self) -> Result<Vec<IpNet>, Error>;
    /// Random bytes.
    fn random(&self) -> [u8; 5];
}

/// The host's store and world.
#[derive(Debug, Clone, Copy)]
pub struct Host;

// === impl Host ===

impl Store for Host {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        store::get(Scope::Driver, key)
    }

    fn set(&mut self, key: &str, value: &[u8]) -> Result<(), Error> {
        store::set(Scope::Driver, key, value)
    }

    fn delete(&mut self, key: &str) -> Result<(), Error> {
        store::delete(Scope::Driver, key)
    }

    fn keys(&self, prefix: &str) -> Result<Vec<String>, Error> {
        store::keys(Scope::Driver, prefix)
    }
}

impl World for Host {
    fn now(&self) -> u64 {
        clock::wall()
    }

    fn session(&self) -> u64 {
        engine::session()
    }

    fn config(&self, key: &str) -> Option<String> {
        config::get(key)
    }

    fn networks(&self) -> Result<Vec<IpNet>, Error> {
        host_networks::in_use()?.into_iter().map(crate::net::net_in).collect()
    }

    fn random(&self) -> [u8; 5] {
        let mut five = [0; 5];
        for (to, from) in five.iter_mut().zip(random::bytes(5)) {
            *to = from;
        }
        five
    }
}
