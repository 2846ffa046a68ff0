//! `wasmnet driver inspect`: what a driver is and what it wants.

use std::{
    io,
    path::{Path, PathBuf},
};

use bytesize::ByteSize;
use serde_json::json;

use super::{file, output};
use crate::{
    admin::view::DriverView,
    grants::Grants,
    runtime::{Facts, LoadError},
};

/// Why nothing can be said of a file.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] file::Error),
    /// It is no component that could be read.
    #[error("{}", .0.display())]
    Component(PathBuf, #[source] LoadError),
    /// The terminal is gone.
    #[error("cannot print")]
    Print(#[from] io::Error),
}

/// Whether a driver's file is meant, and not its name in a daemon.
pub(super) fn is_file(driver: &str) -> bool {
    let is_path = driver.contains('/') && !super::driver::is_reference(driver);
    is_path || driver.ends_with(".wasm") || Path::new(driver).is_file()
}

/// Says what a file is.
pub(super) fn file(path: &Path, json: bool) -> Result<(), Error> {
    component(path, &file::component(path)?, json)
}

/// Says what the bytes are that come from somewhere.
pub(super) fn component(path: &Path, bytes: &[u8], json: bool) -> Result<(), Error> {
    let facts = Facts::read(bytes).map_err(|error| Error::Component(path.to_owned(), error))?;
    let refused = facts.check().err().map(|error| error.to_string());
    let manifest = facts.manifest.clone().unwrap_or_default();
    if json {
        return Ok(output::json(&json!({
            "name": manifest.name,
            "version": manifest.version,
            "description": manifest.description,
            "file": path,
            "size": facts.size,
            "digest": format!("sha256:{}", facts.digest),
            "contract": facts.contract(),
            "host_contract": Facts::host_contract(),
            "refused": refused,
            "roles": facts.roles(),
            "imports": facts.capabilities(),
            "other_imports": facts.others,
            "wanted": manifest.grants,
            "wanted_words": manifest.grants.words(),
        }))?);
    }
    let head = match &facts.manifest {
        Some(manifest) => head(&manifest.name, &manifest.version, &manifest.description),
        None => {
            "a component without a manifest, which may do nothing that needs a grant".to_owned()
        }
    };
    let contract: Vec<&str> = facts.contract().into_iter().collect();
    let contract = match contract.as_slice() {
        [] => "none".to_owned(),
        versions => format!("{} (this host: {})", versions.join(", "), Facts::host_contract()),
    };
    let mut rows = vec![
        ("file", format!("{}, {}", path.display(), ByteSize(facts.size as u64).display().iec())),
        ("digest", format!("sha256:{}", facts.digest)),
        ("contract", contract),
        ("role", facts.roles().join(", ")),
        ("imports", facts.capabilities().join(", ")),
    ];
    rows.extend(refused.map(|refused| ("refused", refused)));
    Ok(print(&head, &rows, &manifest.grants, None)?)
}

/// Says what the daemon knows of one of its drivers.
pub(super) fn print_view(driver: &DriverView) -> io::Result<()> {
    let mut rows = vec![
        ("digest", format!("sha256:{}", driver.digest)),
        ("role", driver.roles.join(", ")),
        ("imports", driver.imports.join(", ")),
        ("networks", driver.networks.to_string()),
    ];
    rows.extend(driver.reason.clone().map(|reason| ("not loaded", reason)));
    let head = head(driver.name.as_str(), &driver.version, &driver.description);
    print(&head, &rows, &driver.wanted, Some(&driver.granted))
}

fn head(name: &str, version: &str, description: &str) -> String {
    let name = if name.is_empty() { "(no name)" } else { name };
    format!("{name} {version}: {description}").escape_debug().to_string()
}

fn print(
    head: &str,
    rows: &[(&str, String)],
    wanted: &Grants,
    granted: Option<&Grants>,
) -> io::Result<()> {
    let mut text = format!("{head}\n");
    for (key, value) in rows {
        text.push_str(&format!("  {key:<10} {value}\n"));
    }
    text.push_str(&phrases("it asks to be allowed to", wanted));
    if let Some(granted) = granted.filter(|granted| *granted != wanted) {
        text.push_str(&phrases("it is granted to", granted));
    }
    output::lines(&text)
}

fn phrases(begin: &str, grants: &Grants) -> String {
    let words = grants.words();
    match words.is_empty() {
        true => format!("{begin} do nothing beyond its own links, subnets and keys\n"),
        false => {
            words.iter().fold(format!("{begin}\n"), |text, phrase| text + "  - " + phrase + "\n")
        }
    }
}
