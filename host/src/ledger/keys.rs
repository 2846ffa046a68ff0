//! The drivers' own keys.

use crate::id::{DriverName, EndpointId, NetworkId};

/// To what a driver's key belongs, and with what it goes away.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyScope {
    /// The driver.
    Driver,
    /// A network.
    Network(NetworkId),
    /// An endpoint of a network.
    Endpoint(NetworkId, EndpointId),
}

/// A driver's key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoreKey {
    /// Whose it is.
    pub driver: DriverName,
    /// What it belongs to.
    pub scope: KeyScope,
    /// As the driver wrote it.
    pub key: String,
}

// === impl KeyScope ===

impl KeyScope {
    /// Whether a key here goes when a network, or one endpoint of it, goes.
    pub fn goes_with(&self, network: &NetworkId, endpoint: Option<&EndpointId>) -> bool {
        match (self, endpoint) {
            (Self::Driver, _) => false,
            (Self::Network(of), None) | (Self::Endpoint(of, _), None) => of == network,
            (Self::Network(_), Some(_)) => false,
            (Self::Endpoint(of, which), Some(endpoint)) => of == network && which == endpoint,
        }
    }
}

// === impl StoreKey ===

impl StoreKey {
    /// As it stands in the store. Names and ids have no NUL; the driver's own
    /// part comes last and may have any.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (network, endpoint) = match &self.scope {
            KeyScope::Driver => ("", ""),
            KeyScope::Network(network) => (network.as_str(), ""),
            KeyScope::Endpoint(network, endpoint) => (network.as_str(), endpoint.as_str()),
        };
        [self.driver.as_str(), "\0", network, "\0", endpoint, "\0", &self.key].concat().into_bytes()
    }

    /// Reads it back.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(bytes).ok()?.splitn(4, '\0');
        let driver = parts.next()?.parse().ok()?;
        let scope = match (parts.next()?, parts.next()?) {
            ("", "") => KeyScope::Driver,
            (network, "") => KeyScope::Network(network.parse().ok()?),
            (network, endpoint) => {
                KeyScope::Endpoint(network.parse().ok()?, endpoint.parse().ok()?)
            }
        };
        Some(Self { driver, scope, key: parts.next()?.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_the_store_whatever_the_driver_writes() {
        let network: NetworkId = "n1".parse().unwrap();
        let endpoint: EndpointId = "e1".parse().unwrap();
        for scope in [
            KeyScope::Driver,
            KeyScope::Network(network.clone()),
            KeyScope::Endpoint(network, endpoint),
        ] {
            for key in ["plain", "../../x", "a\0b", "ü"] {
                let key = StoreKey {
                    driver: "acme".parse().unwrap(),
                    scope: scope.clone(),
                    key: key.to_owned(),
                };
                assert_eq!(StoreKey::from_bytes(&key.to_bytes()), Some(key));
            }
        }
    }
}
