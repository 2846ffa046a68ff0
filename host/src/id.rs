//! Names that other programs give to things: opaque, but bounded.

use std::{borrow::Borrow, fmt};

use serde::{Deserialize, Serialize};

/// Longest network or endpoint id, in bytes. Docker's are 64 hex digits, Swarm's
/// 25 letters; nothing promises either.
const ID_MAX: usize = 128;
/// Longest driver name, in bytes: it is a file name with `.sock` added.
const DRIVER_NAME_MAX: usize = 64;

/// The engine's id of a network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NetworkId(String);

/// The engine's id of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EndpointId(String);

/// What tells a node of a cluster apart from all others: 128 random bits in hex.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId(String);

/// The name a driver has in Docker (`--driver NAME`) and its socket's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DriverName(String);

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// It is empty.
    #[error("a {0} id must not be empty")]
    Empty(&'static str),
    /// It is too long.
    #[error("a {0} id must not be longer than {ID_MAX} bytes")]
    TooLong(&'static str),
    /// It has characters that cannot be shown or would confuse a path.
    #[error("a {0} id must be printable ASCII without spaces")]
    Characters(&'static str),
    /// It is no node's.
    #[error("a node id must be 32 hex digits")]
    NodeId,
    /// A driver's name does not fit a file name.
    #[error(
        "\"{0}\" is not a driver name: use 1 to {DRIVER_NAME_MAX} letters, digits, dots, dashes or underscores, beginning with a letter or digit"
    )]
    DriverName(String),
}

fn check_id(kind: &'static str, id: &str) -> Result<(), InvalidId> {
    if id.is_empty() {
        Err(InvalidId::Empty(kind))
    } else if id.len() > ID_MAX {
        Err(InvalidId::TooLong(kind))
    } else if !id.bytes().all(|byte| byte.is_ascii_graphic()) {
        Err(InvalidId::Characters(kind))
    } else {
        Ok(())
    }
}

fn check_driver_name(name: &str) -> Result<(), InvalidId> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let fits = name.len() <= DRIVER_NAME_MAX
        && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && name.bytes().all(word);
    if fits { Ok(()) } else { Err(InvalidId::DriverName(name.escape_default().to_string())) }
}

fn check_node_id(id: &str) -> Result<(), InvalidId> {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if id.len() == 32 && id.bytes().all(hex) { Ok(()) } else { Err(InvalidId::NodeId) }
}

macro_rules! id {
    ($id:ident, $check:expr) => {
        // === impl $id ===

        impl $id {
            /// As the other program wrote it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $id {
            type Error = InvalidId;

            fn try_from(id: String) -> Result<Self, InvalidId> {
                let check: fn(&str) -> Result<(), InvalidId> = $check;
                check(&id)?;
                Ok(Self(id))
            }
        }

        impl std::str::FromStr for $id {
            type Err = InvalidId;

            fn from_str(id: &str) -> Result<Self, InvalidId> {
                id.to_owned().try_into()
            }
        }

        impl From<$id> for String {
            fn from(id: $id) -> Self {
                id.0
            }
        }

        impl Borrow<str> for $id {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(NetworkId, |id| check_id("network", id));
id!(EndpointId, |id| check_id("endpoint", id));
id!(DriverName, check_driver_name);
id!(NodeId, check_node_id);

// === impl NodeId ===

impl NodeId {
    /// One that nobody has had.
    pub fn random() -> Result<Self, std::io::Error> {
        let mut bytes = [0; 16];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }
}

/// The first digits of an id, as many as Docker shows.
pub fn short(id: &str) -> String {
    const DIGITS: usize = 12;
    id.chars().take(DIGITS).collect()
}
