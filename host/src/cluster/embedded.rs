//! A cluster of one: what is agreed stands in the host's own state, and what is published
//! is known at once.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{Error, Lease, Listing, Memory, Prefix, Session, Store, Watch, Write};
use crate::store::{self as durable, Batch, Lasting, Table};

/// A store for this host alone.
#[derive(Debug)]
pub struct Embedded {
    memory: Memory,
    disk: Arc<durable::Store>,
    /// What the keys begin with that have to last.
    agreed: String,
    /// Held while an agreed value is written.
    writing: tokio::sync::Mutex<()>,
}

// === impl Embedded ===

impl Embedded {
    /// Reads what was agreed.
    pub fn open(disk: Arc<durable::Store>, prefix: &Prefix) -> Result<Self, Error> {
        let (agreed, memory) = (prefix.all_agreed(), Memory::default());
        let rows = disk.rows(Table::Agreed)?.into_iter();
        // Without the prefix, so that another one does not lose them.
        let row = |(key, value): (Vec<u8>, Vec<u8>)| {
            Some((format!("{agreed}{}", String::from_utf8(key).ok()?), value))
        };
        memory.load(rows.filter_map(row));
        Ok(Self { memory, disk, agreed, writing: tokio::sync::Mutex::default() })
    }
}

#[async_trait]
impl Store for Embedded {
    fn kind(&self) -> &'static str {
        "embedded"
    }

    fn endpoints(&self) -> Vec<String> {
        Vec::new()
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        self.memory.get(key).await
    }

    async fn list(&self, prefix: &str, keys_only: bool) -> Result<Listing, Error> {
        self.memory.list(prefix, keys_only).await
    }

    async fn compare_and_set(
        &self,
        session: &Session,
        key: &str,
        old: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<bool, Error> {
        let _alone = self.writing.lock().await;
        if self.memory.get(key).await?.as_deref() != old {
            return Ok(false);
        }
        if let Some(lasting) = key.strip_prefix(&self.agreed) {
            let row = ((Table::Agreed, lasting.into()), new.map(<[u8]>::to_vec));
            let (disk, batch) = (Arc::clone(&self.disk), Batch::from([row]));
            let write = move || disk.write(&batch, Lasting::Durable);
            let written = tokio::task::spawn_blocking(write).await;
            written.map_err(|error| Error::Refused(error.to_string()))??;
        }
        self.memory.compare_and_set(session, key, old, new).await
    }

    async fn grant(&self, time: Duration) -> Result<Lease, Error> {
        self.memory.grant(time).await
    }

    async fn keep_alive(&self, lease: Lease) -> Result<bool, Error> {
        self.memory.keep_alive(lease).await
    }

    async fn lease_of(&self, key: &str) -> Result<Option<Lease>, Error> {
        self.memory.lease_of(key).await
    }

    async fn keys_of(&self, lease: Lease) -> Result<Vec<String>, Error> {
        self.memory.keys_of(lease).await
    }

    async fn begin(&self, session: &Session) -> Result<(), Error> {
        self.memory.begin(session).await
    }

    async fn write(&self, session: &Session, writes: &[Write]) -> Result<(), Error> {
        self.memory.write(session, writes).await
    }

    async fn watch(&self, prefix: &str, from: u64) -> Result<Box<dyn Watch>, Error> {
        self.memory.watch(prefix, from).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_agreed_lasts_and_can_be_read_with_another_prefix() {
        let disk = Arc::new(durable::Store::in_memory().unwrap());
        let prefix = |text: &str| Prefix::try_from(text.to_owned()).unwrap();
        let acme = "acme".parse().unwrap();
        let open = async |of: &Prefix| {
            let store = Embedded::open(Arc::clone(&disk), of).unwrap();
            let lease = store.grant(Duration::from_secs(1)).await.unwrap();
            let session = Session { lease, prefix: "/s/".to_owned(), key: "/s/1".to_owned() };
            store.begin(&session).await.unwrap();
            (store, session)
        };
        let (one, other) = (prefix("/one"), prefix("/other"));
        let (store, session) = open(&one).await;
        for (old, new, done) in [
            (None, Some("a"), true),
            (None, Some("b"), false),
            (Some("a"), Some("b"), true),
            (Some("a"), None, false),
        ] {
            let bytes = |text: Option<&'static str>| text.map(str::as_bytes);
            let key = one.agreed(&acme, "k");
            assert_eq!(
                store.compare_and_set(&session, &key, bytes(old), bytes(new)).await.unwrap(),
                done,
                "{old:?} {new:?}"
            );
        }
        let (again, session) = open(&other).await;
        let key = other.agreed(&acme, "k");
        assert_eq!(again.get(&key).await.unwrap(), Some(b"b".to_vec()));
        assert!(again.compare_and_set(&session, &key, Some(b"b"), None).await.unwrap());
        assert!(open(&one).await.0.list("/one", false).await.unwrap().rows.is_empty());
    }
}
