//! Where the driver keeps its books, and what else it has from outside.

use wasmnet_sdk::{
    Error, clock,
    cluster::{self, Standing},
    config, engine, host_networks,
    ipnet::IpNet,
    log, random,
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

/// What the hosts of a cluster know in common. What is agreed stands at once, also when the
/// call fails.
pub trait Cluster {
    /// This host's id.
    fn node(&self) -> Result<String, Error>;
    /// What people call a host, if it is there.
    fn name_of(&self, node: &str) -> Option<String>;
    /// How this host stands with the others.
    fn presence(&self) -> Result<Standing, Error>;
    /// For how long a host has not been there, in nanoseconds; none: it is, or nobody knows.
    fn away(&self, node: &str) -> Result<Option<u64>, Error>;
    /// An agreed value.
    fn agreed(&self, key: &str) -> Result<Option<Vec<u8>>, Error>;
    /// The keys of agreed values that begin with `prefix`, sorted.
    fn agreed_keys(&self, prefix: &str) -> Result<Vec<String>, Error>;
    /// Writes `new` (none: deletes) if the value is `old` (none: absent); says whether it did.
    fn agree(&self, key: &str, old: Option<&[u8]>, new: Option<&[u8]>) -> Result<bool, Error>;
    /// Waits until a value is not `old`, for so many milliseconds, and says what it is.
    fn wait(&self, key: &str, old: Option<&[u8]>, patience: u32) -> Result<Option<Vec<u8>>, Error>;
    /// Has [`Ipam::agreed_changed`](crate::ipam::Ipam::agreed_changed) called in so many
    /// nanoseconds.
    fn call_later(&self, after: u64);
    /// Tells the operator.
    fn warn(&self, line: &str);
}

/// What a call can learn about the world outside.
pub trait World: Cluster {
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

impl Cluster for Host {
    fn node(&self) -> Result<String, Error> {
        Ok(cluster::this_node()?.id)
    }

    fn name_of(&self, node: &str) -> Option<String> {
        let nodes = cluster::nodes().ok()?;
        nodes.into_iter().find(|known| known.id == node).map(|known| known.name)
    }

    fn presence(&self) -> Result<Standing, Error> {
        cluster::presence()
    }

    fn away(&self, node: &str) -> Result<Option<u64>, Error> {
        cluster::away(node)
    }

    fn agreed(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        cluster::get(key)
    }

    fn agreed_keys(&self, prefix: &str) -> Result<Vec<String>, Error> {
        cluster::keys(prefix)
    }

    fn agree(&self, key: &str, old: Option<&[u8]>, new: Option<&[u8]>) -> Result<bool, Error> {
        cluster::compare_and_set(key, old, new)
    }

    fn wait(&self, key: &str, old: Option<&[u8]>, patience: u32) -> Result<Option<Vec<u8>>, Error> {
        cluster::wait(key, old, patience)
    }

    fn call_later(&self, after: u64) {
        // What then is late is done with the next call.
        let _ = cluster::call_later(after);
    }

    fn warn(&self, line: &str) {
        log::write(log::Level::Warn, line);
    }
}
