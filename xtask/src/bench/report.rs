//! The report: tables on the terminal, and as files for readers.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::table::Table;
use super::{DAEMON, Measured, Options, Trouble, chart, docker, socket};
use crate::cargo::root;
use crate::stage::Stage;
use crate::steps::Steps;

/// The files, below the workspace's root.
const TEXT: &str = "docs/bench.md";
const CHART: &str = "docs/bench.svg";

/// What was measured on.
#[derive(Debug)]
pub struct Machine {
    kernel: String,
    engine: String,
    processors: usize,
}

// === impl Machine ===

impl Machine {
    /// Asks the engine, which knows it all.
    pub fn ask(stage: &Stage) -> Result<Self, Trouble> {
        let answer = stage.on(|host| host.docker_api("GET", "/version", None).body)?;
        let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or("?").to_owned();
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self { kernel: text("KernelVersion"), engine: text("Version"), processors })
    }
}

/// Prints the tables.
pub fn show(steps: &Steps, measured: &Measured) {
    for table in measured.tables().into_iter().filter(|table| !table.is_empty()) {
        steps.say("");
        steps.heading(table.title);
        let cells = table.cells();
        let width = |column: usize| {
            let texts = cells.iter().filter_map(|row| row.get(column));
            texts.map(|text| text.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..cells.first().map_or(0, Vec::len)).map(width).collect();
        for row in &cells {
            let mut line = String::new();
            for (column, (text, width)) in row.iter().zip(&widths).enumerate() {
                let text = match column {
                    0 => format!("  {text:<width$}"),
                    _ => format!("  {text:>width$}"),
                };
                line.push_str(&text);
            }
            steps.say(&line);
        }
    }
    steps.say("");
}

/// Writes the files.
pub fn write(machine: &Machine, options: &Options, measured: &Measured) -> Result<(), Trouble> {
    put(CHART, &chart::svg(&measured.docker))?;
    put(TEXT, &text(machine, options, measured))
}

/// Writes the sections of what was measured into the report that is there.
pub fn update(machine: &Machine, options: &Options, measured: &Measured) -> Result<(), Trouble> {
    let path = root().join(Path::new(TEXT));
    let mut text = fs::read_to_string(&path).map_err(|source| Trouble::Io {
        what: format!("cannot read {}", path.display()),
        source,
    })?;
    let Machine { kernel, engine, processors } = machine;
    let (command, built) = (options.command(), built(options));
    for table in measured.tables().into_iter().filter(|table| !table.is_empty()) {
        let section = format!(
            "\n## {}\n\n{} Measured by `{command}`, Linux {kernel}, {processors} processors, \
             Docker's engine {engine}. {built}.\n\n{}",
            table.title,
            table.note,
            markdown(table)
        );
        text = with_section(&text, table.title, &section);
    }
    if !measured.docker.is_empty() {
        put(CHART, &chart::svg(&measured.docker))?;
    }
    put(TEXT, &text)
}

/// A text with a section in place of the one with this title, or at its end.
fn with_section(text: &str, title: &str, section: &str) -> String {
    let heading = format!("\n## {title}\n");
    let Some((before, rest)) = text.split_once(&heading) else { return format!("{text}{section}") };
    let after = rest.find("\n## ").and_then(|at| rest.get(at..)).unwrap_or_default();
    format!("{before}{section}{after}")
}

fn put(file: &str, text: &str) -> Result<(), Trouble> {
    let path = root().join(Path::new(file));
    fs::write(&path, text)
        .map_err(|source| Trouble::Io { what: format!("cannot write {}", path.display()), source })
}

fn text(machine: &Machine, options: &Options, measured: &Measured) -> String {
    let Machine { kernel, engine, processors } = machine;
    let Options { repeat, .. } = options;
    let mut text = format!(
        "# How long it takes\n\n\
         Written by `{command}`: Linux {kernel}, {processors} processors, Docker's engine \
         {engine}.\n\n\
         All was measured in one run, under one engine, on one throw-away host, the drivers in \
         turn: each round does a thing with every one of them, and each round another is the \
         first. Numbers are medians of {repeat} rounds (operations of Docker's: {often}, networks \
         and connections {most_often}, 10 at once {tens}, 50 at once and 100 ports of the \
         built-in driver {few}; calls: {calls}), with half of the range that the \
         middle half of the samples is in. What stands behind a ratio is its standard error, \
         from those ranges. The ratios mean something elsewhere, the milliseconds are this \
         machine's. What is left to tidy up after an answer is not counted: there is a rest of \
         100 ms before each operation. {built}. The engine had its default settings, so `bridge` \
         starts a proxy for each published port.\n",
        command = options.command(),
        built = built(options),
        few = docker::FEW.min(*repeat),
        tens = repeat * docker::TENS,
        often = repeat * docker::OFTEN,
        most_often = repeat * docker::MOST_OFTEN,
        calls = repeat * socket::OFTEN,
    );
    let _ = write!(text, "\n![Ratios of Docker's operations](bench.svg)\n");
    for table in measured.tables().into_iter().filter(|table| !table.is_empty()) {
        let _ = write!(text, "\n## {}\n\n{}\n\n{}", table.title, table.note, markdown(table));
    }
    text
}

/// What the daemon is that was measured.
fn built(options: &Options) -> &'static str {
    match (env::var_os(DAEMON), options.release) {
        (Some(_), true) => "The daemon had been built before, as a release",
        (Some(_), false) => "The daemon had been built before",
        (None, true) => "The daemon was built as a release, as users have it",
        (None, false) => "The daemon was built for development, with debug assertions",
    }
}

fn markdown(table: &Table) -> String {
    let mut text = String::new();
    for (number, row) in table.cells().iter().enumerate() {
        let _ = writeln!(text, "| {} |", row.join(" | "));
        if number == 0 {
            let _ = writeln!(text, "|---|{}", "---:|".repeat(row.len().saturating_sub(1)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_takes_the_place_of_its_last_version() {
        let text = "# T\n\n## A\n\na\n\n## B\n\nb\n";
        let with = |title, section| with_section(text, title, section);
        assert_eq!(with("A", "\n## A\n\nx\n"), "# T\n\n## A\n\nx\n\n## B\n\nb\n");
        assert_eq!(with("B", "\n## B\n\nx\n"), "# T\n\n## A\n\na\n\n## B\n\nx\n");
        assert_eq!(with("C", "\n## C\n"), format!("{text}\n## C\n"));
    }

    #[test]
    fn a_table_is_a_table() {
        let mut table = Table::new("t", "n", &["a", "b"], &[("b/a", 1, 0)]);
        table.record("start", 0, 10.0);
        table.record("start", 1, 5.0);
        let expected = "| operation | a | b | b/a |\n|---|---:|---:|---:|\n\
                        | start | 10.0 | 5.00 | 0.50 |\n";
        assert_eq!(markdown(&table), expected);
    }
}
