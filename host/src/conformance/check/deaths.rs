//! The daemon dies at every operation.

use super::super::{
    Error,
    mortal::Fate,
    picture::Picture,
    play::{Findings, Play, clean},
    report::Kind,
    script::{Scene, Step},
    subject::Subject,
};

pub(super) async fn check(subject: &Subject, found: &mut Findings) -> Result<(), Error> {
    let steps = Scene::Plain.life(&subject.options);
    let pictures = clean(subject, &steps).await?;
    if pictures.len() < steps.len() {
        return Ok(());
    }
    for (at, step) in steps.iter().enumerate().filter(|(_, step)| !step.only_asks()) {
        let mut n = 0;
        while one(subject, (&steps[..at], step, n), &pictures, found).await? {
            n += 1;
        }
    }
    Ok(())
}

/// Lets the daemon die at the nth operation of a step; false if there are not as many.
async fn one(
    subject: &Subject,
    (before, step, n): (&[Step], &Step, u64),
    pictures: &[Picture],
    found: &mut Findings,
) -> Result<bool, Error> {
    let mut play = Play::begin(subject).await?;
    if !play.run(before).await {
        return Ok(false);
    }
    play.stage.bench.settle().await;
    let store = play.stage.bench.store();
    play.stage.mortal.doom(n, Fate::Die(store));
    let _ = play.step(step).await;
    play.stage.bench.settle().await;
    if !play.stage.mortal.spare() {
        return Ok(false);
    }
    found.case();
    let at = format!("{}, after the daemon died at its operation {}", step.name(), n + 1);
    let mut play = play.resurrect().await?;
    match play.step(step).await {
        Ok(_) => {
            if let Some(difference) = play.picture().await.difference(&pictures[before.len()]) {
                found.add(Kind::State, at, difference);
            }
        }
        Err(refusal) => found.add(Kind::Retry, at, refusal.says),
    }
    Ok(true)
}
