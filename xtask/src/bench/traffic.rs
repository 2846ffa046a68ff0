//! The data path: how long an answer takes, and how much goes through.
//!
//! The drivers make the same kind of bridge, so the same is to be expected; a difference
//! would be the firewall's, or a proxy's. In each round a driver's network and containers
//! are made, measured and removed, so that it has the host's firewall to itself.
//!
//! Sender and receiver each have a processor of their own: where the scheduler puts them
//! makes far more of a difference than who made the bridge.

mod alone;
mod iperf;

use std::io::{self, Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::setpriority_process;
use rustix::thread::{CpuSet, sched_setaffinity};
use wasmnet_lab::{Host, Place};

use super::docker::{self, BUILT_IN, Docker, FIRST_PORT, OURS, rest};
use super::table::Table;
use super::{Measured, Trouble, progress};
use crate::stage::Stage;
use crate::steps::Live;

/// The container's port; the host's for it is the first one.
pub const PORT: u16 = 8000;
/// Samples of each way in one round.
pub const SAMPLES: u32 = 3;
/// Requests on one connection.
const REQUESTS: u32 = 2000;
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The processors of the two ends.
const CLIENT: usize = 0;
const SERVER: usize = 1;

/// A way that packets go.
pub struct Way {
    pub name: &'static str,
    pub from: Place,
    pub to: Place,
    /// Where the one end finds the other.
    pub address: SocketAddr,
}

pub fn latency_table() -> Table {
    Table::new(
        "Latency",
        "Time of a request of one byte and its answer on an open TCP connection, in µs; a \
         sample is the mean of 2000. Each end has a processor of its own. Each driver has the \
         host to itself.",
        &["bridge", "wasm-bridge"],
        &[("wasm / bridge", OURS, BUILT_IN)],
    )
}

pub fn throughput_table() -> Table {
    Table::new(
        "Throughput",
        "One TCP stream of iperf3 for a second, in Gbit/s; more is better. Each end has a \
         processor of its own. Each driver has the host to itself.",
        &["bridge", "wasm-bridge"],
        &[("wasm / bridge", OURS, BUILT_IN)],
    )
}

pub fn alone_table() -> Table {
    Table::new(
        "The path alone",
        "The same on connections of which one thread has both ends: no other is woken up, \
         what is left is the kernel's way of a packet. A request and its answer in µs, and \
         chunks of 60 kB in one direction in Gbit/s; a sample is the median of 2000 requests, \
         of 500 chunks.",
        &["bridge", "wasm-bridge"],
        &[("wasm / bridge", OURS, BUILT_IN)],
    )
}

/// Measures all, with each driver in turn.
pub fn measure(
    live: &mut Live<'_>,
    stage: &Stage,
    measured: &mut Measured,
    repeat: u32,
    drivers: &[(&Docker<'_>, usize)],
) -> Result<(), Trouble> {
    let mut drivers = drivers.to_vec();
    for round in 0..repeat {
        progress(live, round, repeat);
        for (docker, column) in &drivers {
            let [client, server] = ["client", "server"].map(|name| docker.name(name));
            docker.create_home()?;
            docker.run(&client, (FIRST_PORT, 0))?;
            docker.run(&server, (FIRST_PORT, 1))?;
            rest();
            for way in stage.on(|host| ways(host, stage.outside_host(), &client, &server))?? {
                for _ in 0..SAMPLES {
                    let (latency, stream) = way.sample(stage)?;
                    measured.latency.record(way.name, *column, latency);
                    measured.throughput.record(way.name, *column, stream);
                    let [latency, stream] = way.sample_alone(stage)?;
                    let row = |unit: &str| format!("{}, {unit}", way.name);
                    measured.alone.record(&row("µs"), *column, latency);
                    measured.alone.record(&row("Gbit/s"), *column, stream);
                }
            }
            docker.remove(&client)?;
            docker.remove(&server)?;
            docker.remove_home()?;
        }
        drivers.rotate_left(1);
    }
    Ok(())
}

fn ways(host: &Host, outside: &Host, client: &str, server: &str) -> Result<[Way; 3], Trouble> {
    let inside = docker::address(host, server)?;
    let container = |name| Place::container(host, name);
    let way =
        |name, from, to, address, port| Way::new(name, from, to, SocketAddr::new(address, port));
    let (there, here) = (outside.address().into(), host.address().into());
    Ok([
        way("container to container", container(client), container(server), inside, PORT),
        way("container to outside", container(client), Place::host(outside), there, PORT),
        way("outside to a port", Place::host(outside), container(server), here, FIRST_PORT),
    ])
}

// === impl Way ===

impl Way {
    /// From one place to another, where the first finds it at this address.
    pub fn new(name: &'static str, from: Place, to: Place, address: SocketAddr) -> Self {
        Self { name, from, to, address }
    }

    /// What it is called.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Microseconds of an answer, and Gbit/s of a stream.
    pub fn sample(&self, stage: &Stage) -> Result<(f64, f64), Trouble> {
        let (latency, stream) = stage.on(|_| (self.latency(), self.throughput(1)))?;
        let trouble = |source| self.trouble(source);
        Ok((latency.map_err(trouble)?, stream.map_err(trouble)?))
    }

    /// The same of the path alone.
    pub fn sample_alone(&self, stage: &Stage) -> Result<[f64; 2], Trouble> {
        stage.on(|_| self.alone())?.map_err(|source| self.trouble(source))
    }

    fn trouble(&self, source: io::Error) -> Trouble {
        Trouble::Io { what: format!("no traffic from {}", self.name), source }
    }

    /// Microseconds of a request and its answer.
    pub fn latency(&self) -> io::Result<f64> {
        let listener = self.to.within(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, PORT)))?;
        let stream = self.from.within(|| TcpStream::connect_timeout(&self.address, PATIENCE))?;
        prepare(&stream)?;
        thread::scope(|scope| {
            let server = scope.spawn(|| {
                run_on(SERVER)?;
                let (mut stream, _) = listener.accept()?;
                prepare(&stream)?;
                let mut byte = [0];
                // Until the other end closes.
                while stream.read(&mut byte)? > 0 {
                    stream.write_all(&byte)?;
                }
                Ok(())
            });
            let client = scope.spawn(|| ask(stream));
            let latency = client.join().unwrap_or_else(|_| Err(died()));
            let served: io::Result<()> = server.join().unwrap_or_else(|_| Err(died()));
            served.and(latency)
        })
    }

    /// Microseconds of a request and Gbit/s of a stream, on one thread.
    pub fn alone(&self) -> io::Result<[f64; 2]> {
        let listen = (Ipv6Addr::UNSPECIFIED, PORT).into();
        let mut ends = alone::Ends::connect(&self.from, &self.to, listen, self.address, prepare)?;
        thread::scope(|scope| {
            let both = scope.spawn(move || {
                run_on(CLIENT)?;
                Ok([ends.latency()?, ends.throughput()?])
            });
            both.join().unwrap_or_else(|_| Err(died()))
        })
    }

    /// Gbit/s of so many streams at once.
    pub fn throughput(&self, streams: u32) -> io::Result<f64> {
        let server = self.to.within(|| hurry().and_then(|()| iperf::Server::start(PORT)))?;
        let send = || iperf::stream(self.address, streams, [CLIENT, SERVER]);
        let stream = self.from.within(|| hurry().and_then(|()| send()));
        server.end(stream)
    }
}

fn died() -> io::Error {
    io::Error::other("an end has died")
}

/// Asks again and again, and returns the microseconds of one answer.
fn ask(mut stream: TcpStream) -> io::Result<f64> {
    run_on(CLIENT)?;
    let started = Instant::now();
    for _ in 0..REQUESTS {
        stream.write_all(b"?")?;
        stream.read_exact(&mut [0])?;
    }
    Ok(started.elapsed().as_secs_f64() * 1e6 / f64::from(REQUESTS))
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))
}

/// Puts the thread, and the programs it starts, before others of the machine.
fn hurry() -> io::Result<()> {
    Ok(setpriority_process(None, -20)?)
}

/// Keeps the thread on one processor, if there are as many.
fn run_on(processor: usize) -> io::Result<()> {
    hurry()?;
    if processor >= thread::available_parallelism()?.get() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    set.set(processor);
    Ok(sched_setaffinity(None, &set)?)
}
