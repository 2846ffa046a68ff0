//! Networks and containers come and go.

use serde_json::json;

use super::super::{
    Error,
    play::{Findings, Play},
    report::Kind,
    script::Scene,
    subject::Subject,
};

pub(super) async fn check(subject: &Subject, found: &mut Findings) -> Result<(), Error> {
    let generic = json!({ "Options": { "com.docker.network.generic": subject.options } });
    let play = Play::begin(subject).await?;
    found.case();
    if let Err(refusal) = play.ask("NetworkDriver.GwAllocCheck", &generic).await {
        found.refused("GwAllocCheck", refusal);
    }
    for scene in Scene::ALL {
        live(subject, scene, found).await?;
    }
    Ok(())
}

async fn live(subject: &Subject, scene: Scene, found: &mut Findings) -> Result<(), Error> {
    let mut play = Play::begin(subject).await?;
    let (before, links) = (play.picture().await, play.stage.bench.snapshot().await?);
    for step in scene.life(&subject.options) {
        found.case();
        let at = format!("{}, {}", step.name(), scene.name());
        match play.step(&step).await {
            Ok(_) => {}
            // Not every driver serves every network, if it says so.
            Err(refusal) if scene != Scene::Plain && refusal.is_a_no() && step.is_first() => {
                found.note(format!("{} is refused: {}", scene.name(), refusal.says));
                return Ok(());
            }
            Err(refusal) => {
                found.refused(at, refusal);
                if !step.is_removal() {
                    break;
                }
            }
        }
    }
    // What is left has to go, or it would be in the next one's way.
    for step in scene.life(&subject.options).iter().filter(|step| step.is_removal()) {
        let _ = play.step(step).await;
    }
    let left = play.picture().await.difference(&before);
    if let Some(left) = left {
        found.add(Kind::Left, format!("the end of {}", scene.name()), left);
    } else if play.stage.bench.snapshot().await? != links {
        found.add(
            Kind::Left,
            format!("the end of {}", scene.name()),
            "the kernel is not as it was",
        );
    }
    Ok(())
}
