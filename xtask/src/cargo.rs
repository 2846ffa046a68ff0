//! What cargo does for us.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

use crate::command::{self, follow, show};
use crate::steps::Live;

/// The daemon's program.
const DAEMON: &str = "wasmnet";
/// The program of the end-to-end tests.
const TESTS: &str = "e2e";
/// How that is built, as a person would type it; the whole workspace's features, as the daemon.
pub const BUILD_TESTS: &str = "cargo test --workspace --test e2e --no-run";

/// What the daemon is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Work and tests: with debug assertions, and quick to build.
    Development,
    /// Users.
    Release,
}

/// What cargo did not do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Cargo failed.
    #[error(transparent)]
    Cargo(#[from] command::Error),
    /// Cargo did not say where the program is.
    #[error("cargo built no program `{0}`")]
    NoProgram(&'static str),
    /// Cargo did not say where it builds.
    #[error("cargo tells no target directory")]
    NoTarget,
}

// === impl Profile ===

impl Profile {
    /// How the daemon is built, as a person would type it.
    pub fn command(self) -> &'static str {
        match self {
            // With the workspace's features, not the package's: the tests build with them too,
            // and the WebAssembly engine would be compiled a second time for others.
            Self::Development => "cargo build --workspace --bin wasmnet",
            Self::Release => "cargo build --bin wasmnet --release",
        }
    }
}

/// Builds the daemon and returns its program.
pub fn build_daemon(live: &mut Live<'_>, profile: Profile) -> Result<PathBuf, Error> {
    build(live, profile.command(), DAEMON)
}

/// Builds the end-to-end tests and returns their program.
pub fn build_tests(live: &mut Live<'_>) -> Result<PathBuf, Error> {
    build(live, BUILD_TESTS, TESTS)
}

fn build(live: &mut Live<'_>, command: &str, name: &'static str) -> Result<PathBuf, Error> {
    let mut cargo = cargo();
    cargo.args(command.split(' ').skip(1));
    // Cargo itself says where the program is: the folder depends on the user's settings.
    cargo.args(["--message-format", "json-render-diagnostics"]);
    let messages = follow(cargo, |line| live.show(line))?;
    messages.lines().find_map(|message| program(message, name)).ok_or(Error::NoProgram(name))
}

/// Builds a component of this workspace and returns its file. It goes where the build
/// scripts put theirs.
pub fn build_component(live: &mut Live<'_>, package: &str) -> Result<PathBuf, Error> {
    const TARGET: &str = "wasm32-wasip2";
    let folder = target_dir()?.join("components");
    let mut cargo = cargo();
    cargo.args(["build", "--profile", "component", "--target", TARGET, "--package", package]);
    cargo.arg("--target-dir").arg(&folder);
    follow(cargo, |line| live.show(line))?;
    let file = format!("{}.wasm", package.replace('-', "_"));
    Ok(folder.join(TARGET).join("component").join(file))
}

/// Runs the tests and returns the runner's exit code.
pub fn test(filters: &[String]) -> Result<u8, command::Error> {
    let mut cargo = cargo();
    // After "--" there may be several filters, before it only one.
    cargo.args(["test", "--workspace", "--no-fail-fast", "--"]).args(filters);
    show(cargo)
}

/// Runs one test of the end-to-end tests, showing what it says, and returns the runner's
/// exit code.
pub fn test_one(
    name: &str,
    environment: impl IntoIterator<Item = (&'static str, String)>,
) -> Result<u8, command::Error> {
    let mut cargo = cargo();
    // The whole workspace's features, as above.
    cargo.args(["test", "--workspace", "--test", "e2e", "--", "--exact", "--nocapture", name]);
    cargo.envs(environment);
    show(cargo)
}

/// Checks formatting and lints, both in any case, and returns an exit code.
pub fn check() -> Result<u8, command::Error> {
    let mut format = cargo();
    format.args(["fmt", "--all", "--check"]);
    let mut lint = cargo();
    lint.args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    let codes = [show(format)?, show(lint)?];
    Ok(codes.into_iter().find(|code| *code != 0).unwrap_or(0))
}

/// Cargo, in the workspace's root: the same one that runs us, if one does.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Where cargo puts what it makes.
pub fn target_dir() -> Result<PathBuf, Error> {
    let mut cargo = cargo();
    cargo.args(["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: Option<Value> = serde_json::from_str(&follow(cargo, |_| {})?).ok();
    let target = metadata.as_ref().and_then(|metadata| metadata.get("target_directory")?.as_str());
    target.map(PathBuf::from).ok_or(Error::NoTarget)
}

/// The workspace's root: of the clone that cargo runs us for, which need not be the one we were
/// compiled in, if they share a target directory.
pub fn root() -> &'static Path {
    static PACKAGE: LazyLock<PathBuf> = LazyLock::new(|| {
        let package = env::var_os("CARGO_MANIFEST_DIR");
        package.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
    });
    PACKAGE.parent().unwrap_or(&PACKAGE)
}

/// The file of a program of this name, if this message of cargo's tells it.
fn program(message: &str, name: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_it = message.get("target")?.get("name")? == name;
    let file = message.get("executable")?.as_str()?;
    is_it.then(|| PathBuf::from(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_among_the_messages() {
        let library = r#"{"reason":"compiler-artifact","target":{"name":"wasmnet","kind":["lib"]},"executable":null}"#;
        let other =
            r#"{"reason":"compiler-artifact","target":{"name":"xtask"},"executable":"/t/xtask"}"#;
        let daemon = r#"{"reason":"compiler-artifact","target":{"name":"wasmnet"},"executable":"/t/wasmnet"}"#;
        for message in [library, other, "Compiling"] {
            assert_eq!(program(message, DAEMON), None, "{message}");
        }
        assert_eq!(program(daemon, DAEMON), Some(PathBuf::from("/t/wasmnet")));
    }
}
