//! Options that are wrong, and options of others.

use std::collections::BTreeMap;

use super::super::{
    Error,
    play::{Findings, Play},
    report::Kind,
    script::{Scene, id},
    subject::Subject,
};

/// An option that no driver of this host knows. Engines hand on whatever users write.
const VENDOR: &str = "vendor.example.flag";

/// Docker's own keys, which users know.
const KEYS: [&str; 11] = [
    "com.docker.network.driver.mtu",
    "com.docker.network.container_iface_prefix",
    "com.docker.network.bridge.name",
    "com.docker.network.bridge.enable_icc",
    "com.docker.network.bridge.enable_ip_masquerade",
    "com.docker.network.bridge.host_binding_ipv4",
    "com.docker.network.bridge.gateway_mode_ipv4",
    "com.docker.network.bridge.gateway_mode_ipv6",
    "com.docker.network.host_ipv4",
    "parent",
    "macvlan_mode",
];

/// Values that are wrong for most of them.
const VALUES: [&str; 9] = [
    "",
    "-1",
    "0",
    "99999999999999999999",
    "maybe",
    "a b/c:d",
    "\u{202e}\u{0}\n",
    "10.91.0.1",
    "sixteen-letters-",
];

pub(super) async fn check(subject: &Subject, found: &mut Findings) -> Result<(), Error> {
    let with = |key: &str, value: &str| {
        let mut options = subject.options.clone();
        options.insert(key.to_owned(), value.to_owned());
        options
    };
    found.case();
    if let Err(refusal) = create(subject, &with(VENDOR, "on")).await? {
        let (kind, says) = (refusal.kind, refusal.says);
        found.add(kind, format!("CreateNetwork with {VENDOR}=on, another vendor's option"), says);
    }
    let own: Vec<&str> = subject.options.keys().map(String::as_str).collect();
    for key in KEYS.iter().chain(&own) {
        let long = "x".repeat(1 << 16);
        for value in VALUES.iter().copied().chain([long.as_str()]) {
            found.case();
            let refused = create(subject, &with(key, value)).await?;
            let Err(refusal) = refused else { continue };
            let value: String = value.escape_default().take(24).collect();
            let at = format!("CreateNetwork with {key}=\"{value}\"");
            if matches!(refusal.kind, Kind::Crash | Kind::Endless | Kind::Sentence) {
                found.refused(at, refusal);
            }
        }
    }
    Ok(())
}

/// Makes a network with these options, and deletes it.
async fn create(
    subject: &Subject,
    options: &BTreeMap<String, String>,
) -> Result<Result<(), super::super::verdict::Refusal>, Error> {
    let play = Play::begin(subject).await?;
    let body = Scene::Plain.network(&id(1), options);
    Ok(play.ask("NetworkDriver.CreateNetwork", &body).await.map(drop))
}
