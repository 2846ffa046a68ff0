//! The host's own link on the parent's wire, and its routes to the containers.

use wasmnet_sdk::{
    Endpoint, Error, IpNetwork,
    links::{self, Link, MacvlanMode, MacvlanOptions},
    routes,
};

/// The label of the host's link.
const HOST: &str = "host";

/// Makes the link. It has no address: the host takes one of its others, and answers for
/// them on every link (net.ipv4.conf.all.arp_ignore is 0).
pub fn create(parent: &str, mtu: Option<u32>) -> Result<(), Error> {
    let options =
        MacvlanOptions { parent: parent.to_owned(), mode: MacvlanMode::Bridge, mac: None, mtu };
    links::create_macvlan(HOST, &options).map(drop)
}

/// Leads to a container by that link, for as long as its endpoint stands.
pub fn route(endpoint: &Endpoint) -> Result<(), Error> {
    let link = links::open(HOST)?;
    route_to(&link, endpoint.ipv4)?;
    route_to(&link, endpoint.ipv6)
}

fn route_to(link: &Link, address: Option<IpNetwork>) -> Result<(), Error> {
    let Some(IpNetwork { address, .. }) = address else { return Ok(()) };
    routes::add(link, IpNetwork::host(address), None)
}
