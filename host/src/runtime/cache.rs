//! Compiled code on disk, so that a restart compiles nothing.
//!
//! A file holds native code: whoever can write it owns the daemon. So the folder
//! is root's alone, only code that this host compiled goes in, and its name binds
//! what was compiled (the component's digest) to how (wasmtime's version, target and
//! configuration, in [`Engine::precompile_compatibility_hash`]).

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use wasmtime::{Engine, component::Component};

use super::LoadError;

/// The folder with compiled code.
pub(super) struct Cache {
    folder: PathBuf,
    engine_hash: u64,
    misses: AtomicU64,
}

// === impl Cache ===

impl Cache {
    /// Opens the folder, which is made if it is missing.
    pub(super) fn open(folder: &Path, engine: &Engine) -> Result<Self, LoadError> {
        let unusable = |source| LoadError::Cache { path: folder.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(unusable)?;
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let engine_hash = hasher.finish();
        Ok(Self { folder: folder.to_owned(), engine_hash, misses: AtomicU64::new(0) })
    }

    /// The component with these bytes, compiled before or now.
    pub(super) fn component(
        &self,
        engine: &Engine,
        digest: &str,
        bytes: &[u8],
    ) -> Result<Component, LoadError> {
        let path = self.folder.join(format!("{digest}-{:016x}.cwasm", self.engine_hash));
        if let Some(component) = load(engine, &path) {
            return Ok(component);
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let component = Component::from_binary(engine, bytes).map_err(LoadError::Compile)?;
        // Without a cache the daemon still works, only slower at the next start.
        let stored = component
            .serialize()
            .map_err(|error| error.to_string())
            .and_then(|code| store(&path, &code).map_err(|error| error.to_string()));
        if let Err(error) = stored {
            tracing::warn!(path = %path.display(), error, "cannot keep compiled code");
        }
        Ok(component)
    }

    /// How often there was nothing to load.
    pub(super) fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }
}

#[allow(unsafe_code, reason = "wasmtime cannot check native code that it is given back")]
fn load(engine: &Engine, path: &Path) -> Option<Component> {
    if !path.exists() {
        return None;
    }
    // SAFETY: the file was written by `store` below from `Component::serialize`, into a
    // folder that only root can write to; its name carries the engine's hash, and
    // wasmtime checks version and configuration again.
    match unsafe { Component::deserialize_file(engine, path) } {
        Ok(component) => Some(component),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "compiled code cannot be used; compiling again");
            None
        }
    }
}

/// Writes a file so that nobody ever sees half of it.
fn store(path: &Path, code: &[u8]) -> std::io::Result<()> {
    let unfinished = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(code)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}
