use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use wasmnet::cluster::{Change, Error, Lease, Listing, Memory, Session, Store, Watch, Write};

/// What has been read and written, by all who share it.
#[derive(Debug, Default)]
pub struct Counts {
    pub requests: AtomicUsize,
    pub read_rows: AtomicUsize,
    pub read_bytes: AtomicUsize,
    pub written_rows: AtomicUsize,
}

/// One node's way to a store in memory.
#[derive(Debug)]
pub struct Counted {
    pub memory: Memory,
    pub counts: Arc<Counts>,
}

struct CountedWatch {
    watch: Box<dyn Watch>,
    counts: Arc<Counts>,
}

// === impl Counts ===

impl Counts {
    fn read<'a>(&self, rows: impl IntoIterator<Item = (&'a str, usize)>) {
        for (key, value) in rows {
            self.read_rows.fetch_add(1, Ordering::Relaxed);
            self.read_bytes.fetch_add(key.len() + value, Ordering::Relaxed);
        }
    }

    fn request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }
}

// === impl Counted ===

#[async_trait]
impl Store for Counted {
    fn kind(&self) -> &'static str {
        "counted"
    }

    fn endpoints(&self) -> Vec<String> {
        Vec::new()
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        self.counts.request();
        let value = self.memory.get(key).await?;
        self.counts.read(value.iter().map(|value| (key, value.len())));
        Ok(value)
    }

    async fn list(&self, prefix: &str, keys_only: bool) -> Result<Listing, Error> {
        self.counts.request();
        let listing = self.memory.list(prefix, keys_only).await?;
        let size = |value: &Vec<u8>| if keys_only { 0 } else { value.len() };
        self.counts.read(listing.rows.iter().map(|row| (row.key.as_str(), size(&row.value))));
        Ok(listing)
    }

    async fn compare_and_set(
        &self,
        session: &Session,
        key: &str,
        old: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<bool, Error> {
        self.counts.request();
        self.memory.compare_and_set(session, key, old, new).await
    }

    async fn grant(&self, time: Duration) -> Result<Lease, Error> {
        self.counts.request();
        self.memory.grant(time).await
    }

    async fn keep_alive(&self, lease: Lease) -> Result<bool, Error> {
        self.counts.request();
        self.memory.keep_alive(lease).await
    }

    async fn lease_of(&self, key: &str) -> Result<Option<Lease>, Error> {
        self.counts.request();
        self.memory.lease_of(key).await
    }

    async fn keys_of(&self, lease: Lease) -> Result<Vec<String>, Error> {
        self.counts.request();
        let keys = self.memory.keys_of(lease).await?;
        self.counts.read(keys.iter().map(|key| (key.as_str(), 0)));
        Ok(keys)
    }

    async fn begin(&self, session: &Session) -> Result<(), Error> {
        self.counts.request();
        self.counts.written_rows.fetch_add(1, Ordering::Relaxed);
        self.memory.begin(session).await
    }

    async fn write(&self, session: &Session, writes: &[Write]) -> Result<(), Error> {
        self.counts.request();
        self.counts.written_rows.fetch_add(writes.len(), Ordering::Relaxed);
        self.memory.write(session, writes).await
    }

    async fn watch(&self, prefix: &str, from: u64) -> Result<Box<dyn Watch>, Error> {
        self.counts.request();
        let watch = self.memory.watch(prefix, from).await?;
        Ok(Box::new(CountedWatch { watch, counts: Arc::clone(&self.counts) }))
    }
}

// === impl CountedWatch ===

#[async_trait]
impl Watch for CountedWatch {
    async fn next(&mut self) -> Result<Vec<Change>, Error> {
        let changes = self.watch.next().await?;
        self.counts.read(changes.iter().map(|change| match change {
            Change::Put(row) => (row.key.as_str(), row.value.len()),
            Change::Deleted(key) => (key.as_str(), 0),
        }));
        Ok(changes)
    }
}
