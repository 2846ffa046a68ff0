//! What network drivers have in common: Docker's options that hold for all of them, and
//! Ethernet addresses.

use crate::{Error, IpAddress, IpNetwork, MacAddress, Network, Options, random};

const MTU: &str = "com.docker.network.driver.mtu";
const IFACE_PREFIX: &str = "com.docker.network.container_iface_prefix";

/// IPv4 needs 68 bytes (RFC 791); the kernel takes up to 65535 on a bridge.
const MTU_RANGE: std::ops::RangeInclusive<u32> = 68..=65535;
/// IPv6 works on links of at least 1280 bytes (RFC 8200).
const MTU_MIN_IPV6: u32 = 1280;
/// The kernel's link names have 15 bytes; a few are left for the number.
const IFACE_PREFIX_MAX: usize = 12;

/// The MTU in bytes that the user chose for a network (`com.docker.network.driver.mtu`).
///
/// ```
/// use wasmnet_sdk::{Options, common, mock};
///
/// let network = mock::network("n1").subnet("fd00:1::/64");
/// let mtu = |text: &str| {
///     let network = network.clone().option("com.docker.network.driver.mtu", text).done();
///     common::mtu(&network, &Options::new(&network.options)).map_err(|error| error.message)
/// };
/// assert_eq!(mtu("1400"), Ok(Some(1400)));
/// assert_eq!(mtu("0"), Ok(None));
/// assert_eq!(
///     mtu("999").unwrap_err(),
///     "option com.docker.network.driver.mtu: \"999\" must be at least 1280 on a network with IPv6"
/// );
/// ```
pub fn mtu(network: &Network, options: &Options<'_>) -> Result<Option<u32>, Error> {
    let expected = "a number of bytes from 68 to 65535";
    // 0 is how Docker spells "the default".
    let Some(mtu) = options.parse::<u32>(MTU, expected)?.filter(|mtu| *mtu != 0) else {
        return Ok(None);
    };
    if !MTU_RANGE.contains(&mtu) {
        return Err(Error::invalid(format!("option {MTU}: \"{mtu}\" must be {expected}")));
    }
    if mtu < MTU_MIN_IPV6 && !network.ipv6.is_empty() {
        return Err(Error::invalid(format!(
            "option {MTU}: \"{mtu}\" must be at least {MTU_MIN_IPV6} on a network with IPv6"
        )));
    }
    Ok(Some(mtu))
}

/// What the interface in the container is to be called, before its number
/// (`com.docker.network.container_iface_prefix`); "eth" if the user did not say.
pub fn interface_prefix(options: &Options<'_>) -> Result<String, Error> {
    let prefix = options.get(IFACE_PREFIX).unwrap_or("eth");
    let fits = !prefix.is_empty()
        && prefix.len() <= IFACE_PREFIX_MAX
        && prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if !fits {
        return Err(Error::invalid(format!(
            "option {IFACE_PREFIX}: \"{prefix}\" must be 1 to {IFACE_PREFIX_MAX} letters, digits, dots, dashes or underscores"
        )));
    }
    Ok(prefix.to_owned())
}

/// The address for an endpoint whose user asked for none.
///
/// From its IPv4 address, as Docker's bridge did up to version 27
/// (02:42:AA:BB:CC:DD): a container that comes back with its old address is
/// then found under its neighbours' old ARP entries, which engines before 28
/// do not refresh. Random and locally administered (IEEE 802) without IPv4.
pub fn choose_mac(ipv4: Option<IpNetwork>) -> MacAddress {
    if let Some(IpNetwork { address: IpAddress::Ipv4((a, b, c, d)), .. }) = ipv4 {
        return (0x02, 0x42, a, b, c, d);
    }
    let mut octets = [0; 6];
    for (octet, random) in octets.iter_mut().zip(random::bytes(6)) {
        *octet = random;
    }
    octets[0] = (octets[0] | 0x02) & 0xfe;
    octets.into()
}

/// As people write it: 02:42:ac:11:00:02.
pub fn mac_to_text((a, b, c, d, e, f): MacAddress) -> String {
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

/// And back; none if it is none.
pub fn mac_from_text(text: &str) -> Option<MacAddress> {
    let octets: Option<Vec<u8>> = text
        .split(':')
        .map(|part| u8::from_str_radix(part, 16).ok().filter(|_| part.len() == 2))
        .collect();
    <[u8; 6]>::try_from(octets?).ok().map(MacAddress::from)
}
