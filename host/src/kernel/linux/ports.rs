//! Published ports on the host's own addresses.
//!
//! A port is bound with a real socket, so that nobody else gets it, and what arrives on
//! the socket is carried to the container. What NAT handles never arrives there; what it
//! cannot does: connections to ::1, and IPv6 to a container without it. So a published
//! port also works, slower, while somebody has flushed the firewall.

mod conntrack;
mod datagrams;
mod relay;

use std::{
    collections::HashMap,
    fs, io,
    net::SocketAddr,
    os::fd::OwnedFd,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt},
    thread::CapabilitySet,
};
use tokio::{net::TcpListener, task::AbortHandle};

use crate::{
    kernel::{Error, Port, Refusal},
    model::Protocol,
    privileges,
};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;
/// The range of ports the kernel gives out by itself.
const RANGE: &str = "net/ipv4/ip_local_port_range";
/// Those of them that it does not.
const RESERVED: &str = "net/ipv4/ip_local_reserved_ports";

/// The bound ports.
pub(super) struct Ports {
    /// The tasks that carry data, each of which has its port's socket.
    bound: Mutex<HashMap<(Protocol, SocketAddr), AbortHandle>>,
    conntrack: conntrack::Flusher,
}

// === impl Ports ===

impl Ports {
    /// Opens what is needed, in the calling thread's network namespace.
    pub(super) fn open() -> Result<Self, Error> {
        let conntrack = conntrack::Flusher::open().map_err(Error::Open)?;
        Ok(Self { bound: Mutex::default(), conntrack })
    }

    /// Binds a port and begins to carry.
    pub(super) fn bind(&self, port: &Port) -> Result<(), Error> {
        let protocol = port.protocol;
        let Some(host) = port.host else {
            // Nothing to bind, but whoever asks for what cannot be is to know it.
            return match open(protocol, port.container).map_err(Refusal::from) {
                Err(source) if source.is_no_such_protocol() => {
                    Err(Error::ProtocolMissing { protocol, source })
                }
                _ => Ok(()),
            };
        };
        let bound = bind(protocol, host).and_then(|socket| carry(port, socket));
        let bound = bound.map_err(|error| match error {
            error if is_not_allowed(&error) => {
                let what = "published ports below 1024";
                let source = Refusal::Capability { name: "CAP_NET_BIND_SERVICE", what };
                Error::Port { protocol, host, source }
            }
            error => match Refusal::from(error) {
                source if source.is_no_such_protocol() => {
                    Error::ProtocolMissing { protocol, source }
                }
                source => Error::Port { protocol, host, source },
            },
        })?;
        self.lock().insert((protocol, host), bound);
        Ok(())
    }

    /// Gives a port up. Flows of UDP that conntrack still knows would stick to the old
    /// container, so they are forgotten.
    pub(super) fn close(&self, port: &Port) {
        let Some(host) = port.host else { return };
        if let Some(task) = self.lock().remove(&(port.protocol, host)) {
            task.abort();
        }
        if port.protocol == Protocol::Udp {
            self.conntrack.forget(host, port.container);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Protocol, SocketAddr), AbortHandle>> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ports that the kernel gives out by itself, less those it was told not to.
pub(super) fn ephemeral() -> Result<Vec<u16>, Error> {
    let read = |path: &str| {
        fs::read_to_string(format!("/proc/sys/{path}"))
            .map_err(|error| Error::Sysctl { path: path.to_owned(), source: error.into() })
    };
    Ok(free_ports(&read(RANGE)?, &read(RESERVED)?))
}

/// `range` is "32768 60999", `reserved` a list as in "8080,9000-9010".
fn free_ports(range: &str, reserved: &str) -> Vec<u16> {
    let mut ends = range.split_whitespace().filter_map(|word| word.parse::<u16>().ok());
    let (Some(first), Some(last)) = (ends.next(), ends.next()) else { return Vec::new() };
    let reserved: Vec<(u16, u16)> = reserved
        .trim()
        .split(',')
        .filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some((first.parse().ok()?, last.parse().ok()?))
        })
        .collect();
    let is_free = |port: &u16| !reserved.iter().any(|(from, to)| (*from..=*to).contains(port));
    (first..=last).filter(is_free).collect()
}

fn open(protocol: Protocol, address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let (kind, number) = match protocol {
        Protocol::Tcp => (SocketType::STREAM, ipproto::TCP),
        Protocol::Udp => (SocketType::DGRAM, ipproto::UDP),
        Protocol::Sctp => (SocketType::STREAM, ipproto::SCTP),
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(family, kind, flags, Some(number))?)
}

fn bind(protocol: Protocol, host: SocketAddr) -> io::Result<OwnedFd> {
    let socket = open(protocol, host)?;
    if host.is_ipv6() {
        // IPv4 has a socket of its own.
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if protocol == Protocol::Tcp {
        // Connections of a listener that just closed must not keep the port.
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    rustix::net::bind(&socket, &host)?;
    if protocol != Protocol::Udp {
        rustix::net::listen(&socket, BACKLOG)?;
    }
    Ok(socket)
}

fn carry(port: &Port, socket: OwnedFd) -> io::Result<AbortHandle> {
    let (protocol, container) = (port.protocol, port.container);
    let task = match protocol {
        Protocol::Tcp | Protocol::Sctp => {
            let listener = TcpListener::from_std(socket.into())?;
            tokio::spawn(relay::streams(protocol, listener, container))
        }
        Protocol::Udp => {
            let ipv6 = port.host.is_some_and(|host| host.is_ipv6());
            let socket = datagrams::Datagrams::new(socket, ipv6)?;
            tokio::spawn(relay::udp(socket, container))
        }
    };
    Ok(task.abort_handle())
}

/// Whether the port is one of those that not everybody may have.
fn is_not_allowed(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::ACCESS)
        && !privileges::has(CapabilitySet::NET_BIND_SERVICE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_ports_are_left_out() {
        assert_eq!(free_ports("10\t15\n", "11,13-14\n"), [10, 12, 15]);
        assert_eq!(free_ports("10 11", "\n"), [10, 11]);
        assert!(free_ports("", "").is_empty());
    }
}
