//! The files of an installed driver.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use std::io::Write;

use super::source::Fetched;
use crate::{
    config::{self, Digest},
    grants::Grants,
    id::DriverName,
    runtime::LoadError,
    trust::{self, signature_of},
};

/// Why a driver's files stay as they were.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum Error {
    /// It does not call itself anything.
    #[error(
        "the component does not call itself a name that Docker could use; choose one with --name"
    )]
    NoName,
    /// The name is taken.
    #[error(
        "there is a driver {0} already; \"wasmnet driver upgrade\" changes its component, --name gives this one another name"
    )]
    Exists(DriverName),
    /// Somebody else's file.
    #[error(
        "driver {0} was not installed: it is built in, or part of the daemon's config file; change it there"
    )]
    NotInstalled(DriverName),
    /// It cannot be a driver of this host's.
    #[error("this cannot be installed")]
    Component(#[source] LoadError),
    /// It is another component.
    #[error("the component's digest is {is}, and not {wanted}")]
    Digest {
        /// What it must be.
        wanted: Digest,
        /// What it is.
        is: Digest,
    },
    /// Who is trusted is not known.
    #[error(transparent)]
    Config(config::Error),
    /// It is not trusted.
    #[error("the component is not trusted")]
    Trust(#[source] trust::Error),
    /// Nobody is there to be asked.
    #[error("{text}nobody is at a terminal to grant that; --grant-all-permissions does")]
    NotAsked {
        /// What it wants.
        text: String,
    },
    /// The operator says no.
    #[error("{0} is as it was: not granted")]
    Refused(DriverName),
    /// A file cannot be used.
    #[error("cannot use {}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The driver's file cannot be understood.
    #[error("cannot understand {}", .path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: toml::de::Error,
    },
    /// It cannot be written down.
    #[error("cannot write down what {0} is granted")]
    Format(DriverName, #[source] toml::ser::Error),
}

/// A driver's file in `drivers.d`.
pub(super) struct Installed {
    name: DriverName,
    path: PathBuf,
}

/// How things were before.
pub(super) struct Undo {
    path: PathBuf,
    before: Option<Vec<u8>>,
    /// A component that was written.
    new: Option<PathBuf>,
    /// A component that nobody uses when all is done.
    old: Option<PathBuf>,
}

// === impl Installed ===

impl Installed {
    /// The file of a driver beside the daemon's config file.
    pub(super) fn of(config: &Path, name: &DriverName) -> Self {
        let path = config.with_file_name("drivers.d").join(format!("{name}.toml"));
        Self { name: name.clone(), path }
    }

    /// What the operator grants.
    pub(super) fn grants(&self) -> Result<Grants, Error> {
        let table = self.read()?.ok_or_else(|| Error::NotInstalled(self.name.clone()))?;
        let grants = table.get("grants").cloned().unwrap_or_else(|| toml::Table::new().into());
        let parse = |source| Error::Parse { path: self.path.clone(), source };
        grants.try_into().map_err(parse)
    }

    /// Writes component and file. What the operator has written beside is kept.
    pub(super) fn write(
        &self,
        components: &Path,
        fetched: &Fetched,
        digest: &str,
        grants: &Grants,
    ) -> Result<Undo, Error> {
        let mut table = self.read()?.unwrap_or_default();
        let before = self.bytes()?;
        let short: String = digest.trim_start_matches("sha256:").chars().take(16).collect();
        let component = components.join(format!("{}-{short}.wasm", self.name));
        let old = table.get("component").and_then(toml::Value::as_str).map(PathBuf::from);
        let ours = |path: &PathBuf| path.parent() == Some(components) && *path != component;
        let old = old.filter(ours);
        let format = |source| Error::Format(self.name.clone(), source);
        table.insert("component".to_owned(), component.display().to_string().into());
        table.insert("digest".to_owned(), digest.into());
        table.insert("grants".to_owned(), toml::Value::try_from(grants).map_err(format)?);
        let text = toml::to_string(&table).map_err(format)?;
        let new = (!component.exists()).then(|| component.clone());
        make_folder(components, 0o700)?;
        put(&component, &fetched.bytes)?;
        match &fetched.signature {
            Some(signature) => put(&signature_of(&component), signature.as_bytes())?,
            None => remove(&signature_of(&component))?,
        }
        let undo = Undo { path: self.path.clone(), before, new, old };
        if let Some(folder) = self.path.parent() {
            make_folder(folder, 0o755)?;
        }
        put(&self.path, text.as_bytes())?;
        Ok(undo)
    }

    /// Removes the file; the component goes when that is settled.
    pub(super) fn remove(&self) -> Result<Undo, Error> {
        let table = self.read()?.ok_or_else(|| Error::NotInstalled(self.name.clone()))?;
        let before = self.bytes()?;
        let component = table.get("component").and_then(toml::Value::as_str).map(PathBuf::from);
        // Only what was put there by us: NAME-DIGEST.wasm.
        let prefix = format!("{}-", self.name);
        let ours = |path: &PathBuf| {
            path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&prefix))
        };
        let old = component.filter(ours);
        fs::remove_file(&self.path).map_err(|source| self.failed(source))?;
        Ok(Undo { path: self.path.clone(), before, new: None, old })
    }

    fn read(&self) -> Result<Option<toml::Table>, Error> {
        let Some(bytes) = self.bytes()? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        let parse = |source| Error::Parse { path: self.path.clone(), source };
        text.parse().map(Some).map_err(parse)
    }

    fn bytes(&self) -> Result<Option<Vec<u8>>, Error> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.failed(source)),
        }
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::File { path: self.path.clone(), source }
    }
}

// === impl Undo ===

impl Undo {
    /// Puts everything back.
    pub(super) fn undo(self) -> Result<(), Error> {
        match &self.before {
            Some(before) => put(&self.path, before)?,
            None => remove(&self.path)?,
        }
        self.new.as_deref().map_or(Ok(()), remove_component)
    }

    /// It has worked: removes what nobody needs any more.
    pub(super) fn forget(self) -> Result<(), Error> {
        self.old.as_deref().map_or(Ok(()), remove_component)
    }
}

fn make_folder(path: &Path, mode: u32) -> Result<(), Error> {
    let made = fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    made.map_err(|source| Error::File { path: path.to_owned(), source })
}

/// Writes a file whole or not at all; only root can change it.
fn put(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    let unfinished = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(&unfinished)
        .map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&unfinished, path).map_err(failed)
}

fn remove_component(path: &Path) -> Result<(), Error> {
    remove(path)?;
    remove(&signature_of(path))
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::File { path: path.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}
