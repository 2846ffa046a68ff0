//! Drivers' files: reading them, and `wasmnet driver annotate`.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::args::Annotate;
use crate::runtime::{LoadError, Manifest, read_component};

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// It cannot be read.
    #[error("cannot read {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// It cannot be written.
    #[error("cannot write {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
    /// The manifest has a mistake.
    #[error("{}, line {line}: {}", .path.display(), .message.replace('\n', " "))]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Where in it.
        line: usize,
        /// What.
        message: String,
    },
    /// It is no component.
    #[error("{}", .0.display())]
    Component(PathBuf, #[source] LoadError),
}

/// Reads a component.
pub(super) fn component(path: &Path) -> Result<Vec<u8>, Error> {
    read_component(path).map_err(|error| Error::Read(path.to_owned(), error))
}

/// Writes a manifest into a component.
pub(super) fn annotate(options: &Annotate) -> Result<(), Error> {
    let Annotate { file, manifest: from, output } = options;
    let text = fs::read_to_string(from).map_err(|error| Error::Read(from.clone(), error))?;
    let manifest = Manifest::from_toml(&text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let (path, line) = (from.clone(), before.matches('\n').count() + 1);
        Error::Manifest { path, line, message: error.message().to_owned() }
    })?;
    let annotated = manifest.write_into(&component(file)?);
    let annotated = annotated.map_err(|error| Error::Component(file.clone(), error))?;
    let to = output.as_ref().unwrap_or(file);
    replace(to, &annotated).map_err(|error| Error::Write(to.clone(), error))
}

/// Writes a file whole or not at all.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = fs::File::create_new(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    });
    if written.is_err() {
        // What is not there need not go.
        let _ = fs::remove_file(&temporary);
    }
    written
}
