//! Other Docker engines to test with: those of newer Debians, each in a tree of its own.
//!
//! The machine keeps the engine it has. A tree lies below the target directory, and its
//! `dockerd` runs on test hosts only.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;
use rustix::process::geteuid;

use crate::command::{self, follow};
use crate::steps::{Failed, Live, Steps};
use crate::{cargo, install};

/// A Debian whose engine can be had.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Suite {
    /// Debian 13, with Docker 26.1
    Trixie,
    /// Debian 14, with Docker 28.5 or newer
    Forky,
}

/// Why an engine could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Only root may.
    #[error(
        "making a Debian needs root: \
         sudo --preserve-env env \"PATH=$PATH\" cargo xtask engine"
    )]
    NotRoot,
    /// It has no place.
    #[error(transparent)]
    Target(#[from] cargo::Error),
    /// One of its steps failed.
    #[error(transparent)]
    Step(#[from] Failed),
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
enum StepError {
    /// A command failed.
    #[error(transparent)]
    Command(#[from] command::Error),
    /// Nothing tells where Debian's packages are.
    #[error("apt is not set up for Debian's packages, so there is no mirror to take them from")]
    NoMirror,
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Makes a tree with its packages.
const TREE: &str = include_str!("engine.sh");

/// Starts the engine in its tree.
const DOCKERD: &str = include_str!("dockerd.sh");

/// What apt is asked to tell about each list of packages that it knows.
const LISTS: &str = "$(LABEL) $(COMPONENT) $(REPO_URI)";

/// Makes the engine of a suite, if it is not there, and says how to test with it.
pub fn run(steps: &mut Steps, suite: Suite) -> Result<u8, Error> {
    if !geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    install::packages(steps, &[install::ENGINE])?;
    let name = suite.name();
    let dir = cargo::target_dir()?.join("engines").join(name);
    let tree = dir.join("tree");
    if !tree.exists() {
        let command = format!("debootstrap --variant=minbase {name}");
        steps.step("make a Debian", &command, |live| make(live, name, &tree))?;
    }
    let dockerd = dir.join("dockerd");
    let path = dockerd.display().to_string();
    steps.step("write the way in", &path, |_| write_program(&dockerd, DOCKERD))?;
    let version = steps.step("ask for its version", "dockerd --version", |_| version(&tree))?;
    steps.say(&format!("{}. Test with it:", version.trim()));
    steps.say(&format!("WASMNET_LAB_DOCKERD={path} cargo test -p wasmnet-e2e"));
    Ok(0)
}

/// Makes the tree; what is there afterwards is whole.
fn make(live: &mut Live<'_>, suite: &str, tree: &Path) -> Result<(), StepError> {
    let mut lists = Command::new("apt-get");
    lists.args(["indextargets", "--format", LISTS, "Created-By: Packages"]);
    let lists = follow(lists, |_| {})?;
    let mirror = mirror(&lists).ok_or(StepError::NoMirror)?;
    // What is mounted on the way is gone at the end, however that comes.
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", TREE, "engine", mirror, suite]).arg(tree);
    follow(command, |line| live.show(line))?;
    Ok(())
}

/// Where Debian itself comes from, among the lists that apt knows.
fn mirror(lists: &str) -> Option<&str> {
    lists.lines().find_map(|line| line.strip_prefix("Debian main "))
}

fn version(tree: &Path) -> Result<String, StepError> {
    let mut command = Command::new("chroot");
    command.arg(tree).args(["dockerd", "--version"]);
    Ok(follow(command, |_| {})?)
}

fn write_program(path: &Path, text: &str) -> Result<(), StepError> {
    let write = |source| StepError::Write { path: path.to_owned(), source };
    // Not over the old file: an engine that is starting reads it.
    let new = path.with_extension("new");
    fs::write(&new, text).map_err(write)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).map_err(write)?;
    fs::rename(&new, path).map_err(write)
}

// === impl Suite ===

impl Suite {
    /// Its name in Debian's archive.
    const fn name(self) -> &'static str {
        match self {
            Self::Trixie => "trixie",
            Self::Forky => "forky",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_debians_own() {
        let lists = "Debian-Security main http://s.invalid/\n\
                     Debian contrib http://c.invalid/\n\
                     Debian main http://m.invalid/debian/\n\
                     Debian main http://other.invalid/debian/\n";
        assert_eq!(mirror(lists), Some("http://m.invalid/debian/"));
        assert_eq!(mirror("Other main http://o.invalid/\n"), None);
    }
}
