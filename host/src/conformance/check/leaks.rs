//! What is left when everything is deleted, and what grows.

use super::super::{
    Error,
    play::{Findings, Play},
    report::Kind,
    script::Scene,
    subject::Subject,
};

/// Lives one after another.
const LIVES: usize = 3;

pub(super) async fn check(subject: &Subject, found: &mut Findings) -> Result<(), Error> {
    let mut play = Play::begin(subject).await?;
    let steps = Scene::Plain.life(&subject.options);
    let mut counts = Vec::new();
    for _ in 0..LIVES {
        found.case();
        play.run(&steps).await;
        play.stage.bench.settle().await;
        counts.push(play.keys());
    }
    let (Some(first), Some(last)) = (counts.first(), counts.last()) else { return Ok(()) };
    let names = |keys: &[String]| keys.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    if last.len() > first.len() {
        found.add(
            Kind::Left,
            format!("{LIVES} networks one after another"),
            format!(
                "the driver's keys grow from {} to {}: {}",
                first.len(),
                last.len(),
                names(last)
            ),
        );
    } else if last.iter().any(|key| key.contains(&super::super::script::id(1))) {
        found.add(
            Kind::Left,
            "the end of a network",
            format!("keys of the driver's name a network that is gone: {}", names(last)),
        );
    } else if !last.is_empty() {
        found.note(format!("{} keys of the driver's stay: {}", last.len(), names(last)));
    }
    Ok(())
}
