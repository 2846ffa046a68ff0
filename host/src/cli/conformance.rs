//! `wasmnet conformance`: whether a driver keeps the contract.

use std::{io, path::PathBuf};

use super::{args::Conformance, file, output};
use crate::conformance::{self, Checked, Finding, Options, Report};

/// Why a driver was not found to be right.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] file::Error),
    /// It could not be checked.
    #[error(transparent)]
    Check(#[from] conformance::Error),
    /// The report cannot be written.
    #[error("cannot write {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
    /// The terminal is gone.
    #[error("cannot print")]
    Print(#[from] io::Error),
    /// It is not right.
    #[error("the driver does not keep the contract: {0} findings, see above")]
    Findings(usize),
}

/// Checks a driver and prints what was found.
pub(super) fn run(options: &Conformance, json: bool) -> Result<(), Error> {
    let Conformance { file, options: given, config, kernel, junit } = options;
    let options = Options {
        options: given.iter().cloned().collect(),
        config: config.iter().cloned().collect(),
        kernel: *kernel,
    };
    let report = conformance::run(file::component(file)?, &options)?;
    if let Some(path) = junit {
        file::replace(path, conformance::junit(&report).as_bytes())
            .map_err(|error| Error::Write(path.clone(), error))?;
    }
    match json {
        true => output::json(&report)?,
        false => output::lines(&text(&report))?,
    }
    match report.findings().count() {
        0 => Ok(()),
        findings => Err(Error::Findings(findings)),
    }
}

/// A line for each check, then what was found, then what is worth knowing.
fn text(report: &Report) -> String {
    let Report { driver, version, digest, roles, .. } = report;
    let mut text = format!("{driver} {version} ({}), sha256:{digest}\n\n", roles.join(", "));
    for check in &report.checks {
        text.push_str(&line(check));
    }
    for (number, (check, finding)) in report.findings().enumerate() {
        let Finding { kind, at, says } = finding;
        let says = says.escape_debug();
        text.push_str(&format!(
            "\n{}. {kind}, in {}\n   {at}:\n   {says}\n   {}\n",
            number + 1,
            check.name,
            kind.advice()
        ));
    }
    let mut notes = report.checks.iter().flat_map(|check| &check.notes).peekable();
    if notes.peek().is_some() {
        text.push_str("\nworth knowing:\n");
    }
    notes.fold(text, |text, note| text + &format!("  - {}\n", note.escape_debug()))
}

fn line(check: &Checked) -> String {
    let Checked { name, title, cases, skipped, findings, .. } = check;
    let state = match (skipped, findings.len()) {
        (Some(_), _) => "skipped",
        (None, 0) => "ok",
        (None, _) => "FAILED",
    };
    let rest = skipped.clone().unwrap_or_else(|| format!("{title} ({cases} cases)"));
    format!("  {state:<8} {name:<21} {rest}\n")
}
