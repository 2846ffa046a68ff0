//! Link names with wildcards, and ranges of ports, as they stand in a grant.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::kernel::LinkName;

/// A link's name, in which `*` stands for any letters and `?` for one ("eth*").
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(String);

/// Ports from the first to the last ("8000-8999", "443").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PortRange {
    /// The first, at least 1.
    pub first: u16,
    /// The last, not less than the first.
    pub last: u16,
}

/// A text that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" is not a link's name, or a pattern of names as in \"eth*\"", .0.escape_default())]
pub struct InvalidPattern(String);

/// A text that is no range of ports.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" is neither a port (1 to 65535) nor a range of ports as in \"8000-8999\"", .0.escape_default())]
pub struct InvalidPortRange(String);

// === impl Pattern ===

impl Pattern {
    /// Whether a link's name is meant.
    pub fn matches(&self, name: &LinkName) -> bool {
        glob(self.0.as_bytes(), name.as_str().as_bytes())
    }
}

/// The last `*` takes as much as it must: names are short, so trying is cheap enough.
pub(super) fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|skip| glob(rest, &text[skip..])),
        ([b'?', pattern @ ..], [_, text @ ..]) => glob(pattern, text),
        ([a, pattern @ ..], [b, text @ ..]) => a == b && glob(pattern, text),
        _ => false,
    }
}

impl TryFrom<String> for Pattern {
    type Error = InvalidPattern;

    fn try_from(text: String) -> Result<Self, InvalidPattern> {
        // A name with letters in the place of wildcards.
        let name = text.replace('?', "x").replace('*', "");
        let fits = name.is_empty() || name.parse::<LinkName>().is_ok();
        // Two stars in a row would only cost time.
        if fits && !text.is_empty() && !text.contains("**") {
            Ok(Self(text))
        } else {
            Err(InvalidPattern(text))
        }
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl PortRange ===

impl PortRange {
    /// Whether a port is in it.
    pub fn contains(&self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

impl FromStr for PortRange {
    type Err = InvalidPortRange;

    fn from_str(text: &str) -> Result<Self, InvalidPortRange> {
        let invalid = || InvalidPortRange(text.to_owned());
        let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port != 0);
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let first = port(first).ok_or_else(invalid)?;
        let last = port(last).filter(|last| *last >= first).ok_or_else(invalid)?;
        Ok(Self { first, last })
    }
}

impl TryFrom<String> for PortRange {
    type Error = InvalidPortRange;

    fn try_from(text: String) -> Result<Self, InvalidPortRange> {
        text.parse()
    }
}

impl From<PortRange> for String {
    fn from(range: PortRange) -> Self {
        range.to_string()
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        let matches = |pattern: &str, name: &str| {
            Pattern::try_from(pattern.to_owned()).unwrap().matches(&name.parse().unwrap())
        };
        for (pattern, name) in
            [("eth*", "eth0"), ("eth*", "eth"), ("*", "lo"), ("e?h0", "eth0"), ("*.50", "eth0.50")]
        {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("eth*", "veth0"), ("eth0", "eth01"), ("eth?", "eth"), ("*0", "a1")]
        {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
        for wrong in ["", "a/b", "a b", "sixteen-letters-*", "a**", ".."] {
            assert!(Pattern::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ranges_are_read_and_written() {
        for text in ["443", "8000-8999", "1-65535"] {
            assert_eq!(text.parse::<PortRange>().unwrap().to_string(), text);
        }
        for wrong in ["", "0", "0-5", "5-4", "65536", "a", "1-", "-1", "1-2-3"] {
            assert!(wrong.parse::<PortRange>().is_err(), "{wrong}");
        }
    }
}
