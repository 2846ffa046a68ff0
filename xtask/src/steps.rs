//! Steps as they go: one line each, with the command and the time it took.

use std::error::Error as StdError;
use std::time::{Duration, Instant};

use crate::terminal::{Style, Terminal};

/// Columns for what is done.
const WHAT: usize = 22;
/// Columns for the command that does it.
const COMMAND: usize = 56;

/// The list of steps.
#[derive(Debug)]
pub struct Steps {
    terminal: Terminal,
    started: Instant,
}

/// The line of a step under way.
#[derive(Debug)]
pub struct Live<'s> {
    terminal: &'s Terminal,
    what: &'s str,
}

/// A step that failed.
#[derive(Debug, thiserror::Error)]
#[error("could not {what}")]
pub struct Failed {
    /// What it was to do.
    what: String,
    /// Why it did not.
    source: Box<dyn StdError + Send + Sync>,
}

// === impl Steps ===

impl Steps {
    /// An empty list.
    pub fn new() -> Self {
        Self { terminal: Terminal::new(), started: Instant::now() }
    }

    /// Prints a heading.
    pub fn heading(&self, text: &str) {
        self.terminal.line(&self.terminal.styled(Style::Bold, text));
    }

    /// Prints a sentence.
    pub fn say(&self, text: &str) {
        self.terminal.line(text);
    }

    /// The time since the list was begun, for people.
    pub fn elapsed(&self) -> String {
        seconds(self.started.elapsed()).trim_start().to_owned()
    }

    /// Does a step. `what` goes on from "could not", `command` is what a person would
    /// type for it.
    pub fn step<T, E>(
        &mut self,
        what: &str,
        command: &str,
        act: impl FnOnce(&mut Live<'_>) -> Result<T, E>,
    ) -> Result<T, Failed>
    where
        E: StdError + Send + Sync + 'static,
    {
        let row = row(what, command);
        self.terminal.temporary(&row);
        let started = Instant::now();
        let done = act(&mut Live { terminal: &self.terminal, what });
        let time = seconds(started.elapsed());
        let (style, word) = match done {
            Ok(_) => (Style::Green, "ok"),
            Err(_) => (Style::Red, "failed"),
        };
        self.terminal.line(&format!(
            "{row}  {}  {}",
            self.terminal.styled(style, word),
            self.terminal.styled(Style::Dim, &time),
        ));
        done.map_err(|error| Failed { what: what.to_owned(), source: error.into() })
    }
}

// === impl Live ===

impl Live<'_> {
    /// Shows what the step is at.
    pub fn show(&mut self, detail: &str) {
        let detail = self.terminal.styled(Style::Dim, detail.trim());
        self.terminal.temporary(&format!("  {:<WHAT$}  {detail}", self.what));
    }
}

fn row(what: &str, command: &str) -> String {
    format!("  {what:<WHAT$}  {:<COMMAND$}", shortened(command))
}

/// A command that fits its column.
fn shortened(command: &str) -> String {
    if command.chars().count() <= COMMAND {
        return command.to_owned();
    }
    let start: String = command.chars().take(COMMAND - 1).collect();
    format!("{start}…")
}

fn seconds(time: Duration) -> String {
    format!("{:>6.2} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_equally_wide() {
        let long = "apt-get install ".repeat(9);
        let widths = ["dockerd", &long].map(|command| row("do it", command).chars().count());
        assert_eq!(widths, [2 + WHAT + 2 + COMMAND; 2]);
        assert_eq!(seconds(Duration::from_millis(1234)), "  1.23 s");
    }

    #[test]
    fn a_failure_keeps_its_cause() {
        let source = std::io::Error::other("no luck").into();
        let failed = Failed { what: "try".to_owned(), source };
        assert_eq!(crate::cli::chain(&failed), "could not try: no luck");
    }
}
