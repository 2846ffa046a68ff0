//! The host's own link on the parent's wire, and its routes to the containers.
//!
//! The link has no address of its own: on it the host is who it is elsewhere. Only containers
//! are to notice it. Others on the wire would remember its Ethernet address as the host's, and
//! send there when it is gone; so it answers nobody who is not reached by it (`arp_filter`),
//! and asks nobody: the containers' Ethernet addresses are known.

use wasmnet_sdk::{
    Endpoint, Error, IpFamily, IpNetwork, Network, common,
    links::{self, Link, MacvlanMode, MacvlanOptions},
    neighbours, routes, sysctl,
};

/// The label of the host's link.
const HOST: &str = "host";

/// Makes the link.
pub fn create(network: &Network, parent: &str, mtu: Option<u32>) -> Result<(), Error> {
    // Made again, it must be whom the containers remember.
    let mac = Some(common::choose_mac(None));
    let options = MacvlanOptions { parent: parent.to_owned(), mode: MacvlanMode::Bridge, mac, mtu };
    let link = links::create_macvlan(HOST, &options)?;
    sysctl::set(&link, IpFamily::Ipv4, "arp_filter", "1")?;
    if network.ipv6.is_empty() {
        return sysctl::set(&link, IpFamily::Ipv6, "disable_ipv6", "1");
    }
    // A router of the wire would give it an address, and the host a second default route.
    sysctl::set(&link, IpFamily::Ipv6, "accept_ra", "0")?;
    // IPv6 answers on a link for that link's addresses only, but for these.
    sysctl::set(&link, IpFamily::Ipv6, "forwarding", "1")?;
    sysctl::set(&link, IpFamily::Ipv6, "proxy_ndp", "1")?;
    neighbours::answer_for_parent(&link)
}

/// Leads to a container by that link, for as long as its endpoint stands.
pub fn route(endpoint: &Endpoint) -> Result<(), Error> {
    let link = links::open(HOST)?;
    route_to(&link, endpoint, endpoint.ipv4)?;
    route_to(&link, endpoint, endpoint.ipv6)
}

fn route_to(link: &Link, endpoint: &Endpoint, address: Option<IpNetwork>) -> Result<(), Error> {
    let Some(IpNetwork { address, .. }) = address else { return Ok(()) };
    routes::add(link, IpNetwork::host(address), None)?;
    match endpoint.mac {
        Some(mac) => neighbours::add(link, address, mac),
        None => Ok(()),
    }
}
