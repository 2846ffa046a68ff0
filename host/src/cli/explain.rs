//! `wasmnet explain`: what a denial means and which grant would allow it.

use serde_json::json;

use super::output;
use crate::grants::Code;

/// Why nothing could be explained.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// There is no such code.
    #[error("there is no code {}; known are {}", .0.escape_default(), all())]
    Unknown(String),
    /// The terminal is gone.
    #[error("cannot print")]
    Print(#[from] std::io::Error),
}

fn all() -> String {
    Code::ALL.map(Code::as_str).join(", ")
}

/// Explains one code, or without one lists all.
pub(super) fn run(code: Option<&str>, json: bool) -> Result<(), Error> {
    let wanted = |known: &Code| code.is_none_or(|code| known.as_str() == code);
    let codes: Vec<Code> = Code::ALL.into_iter().filter(wanted).collect();
    match (code, codes.as_slice()) {
        (Some(unknown), []) => Err(Error::Unknown(unknown.to_owned())),
        _ if json => {
            let view = |code: &Code| json!({ "code": code, "meaning": code.meaning(), "grant": code.grant() });
            Ok(output::json(&codes.iter().map(view).collect::<Vec<_>>())?)
        }
        (Some(_), _) => {
            Ok(output::lines(&codes.iter().map(|code| text(*code)).collect::<String>())?)
        }
        (None, _) => {
            let row = |code: &Code| {
                let grant = code.grant().unwrap_or("no driver may");
                vec![code.to_string(), grant.to_owned()]
            };
            Ok(output::table(&["CODE", "GRANT"], codes.iter().map(row))?)
        }
    }
}

fn text(code: Code) -> String {
    let what_to_do = match code.grant() {
        Some(grant) => format!(
            "If you trust the driver with it, write this (with values of your own) into \
             /etc/wasmnet/drivers.d/NAME.toml and start the daemon again:\n\n    [grants]\n    {grant}\n\n\
             The driver's manifest has to ask for it, too; `wasmnet driver ls --json` shows both.",
        ),
        None => "No driver may do that, and no grant allows it.".to_owned(),
    };
    format!("{code}: {}\n\n{what_to_do}\n", code.meaning())
}
