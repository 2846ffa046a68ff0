//! The soak test, for as long as somebody wants it.
//!
//! It is the end-to-end test of that name, told by its environment how long to go on: what
//! it checks in a minute of every test run is what it checks in an hour.

use std::path::{self, PathBuf};

use crate::command;
use crate::steps::{Failed, Steps};
use crate::{cargo, install, rust};

/// The tests.
const TEST: &str = "soak::everybody_works_while_the_daemon_is_killed_again_and_again";
const OVERLAY: &str = "soak::hosts_of_a_cluster_find_together_again_whatever_fails";
/// How long the latter goes on, in seconds.
const OVERLAY_SECONDS: u64 = 300;

/// How long it goes on.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Let hosts, their network and their store fail instead, with an overlay network between
    /// them [default: 300 seconds]
    #[arg(long, conflicts_with = "operations")]
    overlay: bool,
    /// Stop after so many operations of the engine [default: 10000, or none with --seconds]
    #[arg(long, value_name = "N")]
    operations: Option<u64>,
    /// Stop after so many seconds
    #[arg(long, value_name = "S")]
    seconds: Option<u64>,
    /// What all random choices follow from; shown by every run [default: the time]
    #[arg(long, value_name = "X")]
    seed: Option<u64>,
    /// Keep all that was asked, answered and logged in this folder; otherwise it is kept only
    /// when something was wrong
    #[arg(long, value_name = "FOLDER")]
    journal: Option<PathBuf>,
}

/// Why the soak could not begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A step failed.
    #[error(transparent)]
    Step(#[from] Failed),
    /// Cargo could not be run.
    #[error(transparent)]
    Command(#[from] command::Error),
}

/// Runs the soak and returns the exit code.
pub fn run(steps: &mut Steps, options: &Options) -> Result<u8, Error> {
    install::packages(steps, &[install::LAB, install::TESTS])?;
    rust::target(steps)?;
    Ok(cargo::test_one(options.test(), options.environment())?)
}

// === impl Options ===

impl Options {
    fn test(&self) -> &'static str {
        if self.overlay { OVERLAY } else { TEST }
    }

    /// What the test reads.
    fn environment(&self) -> impl Iterator<Item = (&'static str, String)> {
        let seconds = self.seconds.or(self.overlay.then_some(OVERLAY_SECONDS));
        let long = seconds.is_none().then_some(10_000);
        let number = |value: Option<u64>| value.map(|value| value.to_string());
        // The test runs in another folder than cargo.
        let journal = self.journal.as_deref().map(path::absolute);
        let journal = journal.and_then(Result::ok);
        [
            ("WASMNET_SOAK_OPERATIONS", number(self.operations.or(long))),
            ("WASMNET_SOAK_SECONDS", number(seconds)),
            ("WASMNET_SOAK_SEED", number(self.seed)),
            ("WASMNET_SOAK_JOURNAL", journal.map(|path| path.to_string_lossy().into_owned())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_time_there_is_a_number_of_operations() {
        let names = |overlay, operations, seconds| {
            let options = Options { overlay, operations, seconds, seed: None, journal: None };
            options.environment().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
        };
        assert_eq!(names(true, None, None), ["WASMNET_SOAK_SECONDS=300"]);
        assert_eq!(names(false, None, None), ["WASMNET_SOAK_OPERATIONS=10000"]);
        assert_eq!(names(false, None, Some(5)), ["WASMNET_SOAK_SECONDS=5"]);
        assert_eq!(
            names(false, Some(7), Some(5)),
            ["WASMNET_SOAK_OPERATIONS=7", "WASMNET_SOAK_SECONDS=5"]
        );
    }
}
