//! What came of the checks.

use std::fmt;

use serde::Serialize;

use crate::runtime::Facts;

/// What a driver did that it should not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of mistake it is.
    pub kind: Kind,
    /// Where: the call, and what was special about it.
    pub at: String,
    /// What happened, in a sentence.
    pub says: String,
}

/// Kinds of mistakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It cannot be loaded.
    Load,
    /// It crashed.
    Crash,
    /// It does not come to an end.
    Endless,
    /// It refuses what it should do.
    Refused,
    /// It does what its manifest does not ask for.
    Denied,
    /// The engine would not take its answer.
    Answer,
    /// Asked again, it says something else.
    Unsteady,
    /// It says that it worked, though something did not.
    Partial,
    /// After something failed, it does not work any more.
    Retry,
    /// What stands is not what should.
    State,
    /// Something is left when all is deleted.
    Left,
    /// It needs too much.
    Limit,
    /// It does not say what is wrong.
    Sentence,
}

/// One check, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Its name.
    pub name: String,
    /// What it is about, in a line.
    pub title: String,
    /// How many things were tried.
    pub cases: u32,
    /// Why it was not made, if so.
    pub skipped: Option<String>,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What is worth knowing, and not wrong.
    pub notes: Vec<String>,
}

/// All checks of a driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What the driver's manifest calls it.
    pub driver: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of the component, in hex.
    pub digest: String,
    /// What it is: "network", "ipam".
    pub roles: Vec<String>,
    /// The checks, in order.
    pub checks: Vec<Checked>,
}

// === impl Kind ===

impl Kind {
    /// Its name, which does not change.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Crash => "crash",
            Self::Endless => "endless",
            Self::Refused => "refused",
            Self::Denied => "denied",
            Self::Answer => "answer",
            Self::Unsteady => "unsteady",
            Self::Partial => "partial",
            Self::Retry => "retry",
            Self::State => "state",
            Self::Left => "left",
            Self::Limit => "limit",
            Self::Sentence => "sentence",
        }
    }

    /// What to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Load => "`wasmnet driver inspect` says what the file is.",
            Self::Crash => "Return an error with a sentence; a panic is for bugs.",
            Self::Endless => "A call has five seconds, and should need a millisecond.",
            Self::Refused => "If it needs options, give them with --opt.",
            Self::Denied => "Ask for it in the manifest's grants, or do without.",
            Self::Answer => "Answer only what the request left open, and what exists.",
            Self::Unsteady => "The engine repeats calls; the answer must be the same.",
            Self::Partial => "Return the import's error; the host then undoes the call.",
            Self::Retry => {
                "What is not undone (agreed values of a cluster) must not be in the way."
            }
            Self::State => "Make everything in the call that is about it, and only once.",
            Self::Left => "Keep keys in the scope of the network or endpoint that they are about.",
            Self::Limit => "Do less in one call, or ask the operator for higher limits.",
            Self::Sentence => "Say what is wrong and what would be right, in one line.",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Checked ===

impl Checked {
    /// What is said of a driver that cannot be loaded.
    pub(super) fn load(reason: &str) -> Self {
        let at = "loading the component".to_owned();
        let finding = Finding { kind: Kind::Load, at, says: reason.to_owned() };
        Self {
            name: "load".to_owned(),
            title: "the component is a driver for this host".to_owned(),
            cases: 1,
            skipped: None,
            findings: vec![finding],
            notes: Vec::new(),
        }
    }
}

// === impl Report ===

impl Report {
    /// An empty one.
    pub(super) fn about(facts: Option<&Facts>) -> Self {
        let manifest = facts.and_then(|facts| facts.manifest.clone()).unwrap_or_default();
        Self {
            driver: manifest.name,
            version: manifest.version,
            digest: facts.map(|facts| facts.digest.clone()).unwrap_or_default(),
            roles: facts.into_iter().flat_map(Facts::roles).map(str::to_owned).collect(),
            checks: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, checked: Checked) {
        self.checks.push(checked);
    }

    /// The check of this name.
    pub fn check(&self, name: &str) -> Option<&Checked> {
        self.checks.iter().find(|check| check.name == name)
    }

    /// What is wrong, with the check that found it.
    pub fn findings(&self) -> impl Iterator<Item = (&Checked, &Finding)> {
        self.checks.iter().flat_map(|check| check.findings.iter().map(move |found| (check, found)))
    }
}
