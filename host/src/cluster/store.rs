//! What a cluster needs of a store: keys and values with revisions, leases and watches, as
//! etcd has them.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;

use super::Session;
use crate::store as durable;

/// A store that all nodes share. Its whole content has one revision, which each write
/// counts up.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug {
    /// Its kind, as in the config: "etcd".
    fn kind(&self) -> &'static str;

    /// Where it is, for people.
    fn endpoints(&self) -> Vec<String>;

    /// The value of a key, as all nodes agree it is.
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error>;

    /// The rows whose keys begin with `prefix`, by key, without their values if only keys
    /// are wanted.
    async fn list(&self, prefix: &str, keys_only: bool) -> Result<Listing, Error>;

    /// Writes `new` (none: deletes) if the value is `old` (none: absent) and says whether it
    /// did, unless the session is over ([`Error::Superseded`]).
    async fn compare_and_set(
        &self,
        session: &Session,
        key: &str,
        old: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<bool, Error>;

    /// A lease that ends when nobody keeps it alive for this long.
    async fn grant(&self, time: Duration) -> Result<Lease, Error>;

    /// Keeps it alive; false: it has ended.
    async fn keep_alive(&self, lease: Lease) -> Result<bool, Error>;

    /// The lease that a key goes with; none: none, or there is no such key.
    async fn lease_of(&self, key: &str) -> Result<Option<Lease>, Error>;

    /// The keys that go with a lease, in any order; none if it has ended.
    async fn keys_of(&self, lease: Lease) -> Result<Vec<String>, Error>;

    /// Begins a session, and ends those that the node had before: what was to be written in
    /// them and has not been never will be.
    async fn begin(&self, session: &Session) -> Result<(), Error>;

    /// Writes all or nothing, unless the session is over ([`Error::Superseded`]). What is put
    /// goes when the lease ends.
    async fn write(&self, session: &Session, writes: &[Write]) -> Result<(), Error>;

    /// What changes among the keys that begin with `prefix`, from a revision on.
    async fn watch(&self, prefix: &str, from: u64) -> Result<Box<dyn Watch>, Error>;
}

/// Changes as they come.
#[async_trait]
pub trait Watch: Send {
    /// The next ones. After an error there are no more, and some may be missing.
    async fn next(&mut self) -> Result<Vec<Change>, Error>;
}

/// What binds keys to the life of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lease(pub i64);

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The key.
    pub key: String,
    /// Its value.
    pub value: Vec<u8>,
    /// The store's revision when it was written.
    pub revision: u64,
}

/// Rows as they are at a revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The store's revision.
    pub revision: u64,
    /// The rows.
    pub rows: Vec<Row>,
}

/// Something to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Key and value.
    Put(String, Vec<u8>),
    /// A key that goes.
    Delete(String),
}

/// Something that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A key has this value.
    Put(Row),
    /// A key is gone.
    Deleted(String),
}

/// Why the store, or what it is asked for, does not work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answers, or nobody who may.
    #[error("the cluster store cannot be reached: {0}; what needs agreement waits for it")]
    Unreachable(String),
    /// The answer did not come.
    #[error(
        "the cluster store cannot be reached; whether it has written what it was asked to, is \
         not known"
    )]
    Unknown,
    /// It does not want to.
    #[error("the cluster store refuses: {0}")]
    Refused(String),
    /// The lease has ended.
    #[error("the node's lease in the cluster store has ended")]
    NoLease,
    /// Another session of the node has begun.
    #[error(
        "somebody else has written to the cluster store as this node; do two hosts have the \
         same state directory, or copies of it?"
    )]
    Superseded,
    /// What changed is not known any more.
    #[error("the cluster store has forgotten what changed meanwhile")]
    Compacted,
    /// This host does not know how others reach it.
    #[error("this host has no default route to tell its address by; set node.address")]
    NoAddress,
    /// The store has not been read yet.
    #[error("what other nodes publish is not known yet")]
    NotKnownYet,
    /// The host's own store failed.
    #[error(transparent)]
    Durable(#[from] durable::Error),
}

/// A store that can be read, and whose writes nobody sees: for calls that are rehearsed.
#[derive(Debug)]
pub(super) struct Rehearsal {
    of: Arc<dyn Store>,
    written: Mutex<BTreeMap<String, Option<Vec<u8>>>>,
}

// === impl Rehearsal ===

impl Rehearsal {
    pub(super) fn new(of: Arc<dyn Store>) -> Self {
        Self { of, written: Mutex::default() }
    }

    fn written(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Option<Vec<u8>>>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for Rehearsal {
    fn kind(&self) -> &'static str {
        self.of.kind()
    }

    fn endpoints(&self) -> Vec<String> {
        self.of.endpoints()
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let written = self.written().get(key).cloned();
        match written {
            Some(value) => Ok(value),
            None => self.of.get(key).await,
        }
    }

    async fn list(&self, prefix: &str, keys_only: bool) -> Result<Listing, Error> {
        let Listing { revision, rows } = self.of.list(prefix, keys_only).await?;
        let mut rows: BTreeMap<_, _> = rows.into_iter().map(|row| (row.key.clone(), row)).collect();
        for (key, value) in self.written().iter().filter(|(key, _)| key.starts_with(prefix)) {
            let row = |value: &Vec<u8>| Row { key: key.clone(), value: value.clone(), revision };
            match value {
                Some(value) => drop(rows.insert(key.clone(), row(value))),
                None => drop(rows.remove(key)),
            }
        }
        Ok(Listing { revision, rows: rows.into_values().collect() })
    }

    async fn compare_and_set(
        &self,
        _session: &Session,
        key: &str,
        old: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<bool, Error> {
        let is_old = self.get(key).await?.as_deref() == old;
        if is_old {
            self.written().insert(key.to_owned(), new.map(<[u8]>::to_vec));
        }
        Ok(is_old)
    }

    async fn grant(&self, _time: Duration) -> Result<Lease, Error> {
        Err(Error::NoLease)
    }

    async fn keep_alive(&self, _lease: Lease) -> Result<bool, Error> {
        Ok(false)
    }

    async fn lease_of(&self, key: &str) -> Result<Option<Lease>, Error> {
        self.of.lease_of(key).await
    }

    async fn keys_of(&self, lease: Lease) -> Result<Vec<String>, Error> {
        self.of.keys_of(lease).await
    }

    async fn begin(&self, _session: &Session) -> Result<(), Error> {
        Err(Error::NoLease)
    }

    async fn write(&self, _session: &Session, _writes: &[Write]) -> Result<(), Error> {
        Err(Error::NoLease)
    }

    async fn watch(&self, prefix: &str, from: u64) -> Result<Box<dyn Watch>, Error> {
        self.of.watch(prefix, from).await
    }
}
