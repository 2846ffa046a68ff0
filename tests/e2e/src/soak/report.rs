//! What was done, what was seen, and what was wrong.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

/// Gathers from all threads.
pub(super) struct Report {
    started: Instant,
    notes: Mutex<Notes>,
}

/// What is gathered.
#[derive(Default)]
struct Notes {
    /// Everything in its order, for whoever looks for a cause.
    journal: Vec<String>,
    /// What must not be.
    findings: Vec<String>,
    operations: usize,
    failed: usize,
    slowest: Duration,
    counts: BTreeMap<&'static str, usize>,
}

// === impl Report ===

impl Report {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), notes: Mutex::default() }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn operations(&self) -> usize {
        self.lock().operations
    }

    /// Something that must not be. What stays counts once.
    pub(super) fn find(&self, finding: String) {
        self.write(&format!("FOUND {finding}"));
        let mut notes = self.lock();
        if !notes.findings.contains(&finding) {
            super::say(&format!("FOUND {finding}"));
            notes.findings.push(finding);
        }
    }

    /// An operation and what came of it.
    pub(super) fn operation(&self, what: &str, took: Duration, said: &Result<(), String>) {
        let came = said.as_ref().err().map_or("done", String::as_str);
        self.write(&format!("{what} ({took:.2?}): {came}"));
        let mut notes = self.lock();
        notes.operations += 1;
        notes.failed += usize::from(said.is_err());
        notes.slowest = notes.slowest.max(took);
    }

    /// Counts something.
    pub(super) fn count(&self, what: &'static str, times: usize) {
        *self.lock().counts.entry(what).or_default() += times;
    }

    /// Writes a line into the journal.
    pub(super) fn write(&self, line: &str) {
        let line = format!("{:9.3} {line}", self.started.elapsed().as_secs_f64());
        self.lock().journal.push(line);
    }

    pub(super) fn journal(&self) -> String {
        self.lock().journal.join("\n")
    }

    pub(super) fn findings(&self) -> Vec<String> {
        self.lock().findings.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let notes = self.lock();
        write!(
            f,
            "{} operations in {:.0?}, {} of them refused, the slowest took {:.1?}",
            notes.operations,
            self.started.elapsed(),
            notes.failed,
            notes.slowest
        )?;
        notes.counts.iter().try_for_each(|(what, times)| write!(f, "; {times} {what}"))?;
        write!(f, "; {} findings", notes.findings.len())
    }
}
