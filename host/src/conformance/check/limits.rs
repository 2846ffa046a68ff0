//! What a call needs, and what it does without rights and room.

use std::sync::Arc;

use super::super::{
    Error,
    play::{Findings, Play},
    report::Kind,
    script::Scene,
    subject::Subject,
};
use crate::{
    grants::{Grants, Permits},
    ledger::Limits,
};

/// A call that needs more of its fuel than this part of it is worth a word.
const MUCH: u64 = 10;

pub(super) async fn check(subject: &Subject, found: &mut Findings) -> Result<(), Error> {
    measure(subject, found).await?;
    let limits = Limits::default();
    for (without, limits) in [
        ("operations", Limits { operations: 0, ..limits }),
        ("links", Limits { links: 0, ..limits }),
        ("room in its store", Limits { store_bytes: 0, ..limits }),
    ] {
        let driver = subject.driver.with_limits(limits);
        starve(subject, driver, &format!("without {without}"), found).await?;
    }
    let granted = Permits { wanted: Grants::default(), granted: Grants::default() };
    let driver = subject.driver.with_permits(granted);
    starve(subject, driver, "without any grant", found).await
}

/// How much a life needs.
async fn measure(subject: &Subject, found: &mut Findings) -> Result<(), Error> {
    let mut play = Play::begin(subject).await?;
    subject.steady.take_usage();
    play.run(&Scene::Plain.life(&subject.options)).await;
    found.case();
    let usage = subject.steady.take_usage();
    let (fuel, method) = usage.fuel;
    let all = subject.steady.fuel;
    found.note(format!(
        "the longest call is {method}, with about {} thousand instructions",
        fuel.div_ceil(1000)
    ));
    if fuel > all / MUCH {
        found.add(
            Kind::Limit,
            method,
            format!("it takes {fuel} instructions, as much as {} calls may", all / fuel.max(1)),
        );
    }
    let (lost, method) = usage.lines_lost;
    if lost > 0 {
        found.add(Kind::Limit, method, format!("it logs so much that {lost} lines are lost"));
    }
    Ok(())
}

/// Every call has to end in good order, and to undo nothing by itself.
async fn starve(
    subject: &Subject,
    driver: Arc<crate::runtime::Driver>,
    how: &str,
    found: &mut Findings,
) -> Result<(), Error> {
    let mut play = Play::on(subject, subject.stage_with(driver).await?);
    for step in Scene::Plain.life(&subject.options) {
        let Err(refusal) = play.step(&step).await else { continue };
        found.case();
        if matches!(refusal.kind, Kind::Crash | Kind::Endless | Kind::Sentence | Kind::Answer) {
            found.refused(format!("{} {how}", step.name()), refusal);
        }
        if !step.is_removal() {
            return Ok(());
        }
    }
    Ok(())
}
