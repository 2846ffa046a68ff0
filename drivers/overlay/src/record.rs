//! What a host publishes of an endpoint: lines of KEY=VALUE, so that later versions can say
//! more (a name, a key) and older ones still read it.

use std::{fmt::Write as _, net::IpAddr};

use wasmnet_sdk::{IpNetwork, MacAddress, common};

/// What stands before an endpoint's first address in the key of its entry.
pub const ENDPOINT: &str = "endpoint/";
/// The key of what a host says of itself.
pub const HOST: &str = "host";

/// An endpoint, as the other hosts need to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its Ethernet address.
    pub mac: MacAddress,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

// === impl Record ===

impl Record {
    /// The record of an endpoint with these addresses.
    pub fn new(mac: MacAddress, addresses: impl IntoIterator<Item = IpNetwork>) -> Self {
        Self { mac, addresses: addresses.into_iter().map(|net| net.address.into()).collect() }
    }

    /// By what it is found: its first address, so that two hosts that claim the same one
    /// are seen. None without an address.
    pub fn key(&self) -> Option<String> {
        self.addresses.first().map(|address| format!("{ENDPOINT}{address}"))
    }

    /// What its other addresses are claimed as, so that they are seen too.
    pub fn claims(&self) -> impl Iterator<Item = String> {
        self.addresses.iter().skip(1).map(|address| format!("claim/{address}"))
    }

    /// As it is published.
    pub fn write(&self) -> Vec<u8> {
        let mut text = format!("mac={}\n", common::mac_to_text(self.mac));
        for address in &self.addresses {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "address={address}");
        }
        text.into_bytes()
    }

    /// What another host has published; none if it makes no sense.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let values = |key: &'static str| {
            text.lines().filter_map(move |line| line.strip_prefix(key)?.strip_prefix('='))
        };
        let mac = common::mac_from_text(values("mac").next()?)?;
        let addresses: Option<Vec<IpAddr>> =
            values("address").map(|address| address.parse().ok()).collect();
        Some(Self { mac, addresses: addresses? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            mac: (0x02, 0x42, 10, 0, 0, 2),
            addresses: vec!["10.0.0.2".parse().unwrap(), "fd00::2".parse().unwrap()],
        }
    }

    #[test]
    fn what_is_written_is_read_again_whatever_later_versions_add() {
        let bytes = record().write();
        assert_eq!(Record::read(&bytes), Some(record()));
        let more = [b"name=web\n".as_slice(), &bytes, b"public-key=abc\n"].concat();
        assert_eq!(Record::read(&more), Some(record()));
        assert_eq!(record().key().as_deref(), Some("endpoint/10.0.0.2"));
    }

    #[test]
    fn nonsense_is_no_record() {
        for text in
            ["", "mac=02:42:0a:00:00\n", "address=10.0.0.2\n", "mac=02:42:0a:00:00:02\naddress=x\n"]
        {
            assert_eq!(Record::read(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Record::read(&[0xff, 0xfe]), None);
    }
}
