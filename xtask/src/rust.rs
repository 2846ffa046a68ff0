//! Parts of Rust that a plain installation lacks.

use std::path::Path;
use std::process::Command;

use crate::cargo::{cargo, root};
use crate::command::{self, follow};
use crate::programs;
use crate::steps::{Failed, Steps};

/// What drivers are compiled for.
const TARGET: &str = "wasm32-wasip2";

/// Why a part could not be added.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// Rust is not from rustup.
    #[error("`rustup` is not here; add {0} the way this Rust was installed")]
    NoRustup(&'static str),
    /// Rustup failed.
    #[error(transparent)]
    Add(#[from] command::Error),
}

/// Adds the target that drivers are compiled for, if it is missing.
pub fn target(steps: &mut Steps) -> Result<(), Failed> {
    if has_target() {
        return Ok(());
    }
    add(steps, "add a target to Rust", "the target wasm32-wasip2", &["target", "add", TARGET])
}

/// Adds formatter and linter, if they are missing.
pub fn components(steps: &mut Steps) -> Result<(), Failed> {
    if has_subcommand("fmt") && has_subcommand("clippy") {
        return Ok(());
    }
    let words = ["component", "add", "rustfmt", "clippy"];
    add(steps, "add tools to Rust", "rustfmt and clippy", &words)
}

fn add(
    steps: &mut Steps,
    what: &str,
    part: &'static str,
    words: &[&'static str],
) -> Result<(), Failed> {
    steps.step(what, &format!("rustup {}", words.join(" ")), |live| {
        if programs::find("rustup").is_none() {
            return Err(Error::NoRustup(part));
        }
        let mut rustup = Command::new("rustup");
        // In the workspace: a folder may have a Rust of its own.
        rustup.current_dir(root()).args(words);
        follow(rustup, |line| live.show(line))?;
        Ok(())
    })
}

/// Whether the compiler has the target's standard library. Asked of the compiler, since
/// rustup is not the only way to install it.
fn has_target() -> bool {
    let mut rustc = Command::new("rustc");
    rustc.current_dir(root()).args(["--print", "target-libdir", "--target", TARGET]);
    follow(rustc, |_| {}).is_ok_and(|folder| Path::new(folder.trim()).is_dir())
}

fn has_subcommand(name: &str) -> bool {
    let mut cargo = cargo();
    cargo.args([name, "--version"]);
    follow(cargo, |_| {}).is_ok()
}
