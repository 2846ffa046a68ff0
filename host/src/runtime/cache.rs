//! Compiled code on disk, so that a restart compiles nothing.
//!
//! A file holds native code: whoever can write it owns the daemon. So the folder
//! is root's alone, only code that this host compiled goes in, and its name binds
//! what was compiled (the component's digest) to how (wasmtime's version, target and
//! configuration, in [`Engine::precompile_compatibility_hash`]).

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use wasmtime::{Engine, component::Component};

use super::{LoadError, compiler::Compiler};
use crate::{error::chain, private_dir::PrivateDir};

/// The folder with compiled code.
pub(super) struct Cache {
    folder: PrivateDir,
    compiler: Compiler,
    engine_hash: u64,
    misses: AtomicU64,
}

// === impl Cache ===

impl Cache {
    /// Opens the folder, which is made if it is missing.
    pub(super) fn open(
        folder: &Path,
        engine: &Engine,
        compiler: Compiler,
    ) -> Result<Self, LoadError> {
        let folder = PrivateDir::open(folder)?;
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let engine_hash = hasher.finish();
        Ok(Self { folder, compiler, engine_hash, misses: AtomicU64::new(0) })
    }

    /// The component with these bytes, compiled before or now.
    pub(super) async fn component<B: AsRef<[u8]> + Send + Sync + 'static>(
        &self,
        engine: &Engine,
        digest: &str,
        bytes: &Arc<B>,
    ) -> Result<Component, LoadError> {
        let name = format!("{digest}-{:016x}.cwasm", self.engine_hash);
        if let Some(component) = self.load(engine, &name) {
            return Ok(component);
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let code = self.compiler.compile(engine, bytes).await?;
        // Without a cache the daemon still works, only slower at the next start.
        if let Err(error) = self.folder.write(&name, &code) {
            tracing::warn!(name, error = %chain(&error), "cannot keep compiled code");
        }
        deserialize(engine, &code).map_err(LoadError::Compile)
    }

    /// How often there was nothing to load.
    pub(super) fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }

    fn load(&self, engine: &Engine, name: &str) -> Option<Component> {
        let code = match self.folder.read(name) {
            Ok(code) => code?,
            Err(error) => {
                tracing::warn!(name, error = %chain(&error), "compiled code cannot be read; compiling again");
                return None;
            }
        };
        match deserialize(engine, &code) {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!(name, %error, "compiled code cannot be used; compiling again");
                None
            }
        }
    }
}

#[allow(unsafe_code, reason = "wasmtime cannot check native code that it is given back")]
fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the code comes from our own compiler, or from a file that `component` above
    // wrote from it, into a directory that only the daemon's user can enter and that is opened
    // without following links; the file's name carries the engine's hash, and wasmtime checks
    // version and configuration again.
    unsafe { Component::deserialize(engine, code) }
}
