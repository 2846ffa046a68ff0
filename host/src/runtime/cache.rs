//! Compiled code on disk, so that a restart compiles nothing.
//!
//! A file holds native code: whoever can write it owns the daemon. So the folder
//! is root's alone, only code that this host compiled goes in, and its name binds
//! what was compiled (the component's digest) to how (wasmtime's version, target and
//! configuration, in [`Engine::precompile_compatibility_hash`]).

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use wasmtime::{Engine, component::Component};

use super::LoadError;
use crate::private_dir::PrivateDir;

/// The folder with compiled code.
pub(super) struct Cache {
    folder: PrivateDir,
    engine_hash: u64,
    misses: AtomicU64,
}

// === impl Cache ===

impl Cache {
    /// Opens the folder, which is made if it is missing.
    pub(super) fn open(folder: &Path, engine: &Engine) -> Result<Self, LoadError> {
        let folder = PrivateDir::open(folder)?;
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let engine_hash = hasher.finish();
        Ok(Self { folder, engine_hash, misses: AtomicU64::new(0) })
    }

    /// The component with these bytes, compiled before or now.
    pub(super) fn component(
        &self,
        engine: &Engine,
        digest: &str,
        bytes: &[u8],
    ) -> Result<Component, LoadError> {
        let name = format!("{digest}-{:016x}.cwasm", self.engine_hash);
        if let Some(component) = self.load(engine, &name) {
            return Ok(component);
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let component = Component::from_binary(engine, bytes).map_err(LoadError::Compile)?;
        // Without a cache the daemon still works, only slower at the next start.
        let kept = component
            .serialize()
            .map_err(|error| error.to_string())
            .and_then(|code| self.folder.write(&name, &code).map_err(|error| error.to_string()));
        if let Err(error) = kept {
            tracing::warn!(name, error, "cannot keep compiled code");
        }
        Ok(component)
    }

    /// How often there was nothing to load.
    pub(super) fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }

    #[allow(unsafe_code, reason = "wasmtime cannot check native code that it is given back")]
    fn load(&self, engine: &Engine, name: &str) -> Option<Component> {
        let code = self.folder.read(name).ok().flatten()?;
        // SAFETY: the file was written by `component` above from `Component::serialize`,
        // into a directory that only the daemon's user can enter and that is opened without
        // following links; its name carries the engine's hash, and wasmtime checks version
        // and configuration again.
        match unsafe { Component::deserialize(engine, code) } {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!(name, %error, "compiled code cannot be used; compiling again");
                None
            }
        }
    }
}
