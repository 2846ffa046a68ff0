//! The data path: how long an answer takes, and how much goes through.
//!
//! The drivers make the same kind of bridge, so the same is to be expected; a difference
//! would be the firewall's, or a proxy's. Threads of our own send and receive, each in its
//! container's network, so no program is needed.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use wasmnet_lab::{Host, Place};

use super::docker::{BUILT_IN, Docker, OURS};
use super::table::Table;
use super::{Measured, Trouble, progress};
use crate::stage::Stage;
use crate::steps::Live;

/// The container's port, and the host's for it.
const PORT: u16 = 8000;
const PUBLISHED: u16 = 20000;
/// Requests on one connection, and what a stream gets.
const REQUESTS: u32 = 2000;
const STREAM: Duration = Duration::from_secs(1);
/// How often all is done, at most.
const FEW: u32 = 5;
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A way that packets go.
struct Way {
    name: &'static str,
    from: Place,
    to: Place,
    /// Where the one end finds the other.
    address: SocketAddr,
}

pub fn latency_table() -> Table {
    Table::new(
        "Latency",
        "Time of a request of one byte and its answer on an open TCP connection, in µs.",
        &["bridge", "wasm-bridge"],
        &[("wasm / bridge", OURS, BUILT_IN)],
    )
}

pub fn throughput_table() -> Table {
    Table::new(
        "Throughput",
        "One TCP stream, in Gbit/s; more is better. Sender and receiver share the machine.",
        &["bridge", "wasm-bridge"],
        &[("wasm / bridge", OURS, BUILT_IN)],
    )
}

/// Measures both, with each driver in turn.
pub fn measure(
    live: &mut Live<'_>,
    stage: &Stage,
    measured: &mut Measured,
    repeat: u32,
    drivers: &[(&Docker<'_>, usize)],
) -> Result<(), Trouble> {
    let rounds = repeat.min(FEW);
    for round in 0..rounds {
        progress(live, round, rounds);
        for (docker, column) in drivers {
            let [client, server] = ["client", "server"].map(|name| docker.name(name));
            docker.run(&client, 0)?;
            docker.run(&server, 1)?;
            let ways = stage.on(|host| ways(stage, host, &client, &server))??;
            for way in ways {
                let (latency, stream) = stage.on(|_| (way.latency(), way.throughput()))?;
                let trouble =
                    |source| Trouble::Io { what: format!("no traffic from {}", way.name), source };
                measured.latency.record(way.name, *column, latency.map_err(trouble)?);
                measured.throughput.record(way.name, *column, stream.map_err(trouble)?);
            }
            docker.remove(&client)?;
            docker.remove(&server)?;
        }
    }
    Ok(())
}

fn ways(stage: &Stage, host: &Host, client: &str, server: &str) -> Result<[Way; 3], Trouble> {
    let template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let said = host.docker(&["inspect", "--format", template, server]);
    let inside: IpAddr =
        said.parse().map_err(|_| Trouble::Refused { what: "docker inspect".to_owned(), said })?;
    let outside = stage.outside_host();
    let container = |name| Place::container(host, name);
    let way = |name, from, to, address, port| Way {
        name,
        from,
        to,
        address: SocketAddr::new(address, port),
    };
    let (there, here) = (outside.address().into(), host.address().into());
    Ok([
        way("container to container", container(client), container(server), inside, PORT),
        way("container to outside", container(client), Place::host(outside), there, PORT),
        way("outside to a port", Place::host(outside), container(server), here, PUBLISHED),
    ])
}

// === impl Way ===

impl Way {
    /// Microseconds of a request and its answer.
    fn latency(&self) -> io::Result<f64> {
        let echo = |mut stream: TcpStream| {
            let mut byte = [0];
            // Until the other end closes.
            while stream.read(&mut byte)? > 0 {
                stream.write_all(&byte)?;
            }
            Ok(())
        };
        self.connected(echo, |mut stream| {
            let started = Instant::now();
            for _ in 0..REQUESTS {
                stream.write_all(b"?")?;
                stream.read_exact(&mut [0])?;
            }
            Ok(started.elapsed().as_secs_f64() * 1e6 / f64::from(REQUESTS))
        })
    }

    /// Gbit/s of one stream.
    fn throughput(&self) -> io::Result<f64> {
        let count = |mut stream: TcpStream| {
            let mut buffer = vec![0; 1 << 17];
            let mut bytes = 0_u64;
            loop {
                match stream.read(&mut buffer)? {
                    0 => break,
                    more => bytes = bytes.saturating_add(more as u64),
                }
            }
            stream.write_all(&bytes.to_be_bytes())
        };
        self.connected(count, |mut stream| {
            let buffer = vec![0; 1 << 17];
            let started = Instant::now();
            while started.elapsed() < STREAM {
                stream.write_all(&buffer)?;
            }
            stream.shutdown(std::net::Shutdown::Write)?;
            let mut bytes = [0; 8];
            stream.read_exact(&mut bytes)?;
            let seconds = started.elapsed().as_secs_f64();
            #[allow(clippy::cast_precision_loss, reason = "nobody sees the last bytes")]
            let bits = u64::from_be_bytes(bytes) as f64 * 8.0;
            Ok(bits / seconds / 1e9)
        })
    }

    /// Lets one end serve one connection while the other uses it.
    fn connected(
        &self,
        serve: impl FnOnce(TcpStream) -> io::Result<()> + Send,
        using: impl FnOnce(TcpStream) -> io::Result<f64>,
    ) -> io::Result<f64> {
        let listener = self.to.within(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, PORT)))?;
        let stream = self.from.within(|| TcpStream::connect_timeout(&self.address, PATIENCE))?;
        let prepare = |stream: &TcpStream| {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))
        };
        prepare(&stream)?;
        thread::scope(|scope| {
            let served = scope.spawn(|| {
                let (stream, _) = listener.accept()?;
                prepare(&stream)?;
                serve(stream)
            });
            let value = using(stream);
            let served = served.join().unwrap_or_else(|_| Err(io::Error::other("no server")));
            served.and(value)
        })
    }
}
