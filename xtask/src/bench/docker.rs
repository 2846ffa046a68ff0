//! Docker's operations, timed at the engine's API.

mod client;

use std::net::IpAddr;
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use wasmnet_lab::Host;

pub use self::client::Docker;
use super::table::Table;
use super::{Trouble, floor, progress};
use crate::steps::Live;

/// The columns.
pub const BUILT_IN: usize = 0;
pub const OURS: usize = 1;
pub const FLOOR: usize = 2;
pub const NOTHING: usize = 3;
const DRIVERS: usize = 4;

/// What the built-in driver is called in Docker.
pub const BUILT_IN_NAME: &str = "bridge";

/// How many ports containers publish.
const PORTS: [u16; 4] = [0, 1, 10, 100];
/// What takes many seconds is done in so many rounds only: publishing more than ten ports by the
/// built-in driver, and starting more than ten containers at once.
const QUICK: u16 = 10;
pub const FEW: u32 = 3;
/// How often all else is done in a round: it takes little, and what the engine and the disk do
/// beside it varies much.
pub const OFTEN: u32 = 4;
/// How often networks and connections are, which take least.
pub const MOST_OFTEN: u32 = 2 * OFTEN;
/// Containers that are started at once, and how often in a round.
const PARALLEL: [(u32, u32); 2] = [(10, TENS), (50, 1)];
pub const TENS: u32 = 2;
/// Before each thing that is timed: who has answered may still be tidying up, and the
/// kernel deletes links one at a time, so the next one would pay for it.
const REST: Duration = Duration::from_millis(100);
/// The first host port, below those that the kernel gives away.
pub const FIRST_PORT: u16 = 20000;

pub fn table() -> Table {
    Table::new(
        "Docker",
        "Time of a request to the engine's API, in ms. `start` and `rm` contain the time that \
         the engine takes for the container itself. The floor is a remote driver that does \
         nothing but make and delete bridge and link, by netlink, and answer when it is done: no \
         firewall, no ports (it ignores them), no records. What is left where a driver answers \
         and makes nothing, not even links, stands under `nothing`. The first and the last \
         network are those beside which the driver has no other.",
        &["bridge", "wasm-bridge", "floor", "nothing"],
        &[("wasm / bridge", OURS, BUILT_IN), ("wasm / floor", OURS, FLOOR)],
    )
}

pub fn crowd_table() -> Table {
    Table::new(
        "Docker, in a crowd",
        "The same with 200 networks of that driver, and ten containers with 100 published ports \
         each on one of them, already there. `floor` and `nothing` are on the host with \
         wasm-bridge's crowd, so what they take more is the engine's doing, whatever the driver. \
         The built-in driver's turn comes after the others', not between them. Of the rounds on \
         the empty host half come before that of wasm-bridge, half after it.",
        &[
            "bridge",
            "wasm-bridge",
            "floor",
            "nothing",
            Table::UNSEEN,
            Table::UNSEEN,
            Table::UNSEEN,
            Table::UNSEEN,
        ],
        &[
            ("wasm / bridge", OURS, BUILT_IN),
            ("wasm / floor", OURS, FLOOR),
            ("bridge, crowd / empty", BUILT_IN, DRIVERS + BUILT_IN),
            ("wasm, crowd / empty", OURS, DRIVERS + OURS),
            ("floor, crowd / empty", FLOOR, DRIVERS + FLOOR),
            ("nothing, crowd / empty", NOTHING, DRIVERS + NOTHING),
        ],
    )
}

/// Puts what was measured on the empty host beside it.
pub fn compare(crowd: &mut Table, empty: &Table) {
    crowd.add_columns(empty, DRIVERS);
}

/// Makes and removes the only network of each driver in turn, of which there is none yet.
pub fn measure_first(
    live: &mut Live<'_>,
    table: &mut Table,
    repeat: u32,
    drivers: &[(&Docker<'_>, usize)],
) -> Result<(), Trouble> {
    for (docker, _) in drivers {
        docker.network(&mut |_, _| {})?;
    }
    for round in 0..repeat * MOST_OFTEN {
        progress(live, round, repeat * MOST_OFTEN);
        for (docker, column) in drivers {
            docker.network(&mut |what, time| {
                let which = if what.ends_with("create") { "the first" } else { "the last" };
                table.record(&format!("{what}, {which}"), *column, time);
            })?;
        }
    }
    Ok(())
}

/// Does everything with each driver in turn, in these rounds; what is measured goes to the
/// driver's column.
pub fn measure(
    live: &mut Live<'_>,
    table: &mut Table,
    rounds: Range<u32>,
    drivers: &[(&Docker<'_>, usize)],
) -> Result<(), Trouble> {
    // The first time is another: files are read, drivers are looked up.
    for (docker, _) in drivers {
        docker.network(&mut |_, _| {})?;
        docker.connection(&mut |_, _| {})?;
        docker.container(1, &mut |_, _| {})?;
    }
    for round in rounds.clone() {
        progress(live, round, rounds.end);
        // Nobody is always the first, nor always the one after the slowest.
        let turn = drivers.iter().cycle().skip(round as usize).take(drivers.len());
        let drivers: Vec<_> = turn.copied().collect();
        for _ in 0..MOST_OFTEN {
            for (docker, column) in &drivers {
                docker.network(&mut |what, time| table.record(what, *column, time))?;
            }
            for (docker, column) in &drivers {
                docker.connection(&mut |what, time| table.record(what, *column, time))?;
            }
        }
        // A container without a link is nothing to compare with.
        let linked: Vec<_> =
            drivers.iter().filter(|(docker, _)| docker.driver() != floor::NOTHING).collect();
        for ports in PORTS {
            for time in 0..OFTEN {
                for (docker, column) in &linked {
                    let is_quick = ports <= QUICK || docker.driver() != BUILT_IN_NAME;
                    if is_quick || (time == 0 && round < FEW) {
                        let mut record = |what: &str, time| table.record(what, *column, time);
                        docker.container(ports, &mut record)?;
                    }
                }
            }
        }
        for (count, times) in PARALLEL {
            let is_quick = count <= u32::from(QUICK);
            for _ in 0..if is_quick || round < FEW { times } else { 0 } {
                for (docker, column) in &linked {
                    docker.parallel(count, &mut |what, time| table.record(what, *column, time))?;
                }
            }
        }
    }
    Ok(())
}

/// The address of a container that has one.
pub fn address(host: &Host, container: &str) -> Result<IpAddr, Trouble> {
    let template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let said = host.docker(&["inspect", "--format", template, container]);
    said.parse().map_err(|_| Trouble::Refused { what: "docker inspect".to_owned(), said })
}

/// Lets everybody finish.
pub fn rest() {
    thread::sleep(REST);
}

/// The time since then.
pub fn milliseconds(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1000.0
}
