//! The daemon is started anew between all calls, and the machine.

use super::super::{
    Error,
    play::{Findings, Play, clean},
    report::Kind,
    script::{Scene, id},
    subject::{Ground, Subject},
    verdict::Refusal,
};

pub(super) async fn check(subject: &Subject, found: &mut Findings) -> Result<(), Error> {
    between_calls(subject, found).await?;
    if subject.ground == Ground::Memory {
        reboot(subject, found).await?;
    }
    Ok(())
}

async fn between_calls(subject: &Subject, found: &mut Findings) -> Result<(), Error> {
    let steps = Scene::Plain.life(&subject.options);
    let pictures = clean(subject, &steps).await?;
    let mut play = Play::begin(subject).await?;
    for (step, expected) in steps.iter().zip(&pictures) {
        found.case();
        let at = format!("{}, after the daemon was started anew", step.name());
        play = play.restart(false).await?;
        match play.step(step).await {
            Ok(_) => {
                if let Some(difference) = play.picture().await.difference(expected) {
                    found.add(Kind::State, at, difference);
                }
            }
            Err(refusal) => {
                found.add(Kind::Retry, at, refusal.says);
                break;
            }
        }
    }
    for step in steps.iter().filter(|step| step.is_removal()) {
        let _ = play.step(step).await;
    }
    play.stage.bench.settle().await;
    Ok(())
}

/// The networks stand again; the driver hears of it, and may not do what is done already.
async fn reboot(subject: &Subject, found: &mut Findings) -> Result<(), Error> {
    let steps = Scene::Plain.life(&subject.options);
    let mut play = Play::begin(subject).await?;
    if !play.run(&steps[..1]).await {
        return Ok(());
    }
    let network = play.picture().await;
    play.run(&steps[1..5]).await;
    for time in ["a reboot", "another reboot"] {
        found.case();
        play = play.restart(true).await?;
        let at = format!("RestoreNetwork after {time}");
        let Ok(id) = id(1).parse() else { continue };
        let restored = play.stage.bench.dispatcher.restore_network(&id).await;
        if let Err(error) = restored {
            found.refused(at.clone(), Refusal::from(&error));
        }
        if let Some(difference) = play.picture().await.difference(&network) {
            // What it adds once may be what it is for; more each time is not.
            match time {
                "a reboot" => found.note(format!("{at}: {difference}")),
                _ => found.add(Kind::State, at, difference),
            }
        }
    }
    found.case();
    for step in &steps[1..] {
        if let Err(refusal) = play.step(step).await {
            found.add(Kind::Retry, format!("{}, after a reboot", step.name()), refusal.says);
            break;
        }
    }
    Ok(())
}
