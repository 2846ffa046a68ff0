//! Builds a driver component of this workspace from a build script, so that
//! `cargo build` alone gives a daemon with its drivers inside and tests with
//! their guest programs.
//!
//! The components get a target directory of their own: cargo holds a lock on
//! the one the build script runs under.

use std::{
    env, io,
    path::{Path, PathBuf},
    process::Command,
};

/// Where drivers run.
const TARGET: &str = "wasm32-wasip2";

/// Why a component could not be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A variable that cargo sets for build scripts is missing.
    #[error("{0} is not set: call this from a build script")]
    Environment(&'static str, #[source] env::VarError),
    /// Cargo could not be started.
    #[error("cannot run cargo")]
    Run(#[source] io::Error),
    /// Cargo ran and failed; it printed why.
    #[error(
        "{package} does not build for {TARGET} (if the target is missing: rustup target add {TARGET})"
    )]
    Build {
        /// The package that was built.
        package: String,
    },
}

/// Builds `package`, whose sources lie in `folder` below the workspace's root,
/// and returns the path of its `.wasm` file. The build script runs again when
/// the package, the SDK or the contract changes.
#[allow(clippy::print_stdout, reason = "printing is how a build script talks to cargo")]
pub fn component(package: &str, folder: &str) -> Result<PathBuf, Error> {
    let root = workspace_root()?;
    for watched in [folder, "sdk/src", "sdk/Cargo.toml", "wit", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }

    let target_dir = variable("OUT_DIR").map(|out| shared_target_dir(Path::new(&out)))?;
    let mut cargo = Command::new(variable("CARGO")?);
    cargo
        .current_dir(&root)
        .args(["build", "--profile", "component", "--target", TARGET, "--package", package])
        .arg("--target-dir")
        .arg(&target_dir)
        // Flags and wrappers meant for the host's build (coverage, clippy) do not fit the guest's.
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("RUSTC_WRAPPER");
    let status = cargo.status().map_err(Error::Run)?;
    if !status.success() {
        return Err(Error::Build { package: package.to_owned() });
    }
    let file = format!("{}.wasm", package.replace('-', "_"));
    Ok(target_dir.join(TARGET).join("component").join(file))
}

/// `target/components`, found from OUT_DIR (`target/PROFILE/build/PACKAGE/out`).
fn shared_target_dir(out_dir: &Path) -> PathBuf {
    out_dir.ancestors().nth(4).unwrap_or(out_dir).join("components")
}

fn workspace_root() -> Result<PathBuf, Error> {
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    Ok(manifest
        .ancestors()
        .find(|folder| folder.join("Cargo.lock").exists())
        .unwrap_or(&manifest)
        .to_path_buf())
}

fn variable(name: &'static str) -> Result<String, Error> {
    env::var(name).map_err(|error| Error::Environment(name, error))
}
