//! The project's chores, as `cargo xtask TASK`.
//!
//! One program instead of a folder of scripts: it needs nothing but Rust, installs what
//! else a task needs, and its help is the list of what there is.

mod bench;
mod cargo;
mod cli;
mod command;
mod demo;
mod engine;
mod install;
mod kernel;
mod programs;
mod python;
mod reference;
mod rust;
mod soak;
mod stage;
mod steps;
mod terminal;

fn main() -> std::process::ExitCode {
    cli::main()
}
