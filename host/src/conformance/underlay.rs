//! The wire to the other nodes of a cluster, for drivers that send something over it. Nobody
//! is there.

use std::io;

use super::bench::{self, ADDRESS};
use crate::kernel::{Address, DEFAULT_MTU, Link, LinkName, Simulated};

/// The link of a kernel in memory.
const LINK: &str = "wire0";
/// Prefix length of an address that has no neighbours.
const ALONE: u8 = 32;

/// Connects a kernel in memory.
pub(super) fn connect(kernel: &Simulated) -> Result<(), bench::Error> {
    let name: LinkName = LINK.parse()?;
    kernel.gain_link(Link { up: true, mtu: Some(DEFAULT_MTU), ..Link::bridge(name.clone()) });
    kernel.set_address(Address { link: name, net: ADDRESS.into() }, true);
    Ok(())
}

/// Gives this host's address to a link of the real kernel.
pub(super) async fn connect_link(netlink: &rtnetlink::Handle, index: u32) -> Result<(), io::Error> {
    let add = netlink.address().add(index, ADDRESS, ALONE).execute();
    add.await.map_err(io::Error::other)
}
