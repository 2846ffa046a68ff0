//! The durable store: one redb file in the state directory.
//!
//! It knows tables, keys and bytes; what they mean is the [`ledger`](crate::ledger)'s
//! business. A batch is durable as a whole or not at all.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, TableDefinition,
    backends::{FileBackend, InMemoryBackend},
};

use crate::private_dir::{self, PrivateDir};

/// The file in the state directory.
const FILE: &str = "state.redb";
/// Version of the layout: written into a new file, checked in an old one.
const LAYOUT: &[u8] = b"1";
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
    /// Kernel objects by key.
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
    /// On disk with the next durable batch at the latest; losing it does no harm.
    Relaxed,
}

/// An open store.
#[derive(Debug)]
pub struct Store {
    database: Database,
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
        let store = Self { database };
        store.check_layout(path)?;
        Ok(store)
    }

    /// A store that is gone with the process.
    pub fn in_memory() -> Result<Self, Error> {
        let failed = |error: redb::DatabaseError| Error::Open {
            path: PathBuf::from("(memory)"),
            source: Box::new(error.into()),
        };
        let database = Database::builder().create_with_backend(InMemoryBackend::new());
        Ok(Self { database: database.map_err(failed)? })
    }

    /// Another one in memory with the same rows.
    pub fn copy(&self) -> Result<Self, Error> {
        let mut batch = Batch::new();
        for table in Table::ALL {
            let rows = self.rows(table)?.into_iter();
            batch.extend(rows.map(|(key, value)| ((table, key), Some(value))));
        }
        let copy = Self::in_memory()?;
        copy.write(&batch, Lasting::Relaxed)?;
        Ok(copy)
    }

    /// All rows of a table.
    pub fn rows(&self, table: Table) -> Result<Rows, Error> {
        self.try_rows(table).map_err(|error| Error::Read(Box::new(error)))
    }

    /// Writes a batch. Blocks until it is as lasting as asked for.
    pub fn write(&self, batch: &Batch, lasting: Lasting) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        self.try_write(batch, lasting).map_err(|error| Error::Write(Box::new(error)))
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

    fn try_write(&self, batch: &Batch, lasting: Lasting) -> Result<(), redb::Error> {
        let mut transaction = self.database.begin_write()?;
        if lasting == Lasting::Relaxed {
            transaction.set_durability(Durability::None)?;
        }
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

    fn check_layout(&self, path: PathBuf) -> Result<(), Error> {
        let rows = self.rows(Table::Meta)?;
        match rows.iter().find(|(key, _)| key == LAYOUT_KEY) {
            Some((_, layout)) if layout == LAYOUT => Ok(()),
            Some(_) => Err(Error::Newer(path)),
            None => {
                let row = ((Table::Meta, LAYOUT_KEY.to_vec()), Some(LAYOUT.to_vec()));
                self.write(&Batch::from([row]), Lasting::Durable)
            }
        }
    }
}
