//! Calls that are repeated, and ids that nobody knows.

use serde_json::{Value, json};

use super::super::{
    Error,
    play::{Findings, Play},
    report::Kind,
    script::{Scene, id},
    subject::Subject,
};

pub(super) async fn check(subject: &Subject, found: &mut Findings) -> Result<(), Error> {
    twice(subject, found).await?;
    unknown(subject, found).await?;
    swarm(subject, found).await
}

/// Each call of a life twice.
async fn twice(subject: &Subject, found: &mut Findings) -> Result<(), Error> {
    let mut play = Play::begin(subject).await?;
    for step in Scene::Plain.life(&subject.options) {
        found.case();
        let at = format!("{}, said twice", step.name());
        let (first, once) = (play.step(&step).await, play.picture().await);
        let (second, again) = (play.step(&step).await, play.picture().await);
        match (first, second) {
            // Facts for people may change.
            (Ok(first), Ok(second)) if first != second && !step.only_asks() => {
                found.add(Kind::Unsteady, at, format!("{second}, and before {first}"));
            }
            (Ok(_), Ok(_)) => {
                if let Some(difference) = again.difference(&once) {
                    found.add(Kind::State, at, difference);
                }
            }
            (Err(refusal), _) | (_, Err(refusal)) => found.refused(at, refusal),
        }
    }
    Ok(())
}

/// Leaving and deleting what is not there.
async fn unknown(subject: &Subject, found: &mut Findings) -> Result<(), Error> {
    let play = Play::begin(subject).await?;
    let ids = json!({ "NetworkID": id(1), "EndpointID": id(2) });
    for method in ["RevokeExternalConnectivity", "Leave", "DeleteEndpoint", "DeleteNetwork"] {
        found.case();
        if let Err(refusal) = play.ask(&format!("NetworkDriver.{method}"), &ids).await {
            found.refused(format!("{method} of what is not there"), refusal);
        }
    }
    Ok(())
}

/// What a Swarm's manager asks, which the host cannot answer by itself.
async fn swarm(subject: &Subject, found: &mut Findings) -> Result<(), Error> {
    let play = Play::begin(subject).await?;
    let network = Scene::Plain.network(&id(1), &subject.options);
    let allocate = json!({
        "NetworkID": id(1),
        "Options": subject.options,
        "IPv4Data": network["IPv4Data"],
        "IPv6Data": [],
    });
    let free = json!({ "NetworkID": id(1) });
    let node = json!({
        "DiscoveryType": 1, "DiscoveryData": { "Address": "192.0.2.7", "Self": false },
    });
    let calls: [(&str, &Value); 8] = [
        ("AllocateNetwork", &allocate),
        ("AllocateNetwork", &allocate),
        ("FreeNetwork", &free),
        ("FreeNetwork", &free),
        ("DiscoverNew", &node),
        ("DiscoverNew", &node),
        ("DiscoverDelete", &node),
        ("DiscoverDelete", &node),
    ];
    let mut last: Option<(&str, Value)> = None;
    for (method, body) in calls {
        found.case();
        let again =
            if last.as_ref().is_some_and(|(before, _)| *before == method) { " again" } else { "" };
        let at = format!("{method}{again}");
        match play.ask(&format!("NetworkDriver.{method}"), body).await {
            Ok(answer) => {
                let before = last.take().filter(|(before, _)| *before == method);
                if let Some((_, before)) = before.filter(|(_, before)| *before != answer) {
                    found.add(Kind::Unsteady, at, format!("{answer}, and before {before}"));
                }
                last = Some((method, answer));
            }
            Err(refusal) => found.refused(at, refusal),
        }
    }
    Ok(())
}
