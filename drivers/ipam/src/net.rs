//! Subnets as ranges of numbers: an address is its offset from its subnet's first one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wasmnet_sdk::{Error, IpNetwork, ipnet::IpNet};

/// Addresses of IPv6 are chosen from a range's first 2^63, as Docker does.
const CHOSEN_MAX: u128 = 1 << 63;

/// From the first to the last offset, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub low: u128,
    /// The last.
    pub high: u128,
}

/// An address as a number.
pub fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// A number as an address of the subnet's family.
fn address(number: u128, of: IpNet) -> IpAddr {
    match of {
        // Offsets within an IPv4 subnet lead to IPv4 addresses.
        IpNet::V4(_) => Ipv4Addr::from_bits(u32::try_from(number).unwrap_or(u32::MAX)).into(),
        IpNet::V6(_) => Ipv6Addr::from_bits(number).into(),
    }
}

/// How many bits of an address tell hosts apart.
pub fn host_bits(subnet: IpNet) -> u32 {
    u32::from(subnet.max_prefix_len() - subnet.prefix_len())
}

/// The address at an offset.
pub fn at(subnet: IpNet, offset: u128) -> IpAddr {
    address(number(subnet.network()) + offset, subnet)
}

/// The offset of an address; none outside of the subnet.
pub fn offset(subnet: IpNet, address: IpAddr) -> Option<u128> {
    subnet.contains(&address).then(|| number(address) - number(subnet.network()))
}

/// A subnet's addresses that can be somebody's, as offsets.
///
/// IPv4 has a network and a broadcast address, IPv6 the routers' anycast address (RFC 4291,
/// 2.6.1); subnets with two addresses or one have neither (RFC 3021, RFC 6164).
pub fn usable(subnet: IpNet) -> Span {
    let bits = host_bits(subnet);
    let last = 1_u128.checked_shl(bits).map_or(u128::MAX, |size| size - 1);
    match subnet {
        _ if bits <= 1 => Span { low: 0, high: last },
        IpNet::V4(_) => Span { low: 1, high: last - 1 },
        IpNet::V6(_) => Span { low: 1, high: last },
    }
}

/// The part of a subnet that addresses are chosen from.
pub fn choice(subnet: IpNet, range: Option<IpNet>) -> Span {
    let usable = usable(subnet);
    let span = match range {
        None => usable,
        Some(range) => {
            let first = number(range.network()) - number(subnet.network());
            let last = number(range.broadcast()) - number(subnet.network());
            Span { low: first.max(usable.low), high: last.min(usable.high) }
        }
    };
    Span { high: span.high.min(span.low.saturating_add(CHOSEN_MAX - 1)), ..span }
}

/// Whether two nets have addresses in common.
pub fn overlap(one: IpNet, other: IpNet) -> bool {
    one.contains(&other) || other.contains(&one)
}

/// A net from the host, its host bits set to zero.
pub fn net_in(net: IpNetwork) -> Result<IpNet, Error> {
    IpNet::new(net.address.into(), net.prefix_length)
        .map(|net| net.trunc())
        .map_err(|_| Error::invalid("Invalid Address Pool"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn reserved_addresses_are_those_of_the_rfcs() {
        for (subnet, first, last) in [
            ("10.1.0.0/24", "10.1.0.1", "10.1.0.254"),
            ("10.1.0.0/30", "10.1.0.1", "10.1.0.2"),
            ("10.1.0.0/31", "10.1.0.0", "10.1.0.1"),
            ("10.1.0.7/32", "10.1.0.7", "10.1.0.7"),
            ("10.0.0.0/8", "10.0.0.1", "10.255.255.254"),
            ("fd00::/126", "fd00::1", "fd00::3"),
            ("fd00::/127", "fd00::", "fd00::1"),
            ("fd00::7/128", "fd00::7", "fd00::7"),
            ("fd00::/64", "fd00::1", "fd00::ffff:ffff:ffff:ffff"),
        ] {
            let Span { low, high } = usable(net(subnet));
            assert_eq!(at(net(subnet), low).to_string(), first, "{subnet}");
            assert_eq!(at(net(subnet), high).to_string(), last, "{subnet}");
        }
    }

    #[test]
    fn addresses_are_chosen_from_the_range_and_its_first_half() {
        for (subnet, range, first, last) in [
            ("10.1.0.0/16", "10.1.4.0/24", "10.1.4.0", "10.1.4.255"),
            ("10.1.0.0/16", "10.1.0.0/24", "10.1.0.1", "10.1.0.255"),
            ("10.1.0.0/16", "10.1.255.0/24", "10.1.255.0", "10.1.255.254"),
            ("fd00::/64", "fd00::/64", "fd00::1", "fd00::8000:0:0:0"),
            ("fd00::/48", "fd00:0:0:8::/64", "fd00:0:0:8::", "fd00::8:7fff:ffff:ffff:ffff"),
        ] {
            let Span { low, high } = choice(net(subnet), Some(net(range)));
            assert_eq!(at(net(subnet), low).to_string(), first, "{range}");
            assert_eq!(at(net(subnet), high).to_string(), last, "{range}");
        }
        let Span { high, .. } = choice(net("::/1"), None);
        assert_eq!(high, 1 << 63);
    }

    #[test]
    fn offsets_lead_back() {
        for (subnet, address) in [("10.0.0.0/8", "10.255.3.1"), ("fd00::/48", "fd00::1:2:3")] {
            let offset = offset(net(subnet), address.parse().unwrap()).unwrap();
            assert_eq!(at(net(subnet), offset).to_string(), address);
        }
        assert_eq!(offset(net("10.0.0.0/8"), "11.0.0.1".parse().unwrap()), None);
        assert_eq!(offset(net("10.0.0.0/8"), "fd00::1".parse().unwrap()), None);
    }
}
