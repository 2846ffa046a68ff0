//! Other people's drivers: made, tested, looked at and shipped with nothing but the program.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;
use wasmnet_e2e::binary;

/// `wasmnet driver annotate`.
mod annotate;
/// `wasmnet conformance`: our own drivers, and drivers with one mistake each.
mod conformance;
/// The commands of the documentation.
mod documented;
/// The guide's commands, on a host with an engine.
mod guide;
/// `wasmnet driver inspect`.
mod inspect;
/// `wasmnet new`.
mod new;
/// A driver in another language.
mod python;

/// A folder of the test's own, outside of every workspace.
fn folder() -> TempDir {
    TempDir::new().unwrap()
}

/// Runs `wasmnet ARGUMENTS` in a folder.
fn wasmnet(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).current_dir(folder).output().unwrap()
}

/// What it prints when it works.
#[track_caller]
fn said(folder: &Path, arguments: &[&str]) -> String {
    let output = wasmnet(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn json(folder: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&said(folder, &[arguments, &["--json"]].concat())).unwrap()
}

/// Its one sentence when it does not work.
#[track_caller]
fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = wasmnet(folder, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert_eq!(sentence.lines().count(), 1, "not one line: {sentence}");
    sentence.trim_end().to_owned()
}

/// This repository.
fn checkout() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../..")
}

/// Runs cargo on a crate of somebody's, with what is on this machine and nothing else.
#[track_caller]
fn cargo(folder: &Path, arguments: &[&str]) -> String {
    // The same versions as here, so that nothing is missing.
    let lock = folder.join("Cargo.lock");
    if !lock.exists() {
        std::fs::copy(Path::new(checkout()).join("Cargo.lock"), lock).unwrap();
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(folder).args(arguments).env("CARGO_TARGET_DIR", target());
    // What is set for this repository's build does not fit others.
    for variable in ["CARGO_ENCODED_RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER", "RUSTC_WRAPPER"] {
        cargo.env_remove(variable);
    }
    let output = cargo.arg("--offline").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "cargo {arguments:?}: {text}");
    String::from_utf8_lossy(&output.stdout).into_owned() + &text
}

/// Where the crates of these tests are built: their dependencies once for all.
fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("others")
}
