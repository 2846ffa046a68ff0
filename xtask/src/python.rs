//! Python's part of the tests: what makes a component of the driver in Python.

use std::fs;
use std::process::Command;

use crate::cargo::{self, root, target_dir};
use crate::command::{self, follow};
use crate::steps::{Failed, Steps};

/// What is needed, with its version.
const REQUIREMENTS: &str = "examples/netbox-python/requirements.txt";
/// Where it goes, below the target directory.
const FOLDER: &str = "python";

/// Why it could not be installed.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// Nobody knows where to.
    #[error(transparent)]
    Target(#[from] cargo::Error),
    /// pip failed.
    #[error(transparent)]
    Pip(#[from] command::Error),
    /// It could not be noted.
    #[error("cannot write what was installed")]
    Note(#[source] std::io::Error),
}

/// Installs what is missing or has another version, below the target directory and nowhere
/// else.
pub fn packages(steps: &mut Steps) -> Result<(), Failed> {
    let wanted = fs::read_to_string(root().join(REQUIREMENTS)).unwrap_or_default();
    let installed = target_dir().ok().map(|target| target.join(FOLDER).join("installed.txt"));
    let installed = installed.and_then(|file| fs::read_to_string(file).ok());
    if installed.is_some_and(|installed| installed == wanted) {
        return Ok(());
    }
    let command = format!("pip3 install --target target/{FOLDER} -r {REQUIREMENTS}");
    steps.step("install Python's part", &command, |live| {
        let folder = target_dir()?.join(FOLDER);
        let mut pip = Command::new("pip3");
        pip.current_dir(root()).args(["install", "--upgrade", "--no-input", "--target"]);
        pip.arg(&folder).args(["-r", REQUIREMENTS]);
        pip.env("PIP_DISABLE_PIP_VERSION_CHECK", "1").env("PIP_ROOT_USER_ACTION", "ignore");
        follow(pip, |line| live.show(line))?;
        fs::write(folder.join("installed.txt"), &wanted).map_err(Error::Note)
    })
}
