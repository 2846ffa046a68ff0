//! Asking and answering over the network, from a host or from a container.
//!
//! Threads of the test itself do it, each in the network namespace it is about: a
//! container needs no program for it, and nothing has to be parsed.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::host::Host;
use crate::sctp;

/// How long a connection may take: one lost packet is sent again after a second.
const CONNECT: Duration = Duration::from_millis(2500);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(3);
/// How often a datagram is sent, and how long its answer may take each time.
const DATAGRAMS: u32 = 4;
const DATAGRAM_ANSWER: Duration = Duration::from_millis(500);
/// How soon a server notices that it is to end.
const TICK: Duration = Duration::from_millis(50);

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP, which not every kernel has.
    Sctp,
}

/// Those that every kernel has.
pub const TRANSPORTS: [Transport; 2] = [Transport::Tcp, Transport::Udp];

/// All that this kernel has.
pub fn transports() -> Vec<Transport> {
    let sctp = sctp::is_there().then_some(Transport::Sctp);
    TRANSPORTS.into_iter().chain(sctp).collect()
}

/// Somewhere on the network: a host or a container.
pub struct Place {
    name: String,
    namespace: File,
}

/// What a server of [`Place::serve`] answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Whose server it was.
    pub by: String,
    /// The address it was asked from.
    pub from: IpAddr,
}

/// A server; ends when dropped.
#[must_use = "the server ends when this is dropped"]
pub struct Server {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A client that keeps sending from one UDP port.
pub struct Flow {
    socket: UdpSocket,
}

// === impl Place ===

impl Place {
    /// A host.
    #[track_caller]
    pub fn host(host: &Host) -> Self {
        Self::new(format!("host {}", host.name()), &format!("/proc/{}/ns/net", host.init_pid()))
    }

    /// A running container of a host.
    #[track_caller]
    pub fn container(host: &Host, container: &str) -> Self {
        let pid = host.docker(&["inspect", "--format", "{{.State.Pid}}", container]);
        // dockerd counts pids as the host does.
        let path = format!("/proc/{}/root/proc/{}/ns/net", host.init_pid(), pid.trim());
        Self::new(container.to_owned(), &path)
    }

    #[track_caller]
    fn new(name: String, path: &str) -> Self {
        let namespace =
            File::open(path).unwrap_or_else(|error| panic!("{name} has no network: {error}"));
        Self { name, namespace }
    }

    /// Does something in the place's network.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(self.namespace.as_fd(), kind).expect("enter a network");
            work()
        };
        thread::scope(|scope| scope.spawn(inside).join().expect("work in a network"))
    }

    /// Starts a server on all addresses that tells everybody its place's name and the
    /// address it sees.
    #[track_caller]
    pub fn serve(&self, transport: Transport, port: u16) -> Server {
        self.serve_at(transport, SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port))
    }

    /// The same on one address. It keeps the port even if it is asked nothing.
    #[track_caller]
    pub fn serve_at(&self, transport: Transport, address: SocketAddr) -> Server {
        self.try_serve_at(transport, address)
            .unwrap_or_else(|error| panic!("{} cannot serve at {address}: {error}", self.name))
    }

    /// The same, unless somebody has the port.
    pub fn try_serve_at(&self, transport: Transport, address: SocketAddr) -> io::Result<Server> {
        let name = self.name.clone();
        Ok(match transport {
            Transport::Tcp => {
                let listener = self.within(|| TcpListener::bind(address))?;
                listener.set_nonblocking(true)?;
                Server::start(move || serve_stream(&listener, &name))
            }
            Transport::Sctp => {
                let listener = self.within(|| sctp::listen(address))?;
                Server::start(move || serve_stream(&listener, &name))
            }
            Transport::Udp => {
                let socket = self.within(|| UdpSocket::bind(address))?;
                socket.set_read_timeout(Some(TICK))?;
                Server::start(move || serve_udp(&socket, &name))
            }
        })
    }

    /// Asks the server at an address.
    pub fn ask(&self, transport: Transport, to: SocketAddr) -> io::Result<Seen> {
        match transport {
            Transport::Tcp => self.within(|| hear(TcpStream::connect_timeout(&to, CONNECT)?)),
            Transport::Sctp => self.within(|| hear(sctp::connect(to, CONNECT)?)),
            Transport::Udp => self.flow()?.ask(to),
        }
    }

    /// Fails the test unless `by` answers; returns the address it saw.
    #[track_caller]
    pub fn assert_reaches(&self, transport: Transport, to: SocketAddr, by: &str) -> IpAddr {
        match self.ask(transport, to) {
            Ok(seen) if seen.by == by => seen.from,
            Ok(seen) => panic!("{self} at {transport} {to} finds {}, not {by}", seen.by),
            Err(error) => panic!("{self} does not reach {by} at {transport} {to}: {error}"),
        }
    }

    /// Fails the test if anybody answers.
    #[track_caller]
    pub fn assert_cut_off(&self, transport: Transport, to: SocketAddr) {
        if let Ok(seen) = self.ask(transport, to) {
            panic!("{self} reaches {} at {transport} {to}, seen as {}", seen.by, seen.from);
        }
    }

    /// A client for UDP with a port of its own.
    pub fn flow(&self) -> io::Result<Flow> {
        Ok(Flow { socket: self.within(|| UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)))? })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

// === impl Flow ===

impl Flow {
    /// Sends a datagram, a few times if needed, until an answer comes.
    pub fn ask(&self, to: SocketAddr) -> io::Result<Seen> {
        let mut last = io::Error::from(io::ErrorKind::TimedOut);
        for _ in 0..DATAGRAMS {
            match self.ask_once(to) {
                Ok(seen) => return Ok(seen),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Sends one datagram and waits for an answer from there.
    pub fn ask_once(&self, to: SocketAddr) -> io::Result<Seen> {
        self.ask_within(to, DATAGRAM_ANSWER)
    }

    /// The same with another time for the answer.
    pub fn ask_within(&self, to: SocketAddr, limit: Duration) -> io::Result<Seen> {
        self.socket.set_read_timeout(Some(limit))?;
        let mapped = match to.ip() {
            IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), to.port()),
            IpAddr::V6(_) => to,
        };
        self.socket.send_to(b"?", mapped)?;
        loop {
            let mut buffer = [0; 256];
            let (length, from) = match self.socket.recv_from(&mut buffer) {
                // Whoever waits for a limited time is told of signals that do not concern him.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                received => received?,
            };
            // An answer from another address is none: a connected socket would drop it.
            if from.ip().to_canonical() == to.ip() && from.port() == to.port() {
                return parse(&buffer[..length]);
            }
        }
    }
}

// === impl Server ===

impl Server {
    /// Runs one step after another on a thread until this is dropped.
    fn start(mut step: impl FnMut() + Send + 'static) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let thread = thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                step();
            }
        });
        Self { over, thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

// === impl Transport ===

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

fn serve_stream(listener: &TcpListener, name: &str) {
    if !crate::wait::readable(listener, TICK) {
        return;
    }
    let Ok((mut stream, from)) = listener.accept() else { return };
    // A client that has gone away is no matter.
    let _ = stream.write_all(answer(name, from).as_bytes());
}

fn serve_udp(socket: &UdpSocket, name: &str) {
    let mut buffer = [0; 256];
    if let Ok((_, from)) = socket.recv_from(&mut buffer) {
        let _ = socket.send_to(answer(name, from).as_bytes(), from);
    }
}

fn hear(mut stream: TcpStream) -> io::Result<Seen> {
    stream.set_read_timeout(Some(ANSWER))?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    parse(&text)
}

fn answer(name: &str, from: SocketAddr) -> String {
    format!("{name}\n{}", from.ip().to_canonical())
}

fn parse(text: &[u8]) -> io::Result<Seen> {
    let broken = || io::Error::other(format!("no answer but {:?}", String::from_utf8_lossy(text)));
    let (by, from) =
        std::str::from_utf8(text).ok().and_then(|text| text.split_once('\n')).ok_or_else(broken)?;
    let from = from.parse().map_err(|_| broken())?;
    Ok(Seen { by: by.to_owned(), from })
}
