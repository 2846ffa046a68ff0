//! Making calls, and noting what comes of them.

use serde_json::Value;

use super::{
    bench,
    picture::Picture,
    report::{Checked, Finding, Kind},
    script::{Engine, Step},
    subject::{Stage, Subject},
    verdict::Refusal,
};
use crate::docker;

/// Findings of one kind at most in one check: one mistake is found in many cases.
const OF_A_KIND: usize = 3;

/// What a check has found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    findings: Vec<Finding>,
    notes: Vec<String>,
    cases: u32,
}

/// A host with an engine that plays a script.
pub(super) struct Play<'s> {
    pub subject: &'s Subject,
    pub stage: Stage,
    engine: Engine,
}

// === impl Findings ===

impl Findings {
    /// Something was tried.
    pub(super) fn case(&mut self) {
        self.cases += 1;
    }

    /// Something is wrong.
    pub(super) fn add(&mut self, kind: Kind, at: impl Into<String>, says: impl Into<String>) {
        let of_kind = self.findings.iter().filter(|finding| finding.kind == kind);
        if of_kind.count() < OF_A_KIND {
            self.findings.push(Finding { kind, at: at.into(), says: says.into() });
        }
    }

    /// A call should have worked.
    pub(super) fn refused(&mut self, at: impl Into<String>, refusal: Refusal) {
        self.add(refusal.kind, at, refusal.says);
    }

    /// Something is worth knowing.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub(super) fn into_checked(
        self,
        name: String,
        title: &str,
        skipped: Option<String>,
    ) -> Checked {
        let Self { findings, notes, cases } = self;
        Checked { name, title: title.to_owned(), cases, skipped, findings, notes }
    }
}

// === impl Play ===

impl<'s> Play<'s> {
    /// On an empty host.
    pub(super) async fn begin(subject: &'s Subject) -> Result<Self, bench::Error> {
        Ok(Self::on(subject, subject.stage().await?))
    }

    /// On a host that is there.
    pub(super) fn on(subject: &'s Subject, stage: Stage) -> Self {
        Self { subject, stage, engine: Engine::default() }
    }

    /// Takes a step, and looks whether the engine would take the answer.
    pub(super) async fn step(&mut self, step: &Step) -> Result<Value, Refusal> {
        let answer = self.ask(step.method, &step.body).await?;
        match self.engine.check(step, &answer) {
            Ok(()) => Ok(answer),
            Err(says) => Err(Refusal { kind: Kind::Answer, says, code: None }),
        }
    }

    /// Makes a call as an engine does.
    pub(super) async fn ask(&self, method: &str, body: &Value) -> Result<Value, Refusal> {
        let (name, body) = (self.subject.name(), body.to_string());
        // A driver that fails five times in a row would be left alone for a while.
        self.stage.bench.dispatcher.quarantine().reset(name);
        let answer =
            docker::handle(&self.stage.bench.dispatcher, name, method, body.as_bytes()).await;
        answer.map_err(|failure| Refusal::from(&failure))
    }

    /// Takes steps that have worked before; false if one does not.
    pub(super) async fn run(&mut self, steps: &[Step]) -> bool {
        for step in steps {
            if self.step(step).await.is_err() {
                return false;
            }
        }
        true
    }

    /// What stands when what was deleted is gone.
    pub(super) async fn picture(&self) -> Picture {
        self.stage.bench.settle().await;
        Picture::of(&self.stage.bench, self.stage.simulated.as_deref())
    }

    /// The same after the daemon was started anew, and before that the machine if `rebooted`.
    pub(super) async fn restart(self, rebooted: bool) -> Result<Self, bench::Error> {
        let Self { subject, stage, engine } = self;
        Ok(Self { subject, stage: stage.restart(rebooted).await?, engine })
    }

    /// The same with a new daemon, since this one has died.
    pub(super) async fn resurrect(self) -> Result<Self, bench::Error> {
        let Self { subject, stage, engine } = self;
        Ok(Self { subject, stage: subject.resurrect(stage).await?, engine })
    }

    /// The driver's own keys.
    pub(super) fn keys(&self) -> Vec<String> {
        let state = self.stage.bench.dispatcher.ledger().read();
        state.keys.values().flat_map(|keys| keys.keys()).cloned().collect()
    }
}

/// What stands after each step, where nothing fails.
pub(super) async fn clean(subject: &Subject, steps: &[Step]) -> Result<Vec<Picture>, bench::Error> {
    let mut play = Play::begin(subject).await?;
    let mut pictures = Vec::new();
    for step in steps {
        if play.step(step).await.is_err() {
            break;
        }
        pictures.push(play.picture().await);
    }
    Ok(pictures)
}
