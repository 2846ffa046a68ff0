//! Versions of the contract, and which of them this host speaks.

use std::fmt;

/// The version of the contract this host speaks.
pub const CONTRACT: Version = Version { major: 0, minor: 1, patch: 0 };
/// What the names of its interfaces begin with.
pub(super) const PACKAGE: &str = "wasmnet:driver/";

/// A version of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u64,
    minor: u64,
    patch: u64,
}

/// An interface of the contract, as a component imports or exports it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interface {
    /// "links", "network-driver".
    pub name: String,
    /// The contract's version, as the component says it.
    pub version: String,
}

// === impl Version ===

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.splitn(3, '.').map(|number| number.parse().ok());
        let mut next = || numbers.next().flatten();
        Some(Self { major: next()?, minor: next()?, patch: next()? })
    }

    /// Whether a host of this version can serve a driver that wants the other one: the same
    /// but for what was only added.
    fn serves(self, wanted: Self) -> bool {
        let same = |version: Self| match version.major {
            // Before 1.0 every minor version may break what was.
            0 => (0, version.minor),
            major => (major, 0),
        };
        same(self) == same(wanted) && wanted <= self
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { major, minor, patch } = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

// === impl Interface ===

impl fmt::Display for Interface {
    /// As components name it: "wasmnet:driver/links@0.1.0".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PACKAGE}{}@{}", self.name, self.version)
    }
}

impl Interface {
    /// Reads the name of an import or export; none if it is none of the contract's.
    pub(super) fn read(name: &str) -> Option<Self> {
        let (name, version) = name.strip_prefix(PACKAGE)?.split_once('@')?;
        Some(Self { name: name.to_owned(), version: version.to_owned() })
    }

    /// Whether this host has it, as far as versions go.
    pub(super) fn is_served(&self) -> bool {
        Version::parse(&self.version).is_some_and(|wanted| CONTRACT.serves(wanted))
    }

    /// What to do about a version that this host does not speak.
    pub(super) fn advice(&self) -> &'static str {
        match Version::parse(&self.version) {
            Some(wanted) if wanted < CONTRACT => "build it anew with this version's SDK",
            Some(_) => "it needs a newer wasmnet",
            None => "the host speaks released versions only",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_serves_what_was_before_it_but_for_breaks() {
        let version = |text| Version::parse(text).unwrap();
        for (host, wanted, serves) in [
            ("0.1.0", "0.1.0", true),
            ("0.1.3", "0.1.0", true),
            ("0.1.0", "0.1.1", false),
            ("0.2.0", "0.1.0", false),
            ("0.1.0", "0.2.0", false),
            ("1.4.0", "1.2.7", true),
            ("1.4.0", "1.5.0", false),
            ("2.0.0", "1.0.0", false),
            ("1.0.0", "0.1.0", false),
        ] {
            assert_eq!(version(host).serves(version(wanted)), serves, "{wanted} on {host}");
        }
        assert_eq!(Version::parse("0.1"), None);
        assert_eq!(Version::parse("0.1.0-rc1"), None);
    }
}
