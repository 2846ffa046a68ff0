//! The only place that prints.
//!
//! `println!` panics when its reader has gone (`| head`), which would leave a demo half
//! cleaned up. Here a lost reader is ignored: the work goes on to its end.

use std::env;
use std::io::{self, IsTerminal, Write};

/// Standard output, and what it can show.
#[derive(Debug)]
pub struct Terminal {
    /// Whether a line can be drawn over.
    live: bool,
    /// Whether colours are wanted.
    colour: bool,
}

/// How a word looks where there are colours.
#[derive(Debug, Clone, Copy)]
pub enum Style {
    /// A heading.
    Bold,
    /// Less important.
    Dim,
    /// It worked.
    Green,
    /// It did not.
    Red,
}

/// Back to the line's start, and rub it out.
const AGAIN: &str = "\r\x1b[K";
/// Lines that are too long are cut off: one that wraps cannot be rubbed out.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

// === impl Terminal ===

impl Terminal {
    /// Looks at what standard output is.
    pub fn new() -> Self {
        let live = io::stdout().is_terminal() && env::var_os("TERM").is_none_or(|t| t != "dumb");
        let wanted = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { live, colour: live && wanted }
    }

    /// Prints a line, in place of a temporary one.
    pub fn line(&self, line: &str) {
        let start = if self.live { AGAIN } else { "" };
        write(&mut io::stdout(), &format!("{start}{}\n", line.trim_end()));
    }

    /// Shows a line until the next one. Where that cannot be, nothing is printed.
    pub fn temporary(&self, line: &str) {
        if self.live {
            write(&mut io::stdout(), &format!("{AGAIN}{NO_WRAP}{line}{WRAP}"));
        }
    }

    /// The text with a style around it.
    pub fn styled(&self, style: Style, text: &str) -> String {
        let code = match style {
            Style::Bold => 1,
            Style::Dim => 2,
            Style::Green => 32,
            Style::Red => 31,
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Says on standard error what went wrong.
pub fn error(text: &str) {
    write(&mut io::stderr(), &format!("cargo xtask: {}\n", text.trim_end()));
}

/// Prints a part of a log on standard error, set apart from our own words.
pub fn excerpt(title: &str, lines: &str) {
    let mut text = format!("\n{title}:\n");
    for line in lines.lines() {
        text = format!("{text}    {line}\n");
    }
    write(&mut io::stderr(), &text);
}

fn write(to: &mut dyn Write, text: &str) {
    // Nobody is left to be told.
    let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
}
