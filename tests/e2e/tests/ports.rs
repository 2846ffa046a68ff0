//! Published ports.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use wasmnet_e2e::Site;
use wasmnet_lab::{Place, Server, transports};

/// Host ports: which are given out, what happens to those that are taken.
mod allocation;
/// Ports are free again at once when their container no longer has them.
mod release;
/// The daemon goes away and comes back.
mod restart;
/// SCTP, where the kernel has it and where not.
mod sctp;
/// Who reaches a published port, by which address, and what stays closed.
mod ways;

/// How long something may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(15);

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LOOPBACK6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// A port of an address.
fn at(ip: impl Into<IpAddr>, port: u16) -> SocketAddr {
    SocketAddr::new(ip.into(), port)
}

/// Starts a container, and servers on port 80 of it, one for each transport.
fn web(site: &Site, name: &str, options: &str) -> Web {
    site.container(name, options);
    let place = Place::container(&site.host, name);
    Web { _servers: serve(&place, 80), place }
}

/// Starts a server for each transport that this kernel has.
fn serve(place: &Place, port: u16) -> Vec<Server> {
    transports().into_iter().map(|transport| place.serve(transport, port)).collect()
}

/// A container that serves.
struct Web {
    place: Place,
    _servers: Vec<Server>,
}
