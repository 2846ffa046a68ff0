//! `wasmnet completions` and `wasmnet man`: from the one definition in [`args`](super::args).

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::CommandFactory;
use clap_complete::Shell;

use super::args::Args;

/// What completions and pages are of.
const NAME: &str = "wasmnet";

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The terminal is gone.
    #[error("cannot print")]
    Print(#[source] io::Error),
    /// The folder cannot be written to.
    #[error("cannot write the pages to {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
}

/// Prints what a shell has to know to complete a command line.
pub(super) fn completions(shell: Shell) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), NAME, &mut script);
    print(&script)
}

/// Prints the first man page, or writes those of all commands to a folder.
pub(super) fn man(to: Option<&Path>) -> Result<(), Error> {
    if let Some(to) = to {
        return clap_mangen::generate_to(Args::command(), to)
            .map_err(|error| Error::Write(to.to_owned(), error));
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(Args::command()).render(&mut page).map_err(Error::Print)?;
    print(&page)
}

/// A reader that has seen enough (`| head`) is no error.
fn print(text: &[u8]) -> Result<(), Error> {
    match io::stdout().lock().write_all(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Print(error)),
        _ => Ok(()),
    }
}
