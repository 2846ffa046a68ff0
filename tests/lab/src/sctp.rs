//! SCTP sockets, which the standard library has none of.
//!
//! One-to-one style (RFC 6458, 4): once there, they are used like those of TCP.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 16;

/// Whether this kernel has SCTP, or can load it.
pub(crate) fn is_there() -> bool {
    socket(AddressFamily::INET).is_ok()
}

/// Listens at an address; accepting from it does not block.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(family(address))?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    let listener = TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Connects to an address.
pub(crate) fn connect(to: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    let socket = socket(family(to))?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(limit))?;
    rustix::net::connect(&socket, &to)?;
    Ok(TcpStream::from(socket))
}

fn family(address: SocketAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 }
}

fn socket(family: AddressFamily) -> io::Result<OwnedFd> {
    let (kind, flags) = (SocketType::STREAM, SocketFlags::CLOEXEC);
    Ok(rustix::net::socket_with(family, kind, flags, Some(ipproto::SCTP))?)
}
