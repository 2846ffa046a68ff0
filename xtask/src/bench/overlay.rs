//! Between hosts: wasm-overlay beside the overlay of Docker's own Swarm.
//!
//! Three hosts have an engine each, are one Swarm, and share an etcd. Swarm's network and ours
//! stand on them at the same time, and are measured in turn.

mod convergence;
mod rig;

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use wasmnet_lab::Place;

use self::rig::Rig;
use super::docker::{milliseconds, rest};
use super::table::Table;
use super::traffic::Way;
use super::{Measured, Trouble, progress};
use crate::stage::{Stage, contained};
use crate::steps::{Live, Steps};

/// The columns.
const UNDERLAY: usize = 0;
const SWARM: usize = 1;
const OURS: usize = 2;

/// The port that is measured with.
const PORT: u16 = 8000;
/// Samples of a way in one round.
const SAMPLES: u32 = 3;
/// Streams at the same time.
const STREAMS: u32 = 4;

/// A network, and what its containers' addresses begin with.
#[derive(Debug, Clone, Copy)]
struct Network {
    name: &'static str,
    column: usize,
    /// 10.N.0.0/24.
    number: u8,
}

const NETWORKS: [Network; 2] = [
    Network { name: "swarm", column: SWARM, number: 81 },
    Network { name: "wasm", column: OURS, number: 82 },
];

/// The titles are the report's sections.
pub fn table() -> Table {
    Table::new(
        "Between two hosts",
        "A container on one host and one on another, all on this machine. Gbit/s of iperf3 for \
         a second, more is better; the time of a request of one byte and its answer on an open \
         TCP connection (the mean of 2000), in µs; both where one thread has both ends, so that \
         what is left is the kernel's way of a packet; and the time from the engine's answer to \
         the start of a container until another host's container has connected to it, in ms. \
         Swarm's bridge is in a network namespace without rules; ours is on the host, where the \
         engine has bridged packets pass the host's firewall (bridge-nf-call-iptables=1), but \
         frames between containers go past the bridge. \
         The underlay is from host to host.",
        &["underlay", "swarm overlay", "wasm-overlay"],
        &[("wasm / swarm", OURS, SWARM)],
    )
}

pub fn convergence_table() -> Table {
    Table::new(
        "Convergence",
        "From the answer to CreateEndpoint on one host until a container on another has \
         connected to the new endpoint (trying every 4 ms), in ms, of 120 endpoints one after \
         the other, without an engine on the way. It contains the setting up of the new endpoint's own interface by the bench, which \
         the last line tells.",
        &["median", "99 of 100", "slowest"],
        &[],
    )
}

/// Measures all of it.
pub fn measure(
    steps: &mut Steps,
    stage: &Stage,
    measured: &mut Measured,
    repeat: u32,
) -> Result<(), crate::steps::Failed> {
    let rig =
        steps.step("make three hosts", "docker swarm init, wasmnet serve", |_| Rig::new(stage))?;
    steps.step("measure the way", "iperf3", |live| ways(live, &rig, measured, repeat))?;
    steps.step("measure first packets", "docker run", |live| {
        first_packets(live, &rig, measured, repeat)
    })?;
    steps.step("measure convergence", "wasm-overlay.sock", |live| {
        convergence::measure(live, &rig, &mut measured.convergence)
    })?;
    steps.step("remove the hosts", "exit", |_| contained(|| drop(rig)))
}

fn ways(
    live: &mut Live<'_>,
    rig: &Rig,
    measured: &mut Measured,
    repeat: u32,
) -> Result<(), Trouble> {
    let [a, b, _] = &rig.hosts;
    let mut ways = vec![(
        UNDERLAY,
        Way {
            name: "host to host",
            from: contained(|| Place::host(a))?,
            to: contained(|| Place::host(b))?,
            address: SocketAddr::new(b.address().into(), PORT),
        },
    )];
    for network in NETWORKS {
        for (host, name) in [(a, "client"), (b, "server")] {
            rig.run(host, &network.container(name), network.name, None)?;
        }
        let address = rig.address(b, &network.container("server"), network.name)?;
        ways.push((
            network.column,
            Way {
                name: network.name,
                from: contained(|| Place::container(a, &network.container("client")))?,
                to: contained(|| Place::container(b, &network.container("server")))?,
                address: SocketAddr::new(address, PORT),
            },
        ));
        rig.wait_reaches(&ways[ways.len() - 1].1)?;
    }
    for round in 0..repeat {
        progress(live, round, repeat);
        for (column, way) in &ways {
            let trouble =
                |source| Trouble::Io { what: format!("no traffic by {}", way.name), source };
            let mut record = |row: &str, value| measured.overlay.record(row, *column, value);
            for _ in 0..SAMPLES {
                for (row, streams) in [("one stream, Gbit/s", 1), ("four streams, Gbit/s", STREAMS)]
                {
                    record(row, contained(|| way.throughput(streams))?.map_err(trouble)?);
                }
                record("request and answer, µs", contained(|| way.latency())?.map_err(trouble)?);
                let [latency, stream] = contained(|| way.alone())?.map_err(trouble)?;
                record("the path alone, µs", latency);
                record("the path alone, Gbit/s", stream);
            }
        }
        // Nobody is always the first.
        ways.rotate_left(1);
    }
    Ok(())
}

/// How soon a container is reached that has just been started.
fn first_packets(
    live: &mut Live<'_>,
    rig: &Rig,
    measured: &mut Measured,
    repeat: u32,
) -> Result<(), Trouble> {
    let [a, b, _] = &rig.hosts;
    let times = repeat * SAMPLES;
    let mut networks = NETWORKS;
    for round in 0..times {
        progress(live, round, times);
        for network in networks {
            let client = contained(|| Place::container(a, &network.container("client")))?;
            // Another one each time, so that nobody remembers it.
            let address = format!("10.{}.0.{}", network.number, 150 + round % 100);
            let to = SocketAddr::new(parse(&address)?, PORT);
            rest();
            rig.run(b, &network.container("new"), network.name, Some(&address))?;
            let started = Instant::now();
            rig::connect(&client, to)?;
            measured.overlay.record("first packet, ms", network.column, milliseconds(started));
            rig.remove(b, &network.container("new"))?;
        }
        networks.rotate_left(1);
    }
    Ok(())
}

fn parse(address: &str) -> Result<IpAddr, Trouble> {
    address.parse().map_err(|_| Trouble::Refused {
        what: "the address of a container".to_owned(),
        said: address.to_owned(),
    })
}

// === impl Network ===

impl Network {
    fn container(self, what: &str) -> String {
        format!("{what}-{}", self.name)
    }
}
