//! Between the contract's addresses and those of `std` and `ipnet`.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use ipnet::IpNet;

use crate::{Error, IpAddress, IpNetwork};

// === impl IpAddress ===

impl From<IpAddr> for IpAddress {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::Ipv4(v4.octets().into()),
            IpAddr::V6(v6) => Self::Ipv6(v6.segments().into()),
        }
    }
}

impl From<IpAddress> for IpAddr {
    fn from(address: IpAddress) -> Self {
        match address {
            IpAddress::Ipv4(octets) => Ipv4Addr::from(<[u8; 4]>::from(octets)).into(),
            IpAddress::Ipv6(groups) => Ipv6Addr::from(<[u16; 8]>::from(groups)).into(),
        }
    }
}

// === impl IpNetwork ===

impl IpNetwork {
    /// The subnet this address lies in: its host bits set to zero.
    pub fn subnet(&self) -> Self {
        let address = IpAddr::from(self.address);
        match IpNet::new(address, self.prefix_length) {
            Ok(network) => network.trunc().into(),
            // The host only hands out prefix lengths that fit the family.
            Err(_) => *self,
        }
    }
}

impl IpNetwork {
    /// An address alone: all bits of the prefix are set.
    pub fn host(address: IpAddress) -> Self {
        let prefix_length = match address {
            IpAddress::Ipv4(_) => 32,
            IpAddress::Ipv6(_) => 128,
        };
        Self { address, prefix_length }
    }
}

impl From<IpNet> for IpNetwork {
    fn from(network: IpNet) -> Self {
        Self { address: network.addr().into(), prefix_length: network.prefix_len() }
    }
}

/// As people write it: 192.0.2.1, 2001:db8::1.
impl std::fmt::Display for IpAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        IpAddr::from(*self).fmt(f)
    }
}

/// As people write it: 192.0.2.1/24.
impl std::fmt::Display for IpNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_length)
    }
}

impl FromStr for IpAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let address = text.parse::<IpAddr>();
        address.map(Self::from).map_err(|_| Error::invalid(format!("\"{text}\" is no IP address")))
    }
}

/// The host's bits are kept.
impl FromStr for IpNetwork {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let network = text.parse::<IpNet>();
        network
            .map(Self::from)
            .map_err(|_| Error::invalid(format!("\"{text}\" is no address with a prefix length")))
    }
}
