//! Every operation of the kernel's fails once.

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
    for scene in [Scene::Plain, Scene::Dual] {
        let steps = scene.life(&subject.options);
        let pictures = clean(subject, &steps).await?;
        if pictures.len() < steps.len() {
            continue;
        }
        for (at, step) in steps.iter().enumerate().filter(|(_, step)| !step.only_asks()) {
            let mut n = 0;
            while one(subject, (&steps[..at], step, n), &pictures, scene, found).await? {
                n += 1;
            }
        }
    }
    Ok(())
}

/// Lets the nth operation of a step fail; false if there are not as many.
async fn one(
    subject: &Subject,
    (before, step, n): (&[Step], &Step, u64),
    pictures: &[Picture],
    scene: Scene,
    found: &mut Findings,
) -> Result<bool, Error> {
    let mut play = Play::begin(subject).await?;
    if !play.run(before).await {
        return Ok(false);
    }
    let start = play.picture().await;
    play.stage.mortal.doom(n, Fate::Fail);
    let answer = play.step(step).await;
    play.stage.bench.settle().await;
    if !play.stage.mortal.spare() {
        return Ok(false);
    }
    found.case();
    let at = format!("{}, {}, when operation {} fails", step.name(), scene.name(), n + 1);
    let now = play.picture().await;
    let whole = &pictures[before.len()];
    match answer {
        _ if step.is_removal() => {
            // What the host could not do it does when it is asked again.
            if now.difference(whole).is_some() {
                let _ = play.step(step).await;
            }
            if let Some(difference) = play.picture().await.difference(whole) {
                found.add(Kind::State, at, difference);
            }
            return Ok(true);
        }
        Ok(_) => {
            if let Some(difference) = now.difference(whole) {
                found.add(
                    Kind::Partial,
                    at,
                    format!("the driver says that it worked; {difference}"),
                );
            }
            return Ok(true);
        }
        Err(refusal) if matches!(refusal.kind, Kind::Crash | Kind::Endless | Kind::Sentence) => {
            found.refused(at.clone(), refusal);
        }
        Err(_) => {}
    }
    if let Some(difference) = now.difference(&start) {
        found.add(Kind::State, at.clone(), format!("after the failure {difference}"));
    }
    match play.step(step).await {
        Ok(_) => {
            if let Some(difference) = play.picture().await.difference(whole) {
                found.add(Kind::State, format!("{at}, at the next try"), difference);
            }
        }
        Err(refusal) => found.add(Kind::Retry, format!("{at}, at the next try"), refusal.says),
    }
    Ok(true)
}
