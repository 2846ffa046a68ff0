//! Servers and files, as they stand in a grant.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::pattern::glob;

/// A server: a name or an address, in which `*` stands for any letters, and perhaps a port
/// ("ipam.example.org", "127.0.0.1:8080", "*.example.org:443", "[::1]:80", "*:*"). Without a port:
/// those of HTTP (80) and HTTPS (443).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPattern {
    host: String,
    port: Port,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Port {
    Usual,
    Any,
    This(u16),
}

/// A file's absolute path, in which `*` stands for any letters but `/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FilePattern(String);

/// A text that is no server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" is no server as in \"ipam.example.org\", \"*.example.org:443\" or \"[::1]:8080\"", .0.escape_default())]
pub struct InvalidHost(String);

/// A text that is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" is no absolute path of files as in \"/etc/acme/*.toml\"", .0.escape_default())]
pub struct InvalidFile(String);

// === impl HostPattern ===

impl HostPattern {
    /// Whether a port of a server is meant.
    pub fn matches(&self, host: &str, port: u16) -> bool {
        let of_port = match self.port {
            Port::Usual => [80, 443].contains(&port),
            Port::Any => true,
            Port::This(granted) => granted == port,
        };
        of_port && glob(self.host.as_bytes(), host.as_bytes())
    }
}

impl FromStr for HostPattern {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        let invalid = || InvalidHost(text.to_owned());
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) => {
                host.parse::<std::net::Ipv6Addr>().map_err(|_| invalid())?;
                (host, rest.strip_prefix(':').or((!rest.is_empty()).then_some("")))
            }
            None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        let port = match port {
            None => Port::Usual,
            Some("*") => Port::Any,
            Some(port) => Port::This(port.parse().map_err(|_| invalid())?),
        };
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._*:".contains(&byte);
        if host.is_empty() || !host.bytes().all(letter) || port == Port::This(0) {
            return Err(invalid());
        }
        Ok(Self { host: host.to_ascii_lowercase(), port })
    }
}

impl TryFrom<String> for HostPattern {
    type Error = InvalidHost;

    fn try_from(text: String) -> Result<Self, InvalidHost> {
        text.parse()
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> Self {
        pattern.to_string()
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]")?
        } else {
            f.write_str(host)?
        }
        match port {
            Port::Usual => Ok(()),
            Port::Any => f.write_str(":*"),
            Port::This(port) => write!(f, ":{port}"),
        }
    }
}

// === impl FilePattern ===

impl FilePattern {
    /// Whether a path is meant.
    pub fn matches(&self, path: &str) -> bool {
        let (mut parts, mut named) = (self.0.split('/'), path.split('/'));
        loop {
            match (parts.next(), named.next()) {
                (None, None) => return true,
                (Some(part), Some(name)) if glob(part.as_bytes(), name.as_bytes()) => {}
                _ => return false,
            }
        }
    }
}

impl TryFrom<String> for FilePattern {
    type Error = InvalidFile;

    fn try_from(text: String) -> Result<Self, InvalidFile> {
        let plain = text.strip_prefix('/').is_some_and(|rest| {
            rest.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
        });
        if plain && !text.contains('\0') { Ok(Self(text)) } else { Err(InvalidFile(text)) }
    }
}

impl From<FilePattern> for String {
    fn from(pattern: FilePattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for FilePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_matched_by_name_and_port() {
        for (pattern, host, port, is) in [
            ("ipam.example", "ipam.example", 443, true),
            ("IPAM.example", "ipam.example", 80, true),
            ("ipam.example", "ipam.example", 8080, false),
            ("*.example:8443", "a.example", 8443, true),
            ("*.example:8443", "example", 8443, false),
            ("*.example", "a.example.org", 80, false),
            ("[::1]:8080", "::1", 8080, true),
            ("127.0.0.1:8080", "127.0.0.1", 8081, false),
            ("*:*", "::1", 9, true),
        ] {
            let read: HostPattern = pattern.parse().unwrap();
            assert_eq!(read.matches(host, port), is, "{pattern} {host}:{port}");
        }
        for text in ["", "a b", "http://a", "a:0", "a:b", "::1", "[a]", "[::1]x", "a/b"] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn files_are_matched_part_by_part() {
        let file = |text: &str| FilePattern::try_from(text.to_owned());
        let pattern = file("/etc/acme/*.toml").unwrap();
        assert!(pattern.matches("/etc/acme/a.toml"));
        for path in ["/etc/acme/b/a.toml", "/etc/acme/a.tom", "/etc/acme", "/x/etc/acme/a.toml"] {
            assert!(!pattern.matches(path), "{path}");
        }
        for text in ["", "etc/a", "/", "/etc/../a", "/etc//a", "/etc/./a"] {
            assert!(file(text).is_err(), "{text}");
        }
    }
}
