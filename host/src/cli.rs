//! The command line.
//!
//! [`args`] is the one definition that help, man page and completions come from;
//! [`serve`](mod@serve) runs the daemon, [`show`] and [`events`] ask one and
//! print, [`output`] is the
//! only place that writes to the terminal. [`new`], [`inspect`], [`file`] and [`pages`] need no daemon.

pub mod args;
mod conformance;
mod doctor;
mod driver;
mod events;
mod explain;
mod file;
mod inspect;
mod ipam;
mod new;
mod output;
mod pages;
mod plan;
mod serve;
mod show;

use std::{process::ExitCode, time::Duration};

use clap::Parser;

use self::args::{Args, Command, Driver};
use crate::{
    error::chain,
    runtime::{CompileLimits, compiler},
};

/// Done.
const DONE: u8 = 0;
/// Did not work. (A command line that cannot be understood ends with 2, by clap.)
const FAILED: u8 = 1;

/// Parses the command line, does what it says, and returns the exit code.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.command {
        Command::Serve(options) => serve::run(options, &args.global).map_err(|e| chain(&e)),
        Command::Explain { code } => {
            explain::run(code.as_deref(), args.global.json).map_err(|e| chain(&e))
        }
        Command::New(options) => new::run(&options, args.global.json).map_err(|e| chain(&e)),
        Command::Conformance(options) => {
            conformance::run(&options, args.global.json).map_err(|e| chain(&e))
        }
        Command::Driver(Driver::Annotate(options)) => {
            file::annotate(&options).map_err(|e| chain(&e))
        }
        Command::Driver(Driver::Inspect { driver }) if inspect::is_file(&driver) => {
            inspect::file(driver.as_ref(), args.global.json).map_err(|e| chain(&e))
        }
        Command::Completions { shell } => pages::completions(shell).map_err(|e| chain(&e)),
        Command::Man { to } => pages::man(to.as_deref()).map_err(|e| chain(&e)),
        Command::Compile(limits) => {
            let time = Duration::from_secs(limits.seconds);
            let limits = CompileLimits { time, memory: limits.memory };
            compiler::child::run(&limits).map_err(|e| chain(&e))
        }
        command => show::run(&command, &args.global).map_err(|e| chain(&e)),
    };
    match done {
        Ok(()) => ExitCode::from(DONE),
        Err(line) => {
            output::error(&line);
            ExitCode::from(FAILED)
        }
    }
}
