//! Carrying what NAT cannot.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream, UdpSocket},
    time::timeout,
};

use super::datagrams::{Datagrams, Way};
use crate::model::Protocol;

/// How long the container may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a UDP flow may be silent; conntrack's own default for answered flows.
const UDP_IDLE: Duration = Duration::from_secs(120);
/// Flows of one UDP port at a time.
const UDP_FLOWS: usize = 1024;
/// How long to wait when there is no file descriptor for a connection.
const PAUSE: Duration = Duration::from_millis(50);
/// What is carried at once of a stream of bytes; each connection has room for two.
const CHUNK: usize = 8 * 1024;
/// And of SCTP, whose messages stay whole up to this length.
const MESSAGE: usize = 64 * 1024;
/// Largest UDP datagram.
const DATAGRAM: usize = 65535;

type Flows = Arc<Mutex<HashMap<Way, Arc<UdpSocket>>>>;

/// Carries connections to `container` for as long as the port is published. Those of SCTP are
/// one-to-one (RFC 6458, 4), so that they are used like TCP's; streams and payload protocol
/// identifiers are not carried on, as by Docker's proxy.
pub(super) async fn streams(protocol: Protocol, listener: TcpListener, container: SocketAddr) {
    // Ends with this task: an unpublished port carries nothing on.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(carry(protocol, stream, container))),
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn carry(protocol: Protocol, mut outer: TcpStream, container: SocketAddr) -> io::Result<()> {
    let inner = TcpSocket::from_std_stream(super::open(protocol, container)?.into());
    let mut inner = timeout(CONNECT, inner.connect(container)).await??;
    let room = if protocol == Protocol::Sctp { MESSAGE } else { CHUNK };
    tokio::io::copy_bidirectional_with_sizes(&mut outer, &mut inner, room, room).await?;
    Ok(())
}

/// Carries datagrams to `container`, and its answers back, for as long as the port is
/// published.
pub(super) async fn udp(socket: Datagrams, container: SocketAddr) {
    let socket = Arc::new(socket);
    let flows = Flows::default();
    let mut answers = tokio::task::JoinSet::new();
    let mut buffer = vec![0; DATAGRAM];
    loop {
        let (length, way) = tokio::select! {
            received = socket.receive(&mut buffer) => match received {
                Ok(received) => received,
                // An ICMP error about an earlier answer.
                Err(_) => continue,
            },
            Some(_) = answers.join_next() => continue,
        };
        let known = lock(&flows).get(&way).cloned();
        let inner = match known {
            Some(inner) => inner,
            None => {
                if lock(&flows).len() >= UDP_FLOWS {
                    continue;
                }
                let Ok(inner) = connect(container).await else { continue };
                let inner = Arc::new(inner);
                lock(&flows).insert(way, Arc::clone(&inner));
                answers.spawn(answer(
                    Arc::clone(&socket),
                    Arc::clone(&inner),
                    way,
                    Arc::clone(&flows),
                ));
                inner
            }
        };
        // As lossy as UDP itself.
        let _ = inner.send(buffer.get(..length).unwrap_or_default()).await;
    }
}

/// Carries a container's answers to one client until the flow has been silent for long.
async fn answer(socket: Arc<Datagrams>, inner: Arc<UdpSocket>, way: Way, flows: Flows) {
    let mut buffer = vec![0; DATAGRAM];
    while let Ok(Ok(length)) = timeout(UDP_IDLE, inner.recv(&mut buffer)).await {
        let _ = socket.send(buffer.get(..length).unwrap_or_default(), way).await;
    }
    lock(&flows).remove(&way);
}

async fn connect(container: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match container {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(container).await?;
    Ok(socket)
}

fn lock(flows: &Flows) -> std::sync::MutexGuard<'_, HashMap<Way, Arc<UdpSocket>>> {
    flows.lock().unwrap_or_else(PoisonError::into_inner)
}
