//! What the operator says of one driver.

use std::{collections::BTreeMap, fmt, path::PathBuf, str::FromStr, sync::Arc, time::Duration};

use bytesize::ByteSize;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::{
    builtin::{self, BuiltIn},
    grants::Grants,
    id::DriverName,
    ledger::Limits,
    model::Scope,
    runtime::{CallLimits, Settings},
};

/// A `[[driver]]` of the config file, or a file of its own in `drivers.d`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriverConfig {
    /// Its name in Docker, and its socket's; a file of its own has it from its name.
    pub name: Option<DriverName>,
    /// The component's file; none means the built-in driver of that name.
    pub component: Option<PathBuf>,
    /// What the component's bytes must be.
    pub digest: Option<Digest>,
    /// Where its networks may exist.
    #[serde(default = "local")]
    pub scope: Scope,
    /// What it may do; none: nothing, or for a built-in driver what it asks for.
    pub grants: Option<Grants>,
    /// How much it may do.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// What it is told, by key.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
}

/// A SHA-256, written "sha256:" and 64 hex digits.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Digest(String);

/// How much a driver may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LimitsConfig {
    memory: Option<Memory>,
    deadline: Option<Deadline>,
    operations: Option<u32>,
    links: Option<u32>,
    store: Option<Size>,
    log_lines: Option<u32>,
}

/// Memory of one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Size")]
struct Memory(usize);

/// A number of bytes, as in "64MiB".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct Size(usize);

/// The time of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct Deadline(Duration);

/// A value that will not do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InvalidValue {
    /// No digest.
    #[error("\"{}\" is not a digest, as in sha256:e3b0c442… with 64 hex digits", .0.escape_default())]
    Digest(String),
    /// No size.
    #[error("\"{}\" is not a size, as in \"64MiB\"", .0.escape_default())]
    Size(String),
    /// Too much or too little memory.
    #[error("a driver's memory must be from 1 MiB to 64 MiB")]
    Memory,
    /// No name.
    #[error("\"{}\" is not a node's name: use 1 to 255 letters, digits and signs", .0.escape_default())]
    NodeName(String),
    /// No address.
    #[error("\"{}\" is not an address that other nodes can reach", .0.escape_default())]
    NodeAddress(String),
    /// Too much or too little time.
    #[error("a lease must be from 2 to 3600 seconds")]
    Lease,
    /// Too much or too little time, or none.
    #[error("\"{}\" is not a time from 10ms to 60s", .0.escape_default())]
    Deadline(String),
}

fn local() -> Scope {
    Scope::Local
}

// === impl DriverConfig ===

impl DriverConfig {
    /// What the runtime has to know of it.
    pub fn settings(&self, name: &DriverName) -> Settings {
        let built_in = self.component.is_none().then(|| builtin::find(name)).flatten();
        let limits = built_in.map_or_else(Limits::default, BuiltIn::limits);
        let grants = match (&self.grants, &self.component) {
            // A stranger's driver may do nothing that nobody granted.
            (None, Some(_)) => Some(Grants::default()),
            (grants, _) => grants.clone(),
        };
        Settings {
            grants,
            digest: self.digest.as_ref().map(|digest| digest.0.clone()),
            global: self.scope == Scope::Global,
            limits: self.limits.limits(limits),
            call_limits: self.limits.call_limits(),
            config: Arc::new(self.config.clone()),
        }
    }
}

// === impl LimitsConfig ===

impl LimitsConfig {
    fn limits(&self, default: Limits) -> Limits {
        Limits {
            operations: self.operations.unwrap_or(default.operations),
            links: self.links.unwrap_or(default.links),
            store_bytes: self.store.map_or(default.store_bytes, |size| size.0),
        }
    }

    fn call_limits(&self) -> CallLimits {
        let default = CallLimits::default();
        CallLimits {
            deadline: self.deadline.map_or(default.deadline, |deadline| deadline.0),
            memory: self.memory.map_or(default.memory, |memory| memory.0),
            log_lines: self.log_lines.unwrap_or(default.log_lines),
        }
    }
}

// === impl Memory ===

impl TryFrom<Size> for Memory {
    type Error = InvalidValue;

    fn try_from(size: Size) -> Result<Self, InvalidValue> {
        if (1 << 20..=64 << 20).contains(&size.0) {
            Ok(Self(size.0))
        } else {
            Err(InvalidValue::Memory)
        }
    }
}

// === impl Size ===

impl TryFrom<String> for Size {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        let size = text.parse::<ByteSize>().ok().and_then(|size| size.as_u64().try_into().ok());
        size.map(Self).ok_or(InvalidValue::Size(text))
    }
}

// === impl Deadline ===

impl TryFrom<String> for Deadline {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        match humantime::parse_duration(&text) {
            Ok(time) if (Duration::from_millis(10)..=Duration::from_secs(60)).contains(&time) => {
                Ok(Self(time))
            }
            _ => Err(InvalidValue::Deadline(text)),
        }
    }
}

// === impl Digest ===

impl TryFrom<String> for Digest {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        let hex = text.strip_prefix("sha256:").unwrap_or_default();
        if hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            Ok(Self(hex.to_ascii_lowercase()))
        } else {
            Err(InvalidValue::Digest(text))
        }
    }
}

impl Digest {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let hex = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Self(hex)
    }
}

impl FromStr for Digest {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        text.to_owned().try_into()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}
