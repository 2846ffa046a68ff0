//! `wasmnet driver install`, `upgrade`, `remove`, `push`.
//!
//! What is installed is two files: the component, under a name that its digest is part of,
//! and the operator's file in `drivers.d`, which the daemon is then told to read. If the
//! daemon does not take it, both are as they were before.

mod files;
mod registry;
mod source;

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
};

pub(super) use self::{
    files::Error as FilesError,
    source::{Error as SourceError, is_reference},
};
use self::{files::Installed, source::Fetched};
use super::{
    args::{Install, Leave, Push, Upgrade},
    inspect, output,
    show::Error,
};
use crate::{
    admin::{
        client::{get, post_slow},
        view::{DriverView, Status},
    },
    config::{Config, Digest},
    grants::Grants,
    id::DriverName,
    runtime::{Facts, Manifest},
};

/// Installs a driver.
pub(super) async fn install(socket: &Path, options: &Install, json: bool) -> Result<(), Error> {
    let Install { source, name, leave } = options;
    let fetched = fetch(source, leave).await?;
    let seen = look(&fetched.bytes)?;
    let name = match name {
        Some(name) => name.clone(),
        None => manifest(&seen).name.parse().map_err(|_| FilesError::NoName)?,
    };
    let status: Status = get(socket, "/v1/status").await?;
    if status.drivers.iter().any(|driver| driver.name == name) {
        return Err(FilesError::Exists(name).into());
    }
    let signer = check_trust(&status.config, &fetched)?;
    ask(&name, &seen, signer.as_deref(), &Grants::default(), leave)?;
    let installed = Installed::of(&status.config, &name);
    let undo =
        installed.write(&leave.components, &fetched, &digest(&seen), &manifest(&seen).grants)?;
    finish(socket, &name, undo, "installed", json).await
}

/// Puts another component in the place of a driver's.
pub(super) async fn upgrade(socket: &Path, options: &Upgrade, json: bool) -> Result<(), Error> {
    let Upgrade { name, source, leave } = options;
    let fetched = fetch(source, leave).await?;
    let seen = look(&fetched.bytes)?;
    let status: Status = get(socket, "/v1/status").await?;
    let installed = Installed::of(&status.config, name);
    let granted = installed.grants()?;
    let signer = check_trust(&status.config, &fetched)?;
    ask(name, &seen, signer.as_deref(), &granted, leave)?;
    let undo =
        installed.write(&leave.components, &fetched, &digest(&seen), &manifest(&seen).grants)?;
    finish(socket, name, undo, "upgraded", json).await
}

/// Removes a driver.
pub(super) async fn remove(socket: &Path, name: &DriverName, json: bool) -> Result<(), Error> {
    let status: Status = get(socket, "/v1/status").await?;
    let undo = Installed::of(&status.config, name).remove()?;
    finish(socket, name, undo, "removed", json).await
}

/// Says what a component in a registry is.
pub(super) async fn inspect(reference: &str, json: bool) -> Result<(), Error> {
    let fetched = source::fetch(reference).await?;
    Ok(inspect::component(Path::new(reference), &fetched.bytes, json)?)
}

/// Has the daemon read its files again.
pub(super) async fn reload(socket: &Path, json: bool) -> Result<(), Error> {
    let drivers: Vec<DriverView> = post_slow(socket, "/v1/drivers/reload").await?;
    if json {
        Ok(output::json(&drivers)?)
    } else {
        Ok(output::lines("the drivers are as their files say")?)
    }
}

/// Pushes a component to a registry.
pub(super) async fn push(options: &Push, json: bool) -> Result<(), Error> {
    let Push { file, reference } = options;
    let fetched = source::read(file)?;
    let seen = look(&fetched.bytes)?;
    let pushed = source::push(&fetched, &seen, reference).await?;
    let view = serde_json::json!({ "reference": pushed, "component": digest(&seen) });
    if json {
        return Ok(output::json(&view)?);
    }
    Ok(output::lines(&format!("pushed {pushed}\ncomponent {}", digest(&seen)))?)
}

/// Who has signed it, if somebody has. Now and not only when the daemon loads it, so that
/// nobody is asked in vain.
fn check_trust(config: &Path, fetched: &Fetched) -> Result<Option<String>, Error> {
    let config = Config::load(config.exists().then_some(config)).map_err(FilesError::Config)?;
    let signer = config.trust.check(&fetched.bytes, fetched.signature.as_deref());
    Ok(signer.map_err(FilesError::Trust)?)
}

/// What a component says by its bytes; what this host cannot run is refused.
fn look(bytes: &[u8]) -> Result<Facts, FilesError> {
    let facts = Facts::read(bytes).map_err(FilesError::Component)?;
    facts.check().map_err(FilesError::Component)?;
    Ok(facts)
}

fn manifest(facts: &Facts) -> Manifest {
    facts.manifest.clone().unwrap_or_default()
}

fn digest(facts: &Facts) -> String {
    format!("sha256:{}", facts.digest)
}

async fn fetch(from: &str, leave: &Leave) -> Result<Fetched, Error> {
    let fetched = source::fetch(from).await?;
    let bytes = &fetched.bytes;
    if let Some(wanted) = &leave.digest {
        let is = Digest::of(bytes);
        if is != *wanted {
            return Err(FilesError::Digest { wanted: wanted.clone(), is }.into());
        }
    }
    Ok(fetched)
}

async fn finish(
    socket: &Path,
    name: &DriverName,
    undo: files::Undo,
    what: &str,
    json: bool,
) -> Result<(), Error> {
    match post_slow::<Vec<DriverView>>(socket, "/v1/drivers/reload").await {
        Ok(drivers) => {
            undo.forget()?;
            let view = drivers.iter().find(|driver| driver.name == *name);
            match (json, view) {
                (true, view) => Ok(output::json(&view)?),
                (false, _) => Ok(output::lines(&format!("{name}: {what}"))?),
            }
        }
        Err(error) => {
            undo.undo()?;
            Err(error.into())
        }
    }
}

/// Asks whether a driver may do what it was not granted yet.
fn ask(
    name: &DriverName,
    seen: &Facts,
    signer: Option<&str>,
    granted: &Grants,
    leave: &Leave,
) -> Result<(), Error> {
    let had = granted.words();
    let new: Vec<String> =
        manifest(seen).grants.words().into_iter().filter(|words| !had.contains(words)).collect();
    if new.is_empty() || leave.grant_all_permissions {
        return Ok(());
    }
    let wants = new.iter().map(|words| format!("  - {words}\n")).collect::<String>();
    let signed = signer.map_or("not signed".to_owned(), |signer| format!("signed by {signer}"));
    let text = format!("driver {name} ({}, {signed}) wants to\n{wants}", digest(seen));
    if !io::stdin().is_terminal() {
        return Err(FilesError::NotAsked { text }.into());
    }
    let mut terminal = io::stderr();
    write!(terminal, "{text}Do you grant that? [y/N] ")?;
    terminal.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(FilesError::Refused(name.clone()).into()),
    }
}
