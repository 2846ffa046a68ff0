//! Link names.

use std::{borrow::Borrow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Longest name in bytes (IFNAMSIZ less the terminating NUL).
const MAX: usize = 15;
/// What the names that the host picks begin with; `wn+` matches them in iptables.
const PREFIX: &str = "wn";
/// Hex digits after the prefix.
const DIGITS: usize = 12;

/// A name the kernel accepts for a link (dev_valid_name() in net/core/dev.c),
/// and that can be shown: 1 to 15 bytes of printable ASCII.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LinkName(String);

/// A text is not a link name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a link name: use 1 to {MAX} letters, digits, dots, dashes or underscores")]
pub struct InvalidLinkName(String);

// === impl LinkName ===

impl LinkName {
    /// The name the host picks for a link, from what it belongs to. `attempt`
    /// leads to another name if the first one is taken.
    pub fn pick(parts: &[&str], attempt: u32) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part.len().to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.update(attempt.to_be_bytes());
        let mut name = String::from(PREFIX);
        for byte in &hash.finalize()[..DIGITS / 2] {
            name.push_str(&format!("{byte:02x}"));
        }
        Self(name)
    }

    /// The name of the other end of a veth pair whose host end the host has named.
    pub fn peer(&self) -> Self {
        let mut name = self.0.clone();
        name.truncate(MAX - 1);
        name.push('p');
        Self(name)
    }

    /// Whether this is a name that the host picks, as [`pick`](Self::pick) and
    /// [`peer`](Self::peer) make them.
    pub fn is_picked(&self) -> bool {
        let Some(rest) = self.0.strip_prefix(PREFIX) else { return false };
        let digits = rest.strip_suffix('p').unwrap_or(rest);
        digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    }

    /// As the kernel writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LinkName {
    type Err = InvalidLinkName;

    fn from_str(name: &str) -> Result<Self, InvalidLinkName> {
        let fits = (1..=MAX).contains(&name.len())
            && !matches!(name, "." | ".." | "all" | "default")
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if fits {
            Ok(Self(name.to_owned()))
        } else {
            Err(InvalidLinkName(name.escape_default().to_string()))
        }
    }
}

impl TryFrom<String> for LinkName {
    type Error = InvalidLinkName;

    fn try_from(name: String) -> Result<Self, InvalidLinkName> {
        name.parse()
    }
}

impl From<LinkName> for String {
    fn from(name: LinkName) -> Self {
        name.0
    }
}

impl Borrow<str> for LinkName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picked_names_fit_and_are_recognised() {
        let name = LinkName::pick(&["wasm-bridge", "net", "bridge"], 0);
        assert!(name.as_str().len() < MAX && name.is_picked(), "{name}");
        assert!(name.peer().as_str().len() <= MAX && name.peer().is_picked(), "{}", name.peer());
        assert_ne!(name, LinkName::pick(&["wasm-bridge", "net", "bridge"], 1));
        assert_ne!(LinkName::pick(&["a", "bc"], 0), LinkName::pick(&["ab", "c"], 0));
    }

    #[test]
    fn names_that_the_kernel_or_a_terminal_would_trip_over_are_refused() {
        let long = "x".repeat(MAX + 1);
        for name in
            ["", ".", "..", "all", "a/b", "a:b", "a b", "a\nb", "a\u{1b}[2Jb", "a\0b", &long]
        {
            assert!(name.parse::<LinkName>().is_err(), "{name:?}");
        }
        for name in ["br0", "eth0.50", &"x".repeat(MAX)] {
            assert!(name.parse::<LinkName>().is_ok(), "{name:?}");
        }
    }
}
