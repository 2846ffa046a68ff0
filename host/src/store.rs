//! The durable store: one redb file in the state directory.
//!
//! It knows tables, keys and bytes; what they mean is the [`ledger`](crate::ledger)'s
//! business. A batch is durable as a whole or not at all. One that need not last is kept in
//! memory until the store is flushed: only one transaction writes to the file at a time, and a
//! call that has to should not wait for what no call waits for.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction,
    backends::{FileBackend, InMemoryBackend},
};

use crate::private_dir::{self, PrivateDir};

/// The file in the state directory.
const FILE: &str = "state.redb";
/// Version of the layout: written into a new file, checked in an old one.
const LAYOUT: &[u8] = b"2";
/// The layout before it, which the [`ledger`](crate::ledger) brings up to date.
const OLD_LAYOUT: &[u8] = b"1";
const LAYOUT_KEY: &[u8] = b"layout";

/// The tables of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// Facts about the store itself.
    Meta,
    /// Networks by id.
    Networks,
    /// Endpoints by network and id.
    Endpoints,
    /// Kernel objects by what they belong to, and key.
    Objects,
    /// The drivers' own keys.
    Keys,
    /// What is published to other nodes.
    Published,
    /// The groups that networks follow.
    Followed,
    /// What all nodes agree on, where this one is alone.
    Agreed,
}

/// Rows to write (some) or delete (none), by table and key.
pub type Batch = BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>;

/// Keys and values of a table.
pub type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// How long a batch must last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// On disk when the write returns.
    Durable,
    /// In the file after the next flush, and on disk with the next durable batch after that;
    /// losing it does no harm.
    Relaxed,
}

/// An open store.
#[derive(Debug)]
pub struct Store {
    database: Database,
    /// What has been written since the last flush, and need not last.
    pending: Mutex<Batch>,
}

/// Why the store does not work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory, or a file in it, cannot be used.
    #[error("cannot use the state directory")]
    Directory(#[from] private_dir::Error),
    /// Another process holds it.
    #[error("another wasmnet daemon uses state directory {}; stop it first", .0.display())]
    InUse(PathBuf),
    /// The file is not a store, or is damaged.
    #[error("cannot open {}", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<redb::Error>,
    },
    /// A newer daemon wrote it.
    #[error("{} was written by a newer wasmnet; use that one or remove the file", .0.display())]
    Newer(PathBuf),
    /// Reading failed.
    #[error("cannot read the state")]
    Read(#[source] Box<redb::Error>),
    /// Writing failed: the disk is full or broken.
    #[error("cannot write the state")]
    Write(#[source] Box<redb::Error>),
}

// === impl Table ===

impl Table {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Meta,
        Self::Networks,
        Self::Endpoints,
        Self::Objects,
        Self::Keys,
        Self::Published,
        Self::Followed,
        Self::Agreed,
    ];

    fn definition(self) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
        TableDefinition::new(match self {
            Self::Meta => "meta",
            Self::Networks => "networks",
            Self::Endpoints => "endpoints",
            Self::Objects => "objects",
            Self::Keys => "keys",
            Self::Published => "published",
            Self::Followed => "followed",
            Self::Agreed => "agreed",
        })
    }
}

// === impl Store ===

impl Store {
    /// Opens the store in a directory, which is made if it is missing.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let dir = PrivateDir::open(directory)?;
        let path = dir.path_of(FILE);
        let file = dir.open_file(FILE)?;
        let failed = |error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => Error::InUse(directory.to_owned()),
            error => Error::Open { path: path.clone(), source: Box::new(error.into()) },
        };
        let backend = FileBackend::new(file).map_err(failed)?;
        let database = Database::builder().create_with_backend(backend).map_err(failed)?;
        let store = Self { database, pending: Mutex::default() };
        match store.layout()?.as_deref() {
            Some(LAYOUT | OLD_LAYOUT) => {}
            Some(_) => return Err(Error::Newer(path)),
            None => store.upgrade(Batch::new())?,
        }
        Ok(store)
    }

    /// A store that is gone with the process.
    pub fn in_memory() -> Result<Self, Error> {
        let failed = |error: redb::DatabaseError| Error::Open {
            path: PathBuf::from("(memory)"),
            source: Box::new(error.into()),
        };
        let database = Database::builder().create_with_backend(InMemoryBackend::new());
        Ok(Self { database: database.map_err(failed)?, pending: Mutex::default() })
    }

    /// Another one in memory with the rows that a crash at this moment would leave.
    pub fn copy(&self) -> Result<Self, Error> {
        let mut batch = Batch::new();
        for table in Table::ALL {
            let rows = self.rows(table)?.into_iter();
            batch.extend(rows.map(|(key, value)| ((table, key), Some(value))));
        }
        let copy = Self::in_memory()?;
        copy.write(&batch, Lasting::Durable)?;
        Ok(copy)
    }

    /// Whether its rows are of the layout before today's.
    pub fn is_outdated(&self) -> Result<bool, Error> {
        Ok(self.layout()?.as_deref() == Some(OLD_LAYOUT))
    }

    /// Writes what brings its rows to today's layout, and that they are of it.
    pub fn upgrade(&self, mut batch: Batch) -> Result<(), Error> {
        batch.insert((Table::Meta, LAYOUT_KEY.to_vec()), Some(LAYOUT.to_vec()));
        self.write(&batch, Lasting::Durable)
    }

    /// All rows of a table, as of the last durable batch or flush.
    pub fn rows(&self, table: Table) -> Result<Rows, Error> {
        self.try_rows(table).map_err(|error| Error::Read(Box::new(error)))
    }

    /// Writes a batch. Blocks until it is on disk, if it has to be.
    pub fn write(&self, batch: &Batch, lasting: Lasting) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        if lasting == Lasting::Relaxed {
            self.pending().extend(batch.iter().map(|(row, value)| (row.clone(), value.clone())));
            return Ok(());
        }
        self.try_write(batch).map_err(|error| Error::Write(Box::new(error)))
    }

    /// Writes what is pending into the file. Blocks while another transaction is under way.
    pub fn flush(&self) -> Result<(), Error> {
        self.try_flush().map_err(|error| Error::Write(Box::new(error)))
    }

    fn try_rows(&self, table: Table) -> Result<Rows, redb::Error> {
        let transaction = self.database.begin_read()?;
        let table = match transaction.open_table(table.definition()) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        table
            .iter()?
            .map(|row| {
                let (key, value) = row?;
                Ok((key.value().to_vec(), value.value().to_vec()))
            })
            .collect()
    }

    fn try_write(&self, batch: &Batch) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        // What is written now is later than what is pending.
        let superseded: Batch = {
            let mut pending = self.pending();
            batch.keys().filter_map(|row| pending.remove_entry(row)).collect()
        };
        commit(transaction, batch).inspect_err(|_| self.put_back(superseded))
    }

    fn try_flush(&self) -> Result<(), redb::Error> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::None)?;
        let batch = std::mem::take(&mut *self.pending());
        if batch.is_empty() {
            return Ok(transaction.abort()?);
        }
        commit(transaction, &batch).inspect_err(|_| self.put_back(batch))
    }

    /// Has rows pending again that could not be written, but for those written anew since.
    fn put_back(&self, batch: Batch) {
        let mut pending = self.pending();
        for (row, value) in batch {
            pending.entry(row).or_insert(value);
        }
    }

    fn pending(&self) -> MutexGuard<'_, Batch> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn layout(&self) -> Result<Option<Vec<u8>>, Error> {
        let mut rows = self.rows(Table::Meta)?.into_iter();
        Ok(rows.find(|(key, _)| key == LAYOUT_KEY).map(|(_, layout)| layout))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Err(error) = self.flush() {
            tracing::warn!(error = %crate::error::chain(&error), "some of the state is not written; nothing is lost by it");
        }
    }
}

fn commit(transaction: WriteTransaction, batch: &Batch) -> Result<(), redb::Error> {
    for table in Table::ALL {
        let mut rows = batch.iter().filter(|((of, _), _)| *of == table).peekable();
        if rows.peek().is_none() {
            continue;
        }
        let mut open = transaction.open_table(table.definition())?;
        for ((_, key), value) in rows {
            match value {
                Some(value) => drop(open.insert(key.as_slice(), value.as_slice())?),
                None => drop(open.remove(key.as_slice())?),
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(key: &str, value: Option<&str>) -> Batch {
        Batch::from([((Table::Keys, key.into()), value.map(|value| value.into()))])
    }

    fn names(store: &Store) -> Vec<String> {
        let rows = store.rows(Table::Keys).unwrap().into_iter();
        rows.map(|(key, _)| String::from_utf8(key).unwrap()).collect()
    }

    #[test]
    fn what_need_not_last_comes_with_the_next_flush() {
        let store = Store::in_memory().unwrap();
        store.write(&batch("a", Some("1")), Lasting::Relaxed).unwrap();
        store.write(&batch("b", Some("1")), Lasting::Durable).unwrap();
        assert_eq!(names(&store), ["b"]);
        assert_eq!(names(&store.copy().unwrap()), ["b"]);
        store.flush().unwrap();
        assert_eq!(names(&store), ["a", "b"]);
    }

    #[test]
    fn what_is_written_later_counts() {
        let store = Store::in_memory().unwrap();
        store.write(&batch("a", None), Lasting::Relaxed).unwrap();
        store.write(&batch("a", Some("again")), Lasting::Durable).unwrap();
        store.write(&batch("b", Some("old")), Lasting::Relaxed).unwrap();
        store.write(&batch("b", None), Lasting::Relaxed).unwrap();
        store.flush().unwrap();
        assert_eq!(names(&store), ["a"]);
        store.write(&batch("a", None), Lasting::Relaxed).unwrap();
        store.flush().unwrap();
        assert!(names(&store).is_empty());
    }

    #[test]
    fn a_store_that_is_closed_has_written_everything() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.write(&batch("a", Some("1")), Lasting::Relaxed).unwrap();
        drop(store);
        assert_eq!(names(&Store::open(dir.path()).unwrap()), ["a"]);
    }
}
