//! The command line: every task, its help, and what it consists of.

use std::error::Error as StdError;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::steps::{Failed, Steps};
use crate::{
    bench, cargo, command, demo, engine, install, kernel, python, reference, rust, soak, terminal,
};

/// The project's chores
///
/// Each task installs what it lacks (Debian packages, parts of Rust and Python) before it starts.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    /// What to do.
    #[command(subcommand)]
    task: Task,
}

/// The tasks.
#[derive(Debug, Subcommand)]
enum Task {
    /// Show the daemon at work on a throw-away host
    ///
    /// Builds the daemon, makes a host out of Linux namespaces with a Docker engine of its
    /// own, and lets two containers talk over a network whose driver is a WebAssembly
    /// component. Then everything is removed. This machine's own network, firewall and
    /// Docker are not touched. Needs root.
    Demo,
    /// Measure the bridge driver beside Docker's own
    ///
    /// On a throw-away host, as the demo does: the time of Docker's operations with the
    /// drivers `bridge` and `wasm-bridge`, of the plugin socket's calls, and of other
    /// network programs that Debian has. Writes docs/bench.md and docs/bench.svg. The
    /// daemon is built, unless WASMNET_LAB_DAEMON names one. Needs root.
    Bench(bench::Options),
    /// Run the tests
    ///
    /// All packages' tests, also after one has failed. Those that make test hosts need
    /// root. The exit code is that of `cargo test`.
    Test {
        /// Run only tests with one of these in their names; after `--`, also options of the
        /// test programs, such as --nocapture
        #[arg(value_name = "FILTER")]
        filters: Vec<String>,
    },
    /// Let much happen at random while the daemon is killed again and again
    ///
    /// On a test host with a real engine: networks, containers, connections and ports, asked
    /// for by several at a time. In between, and in the end, engine, daemon and kernel must
    /// say the same, and packets must go where they should. `cargo xtask test` does it for a
    /// minute. Needs root.
    Soak(soak::Options),
    /// Get another Docker engine to test with
    ///
    /// Makes a small Debian below the target directory, with packages from the mirror that
    /// apt uses, and says how the tests take its engine. It runs on test hosts only; this
    /// machine's own stays as it is. Needs root.
    Engine {
        /// The Debian whose engine it is.
        #[arg(value_enum)]
        suite: engine::Suite,
    },
    /// Run end-to-end tests on Debian's kernel, in a virtual machine
    ///
    /// For what this machine's kernel lacks. The machine has this one's files, and what it writes
    /// is gone with it. Slow where the processor does not help. Needs root.
    Kernel {
        /// Run only tests with one of these in their names [default: those about SCTP, published
        /// ports, VLANs and ipvlan]
        #[arg(value_name = "FILTER")]
        filters: Vec<String>,
    },
    /// Check formatting, lints, and that docs/contract.md is what `reference` writes
    Check,
    /// Write docs/contract.md, the contract's reference, from wit/
    Reference,
    /// Check, then test, as CI does
    ///
    /// The tests run even if the check fails.
    Ci,
}

/// Why a task could not do its work.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// One of its steps failed.
    #[error(transparent)]
    Step(#[from] Failed),
    /// A command could not be run.
    #[error(transparent)]
    Command(#[from] command::Error),
    /// The contract's reference.
    #[error(transparent)]
    Reference(#[from] reference::Error),
    /// The demo could not begin.
    #[error(transparent)]
    Demo(#[from] demo::Error),
    /// The bench could not measure.
    #[error(transparent)]
    Bench(#[from] bench::Error),
    /// The soak could not begin.
    #[error(transparent)]
    Soak(#[from] soak::Error),
    /// The engine could not be made.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// The virtual machine could not be made or did not end.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    match run(&Args::parse().task) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            terminal::error(&chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// Does a task and returns the exit code.
fn run(task: &Task) -> Result<u8, Error> {
    let mut steps = Steps::new();
    match task {
        Task::Demo => Ok(demo::run(&mut steps)?),
        Task::Bench(options) => Ok(bench::run(&mut steps, options)?),
        Task::Test { filters } => test(&mut steps, filters),
        Task::Soak(options) => Ok(soak::run(&mut steps, options)?),
        Task::Engine { suite } => Ok(engine::run(&mut steps, *suite)?),
        Task::Kernel { filters } => Ok(kernel::run(&mut steps, filters)?),
        Task::Check => check(&mut steps),
        Task::Reference => Ok(reference::write().map(|()| 0)?),
        Task::Ci => {
            let codes = [check(&mut steps)?, test(&mut steps, &[])?];
            Ok(codes.into_iter().find(|code| *code != 0).unwrap_or(0))
        }
    }
}

fn check(steps: &mut Steps) -> Result<u8, Error> {
    rust::target(steps)?;
    rust::components(steps)?;
    let stale = reference::check()?;
    if let Some(says) = &stale {
        terminal::error(says);
    }
    let code = cargo::check()?;
    Ok(if code == 0 { stale.is_some().into() } else { code })
}

fn test(steps: &mut Steps, filters: &[String]) -> Result<u8, Error> {
    install::packages(steps, &[install::LAB, install::TESTS])?;
    rust::target(steps)?;
    python::packages(steps)?;
    Ok(cargo::test(filters)?)
}

/// An error and its causes, each said once.
pub fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // A transparent error says its cause's words already.
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_defined() {
        Args::command().debug_assert();
    }

    #[test]
    fn filters_and_options_reach_the_tests() {
        let args = Args::try_parse_from(["xtask", "test", "one", "two", "--", "--nocapture"]);
        assert!(matches!(
            args,
            Ok(Args { task: Task::Test { filters } }) if filters == ["one", "two", "--nocapture"]
        ));
    }
}
