//! What three engines said while somebody used Docker.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::{
    Error,
    play::{Findings, Play},
    report::Kind,
    script::Step,
    subject::Subject,
};

/// Recorded conversations, one JSON object a line: a user's command (`cmd`), or a call with its
/// method (`path`) and body (`req`).
const CONVERSATIONS: [(&str, &str); 3] = [
    ("engine 20.10", include_str!("../../../../tests/e2e/traces/docker-20.10.jsonl")),
    ("engine 26.1", include_str!("../../../../tests/e2e/traces/docker-26.1.jsonl")),
    ("engine 28.5", include_str!("../../../../tests/e2e/traces/docker-28.5.jsonl")),
];

/// The methods of network drivers.
const METHODS: [&str; 12] = [
    "NetworkDriver.GetCapabilities",
    "NetworkDriver.GwAllocCheck",
    "NetworkDriver.CreateNetwork",
    "NetworkDriver.DeleteNetwork",
    "NetworkDriver.CreateEndpoint",
    "NetworkDriver.DeleteEndpoint",
    "NetworkDriver.EndpointOperInfo",
    "NetworkDriver.Join",
    "NetworkDriver.Leave",
    "NetworkDriver.ProgramExternalConnectivity",
    "NetworkDriver.RevokeExternalConnectivity",
    "NetworkDriver.DiscoverNew",
];

pub(super) async fn check(subject: &Subject, found: &mut Findings) -> Result<(), Error> {
    for (engine, lines) in CONVERSATIONS {
        replay(subject, engine, lines, found).await?;
    }
    Ok(())
}

async fn replay(
    subject: &Subject,
    engine: &str,
    lines: &str,
    found: &mut Findings,
) -> Result<(), Error> {
    let mut play = Play::begin(subject).await?;
    let before = play.picture().await;
    let mut command = String::new();
    // Networks that the driver does not serve, and endpoints that it did not make.
    let mut without: BTreeSet<String> = BTreeSet::new();
    for line in lines.lines() {
        let entry: Value = serde_json::from_str(line)?;
        if let Some(text) = entry["cmd"].as_str() {
            command = text.to_owned();
            continue;
        }
        let path = entry["path"].as_str().unwrap_or_default().trim_start_matches('/');
        let Some(method) = METHODS.into_iter().find(|method| *method == path) else { continue };
        let mut body = entry["req"].clone();
        let id = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        let (network, endpoint) = (id("NetworkID"), id("EndpointID"));
        if without.contains(&network) || without.contains(&endpoint) {
            continue;
        }
        if method == "NetworkDriver.CreateNetwork" {
            let generic = &mut body["Options"]["com.docker.network.generic"];
            for (key, value) in &subject.options {
                generic[key] = value.as_str().into();
            }
        }
        found.case();
        let step = Step { method, body };
        let Err(refusal) = play.step(&step).await else { continue };
        let at = format!("{} of {engine}, for \"{command}\"", step.name());
        if step.is_first() && refusal.is_a_no() {
            found.note(format!("{at}: {}", refusal.says));
        } else {
            found.refused(at, refusal);
        }
        if step.is_first() {
            without.insert(network);
        } else if method == "NetworkDriver.CreateEndpoint" {
            without.insert(endpoint);
        }
    }
    if let Some(left) = play.picture().await.difference(&before) {
        found.add(Kind::Left, format!("the end of the conversation with {engine}"), left);
    }
    Ok(())
}
