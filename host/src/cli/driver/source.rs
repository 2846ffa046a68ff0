//! Where components come from.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::registry;
use crate::{
    runtime::{COMPONENT_MAX, Facts},
    trust::signature_of,
};

/// What a reference to a registry begins with.
const OCI: &str = "oci://";

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum Error {
    /// The file cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is too much of it.
    #[error("the component is larger than {} MiB, the most that is accepted", COMPONENT_MAX >> 20)]
    TooLarge,
    /// The registry is not to be had.
    #[error(transparent)]
    Registry(#[from] registry::Error),
}

/// A component, and its signature if there is one.
pub(super) struct Fetched {
    pub(super) bytes: Vec<u8>,
    pub(super) signature: Option<String>,
}

/// Whether this is a reference to a registry.
pub(in crate::cli) fn is_reference(what: &str) -> bool {
    what.starts_with(OCI)
}

/// A component from wherever it is.
pub(super) async fn fetch(from: &str) -> Result<Fetched, Error> {
    match from.strip_prefix(OCI) {
        Some(reference) => Ok(registry::pull(reference).await?),
        None => read(Path::new(from)),
    }
}

/// A component from a file.
pub(super) fn read(path: &Path) -> Result<Fetched, Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Read { path, source }
    };
    let bytes = fs::read(path).map_err(failed(path))?;
    if bytes.len() > COMPONENT_MAX {
        return Err(Error::TooLarge);
    }
    let signature = signature_of(path);
    let signature = match fs::read_to_string(&signature) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(&signature)(error)),
    };
    Ok(Fetched { bytes, signature })
}

/// Pushes a component, and says where it is now, with its digest.
pub(super) async fn push(fetched: &Fetched, seen: &Facts, to: &str) -> Result<String, Error> {
    let reference = to.strip_prefix(OCI).unwrap_or(to);
    Ok(format!("{OCI}{}", registry::push(fetched, seen, reference).await?))
}
