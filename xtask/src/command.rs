//! Running a command quietly: a line at a time is shown, and all of it only when it fails.

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;

use crate::programs;

/// Lines of a failed command that are worth printing.
const TAIL: usize = 40;

/// What went wrong with a command.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be started.
    #[error("cannot run `{command}`")]
    Start {
        /// The command.
        command: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its output was lost.
    #[error("cannot read what `{command}` says")]
    Read {
        /// The command.
        command: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It ran and failed.
    #[error("`{command}` failed ({status})\n{said}")]
    Failed {
        /// The command.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it said.
        said: String,
    },
}

/// Runs a command to its end and returns its standard output. `progress` gets each line of
/// its standard error.
pub fn follow(mut command: Command, mut progress: impl FnMut(&str)) -> Result<String, Error> {
    let name = line(&command);
    let read = |source| Error::Read { command: name.clone(), source };
    let mut child = command
        .env("PATH", programs::path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| Error::Start { command: name.clone(), source })?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());

    let mut said = Vec::new();
    let mut told = Ok(());
    let printed = thread::scope(|scope| {
        // Both at once: a full pipe would stop the command.
        let printed = scope.spawn(|| {
            let mut bytes = Vec::new();
            stdout.map_or(Ok(0), |mut pipe| pipe.read_to_end(&mut bytes)).map(|_| bytes)
        });
        for text in stderr.into_iter().flat_map(|pipe| BufReader::new(pipe).split(b'\n')) {
            match text {
                Ok(bytes) => {
                    let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
                    progress(&text);
                    said.push(text);
                }
                Err(error) => {
                    told = Err(error);
                    break;
                }
            }
        }
        printed.join().unwrap_or_else(|_| Err(io::Error::other("the reading thread panicked")))
    });
    // First reap it, then judge.
    let status = child.wait().map_err(read)?;
    told.map_err(read)?;
    let printed = String::from_utf8_lossy(&printed.map_err(read)?).into_owned();
    if status.success() {
        return Ok(printed);
    }
    Err(Error::Failed { command: name, status, said: tail(&said.join("\n")) })
}

/// Runs a command that prints for itself, and returns its exit code.
pub fn show(mut command: Command) -> Result<u8, Error> {
    let name = line(&command);
    let status = command
        .env("PATH", programs::path())
        .status()
        .map_err(|source| Error::Start { command: name, source })?;
    // No code: a signal ended it.
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// The last lines, which is where the reason is.
pub fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(TAIL)..).unwrap_or_default().join("\n")
}

/// A command as a person would type it.
fn line(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    let words = std::iter::once(name).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_and_progress_are_kept_apart() {
        let mut lines = Vec::new();
        let printed = follow(shell("echo out; echo one >&2; echo two >&2"), |line| {
            lines.push(line.to_owned());
        });
        assert!(matches!(printed.as_deref(), Ok("out\n")));
        assert_eq!(lines, ["one", "two"]);
    }

    #[test]
    fn a_failure_tells_what_was_said() {
        let done = follow(shell("echo broken >&2; exit 3"), |_| {});
        assert!(matches!(
            done,
            Err(Error::Failed { status, said, .. }) if status.code() == Some(3) && said == "broken"
        ));
        let missing = follow(Command::new("/nowhere/prog"), |_| {});
        assert!(missing.is_err_and(|error| error.to_string() == "cannot run `prog`"));
    }

    #[test]
    fn the_tail_is_the_end() {
        let text = (0..100).map(|n| n.to_string()).collect::<Vec<_>>().join("\n");
        assert!(tail(&text).starts_with("60\n") && tail(&text).ends_with("\n99"));
        assert_eq!(tail("a\nb"), "a\nb");
    }
}
