//! Writing to the terminal.

use std::{
    io::{self, Write},
    ops::ControlFlow,
};

use comfy_table::{Table, presets};
use serde::Serialize;

/// Prints a table with these column heads.
pub(super) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(head.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    lines(&table.to_string())
}

/// Prints JSON.
pub(super) fn json(value: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
    lines(&text)
}

/// Prints lines. A reader that has seen enough (`| head`) is no error.
pub(super) fn lines(text: &str) -> io::Result<()> {
    for text in text.lines() {
        if line(text)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// Prints a line, and says whether somebody still reads.
pub(super) fn line(line: &str) -> io::Result<ControlFlow<()>> {
    match writeln!(io::stdout().lock(), "{}", line.trim_end()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        written => written.map(ControlFlow::Continue),
    }
}

/// Prints what went wrong, in one line.
pub(super) fn error(line: &str) {
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(io::stderr(), "wasmnet: {line}");
}

/// Seconds as people say them.
pub(super) fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86400 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86400),
    }
}
