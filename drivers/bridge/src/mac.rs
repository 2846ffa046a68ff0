//! Choosing MAC addresses.

use wasmnet_sdk::{IpAddress, IpNetwork, MacAddress, random};

/// The address for an endpoint whose user asked for none.
///
/// From its IPv4 address, as Docker's bridge did up to version 27
/// (02:42:AA:BB:CC:DD): a container that comes back with its old address is
/// then found under its neighbours' old ARP entries, which engines before 28
/// do not refresh. Random and locally administered (IEEE 802) without IPv4.
pub fn choose(ipv4: Option<IpNetwork>) -> MacAddress {
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
