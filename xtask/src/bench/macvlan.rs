//! wasm-macvlan beside Docker's macvlan: containers on the host's wire, and another host on it.
//!
//! Docker's driver lets one network have a parent, so each network has one of its own but for
//! the containers' home, which both have on the uplink.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use wasmnet_lab::{Host, Place};

use super::docker::{self, BUILT_IN, Docker, FIRST_PORT, MOST_OFTEN, OFTEN, OURS, rest};
use super::table::Table;
use super::traffic::{PORT, SAMPLES, Way};
use super::{Measured, Trouble, progress};
use crate::stage::Stage;
use crate::steps::Live;

/// The drivers, by column.
const DRIVERS: [&str; 2] = ["macvlan", "wasm-macvlan"];
const RATIOS: &[(&str, usize, usize)] = &[("wasm / macvlan", OURS, BUILT_IN)];
/// The ends of a pair are two parents: one for each driver.
const WIRES: &str = "ip link add side0 type veth peer name side1
ip link add new0 type veth peer name new1
for link in side0 side1 new0 new1; do ip link set $link up; done";

pub fn table() -> Table {
    Table::new(
        "macvlan",
        "Time of a request to the engine's API, in ms, as above. Containers are on the wire of \
         the host's uplink; networks that come and go have parents of their own, since Docker's \
         driver has one network on each. In each round there are four containers, and eight \
         networks and connections.",
        &DRIVERS,
        RATIOS,
    )
}

pub fn traffic_table() -> Table {
    Table::new(
        "macvlan, traffic",
        "Between containers, and between a container and another host of the wire: a request of \
         one byte and its answer on an open TCP connection, and one stream of iperf3; the path \
         alone is as above. The kernel's part, once the links are there: none of either driver.",
        &DRIVERS,
        RATIOS,
    )
}

/// The parent and the subnet of a network of a driver's.
pub fn wire(column: usize, network: &str) -> (String, String) {
    let parent = match network {
        "home" => "eth0".to_owned(),
        other => format!("{other}{column}"),
    };
    let third = ["home", "side", "new"].iter().position(|name| *name == network);
    (parent, format!("10.21{column}.{}.0/24", third.unwrap_or_default()))
}

/// Measures all.
pub fn measure(
    live: &mut Live<'_>,
    stage: &Stage,
    measured: &mut Measured,
    repeat: u32,
) -> Result<(), Trouble> {
    let another = stage.another_host("b")?;
    stage.on(|host| host.sh(WIRES))?;
    for column in [BUILT_IN, OURS] {
        let command = format!("ip address add {}/24 dev eth0", there(column));
        stage.on(|_| another.sh(&command))?;
    }
    let drivers = [BUILT_IN, OURS].map(|column| Docker::on_wire(stage, DRIVERS[column], column));
    for docker in &drivers {
        docker.prepare()?;
        // The first time is another.
        docker.network(&mut |_, _| {})?;
        docker.connection(&mut |_, _| {})?;
        docker.on_and_off(&mut |_, _| {})?;
    }
    let mut columns = [BUILT_IN, OURS];
    for round in 0..repeat {
        progress(live, round, repeat);
        let mut record = |what: &str, column, time| measured.macvlan.record(what, column, time);
        for _ in 0..MOST_OFTEN {
            for column in columns {
                drivers[column].network(&mut |what, time| record(what, column, time))?;
                drivers[column].connection(&mut |what, time| record(what, column, time))?;
            }
            columns.rotate_left(1);
        }
        for _ in 0..OFTEN {
            for column in columns {
                drivers[column].on_and_off(&mut |what, time| record(what, column, time))?;
            }
            columns.rotate_left(1);
        }
    }
    measure_traffic(stage, measured, repeat, &drivers, &another)?;
    drivers.iter().try_for_each(Docker::clear)
}

/// The other host's address on a driver's subnet.
fn there(column: usize) -> Ipv4Addr {
    let second = if column == BUILT_IN { 210 } else { 211 };
    Ipv4Addr::new(10, second, 0, 254)
}

/// The drivers in turn, so that what else the machine does hits both.
fn measure_traffic(
    stage: &Stage,
    measured: &mut Measured,
    repeat: u32,
    drivers: &[Docker<'_>; 2],
    another: &Host,
) -> Result<(), Trouble> {
    let mut all = Vec::new();
    for (column, docker) in drivers.iter().enumerate() {
        let [client, server] = ["client", "server"].map(|name| docker.name(name));
        docker.run(&client, (FIRST_PORT, 0))?;
        docker.run(&server, (FIRST_PORT, 0))?;
        let ways = stage.on(|host| ways(host, another, column, [&client, &server]))??;
        all.extend(ways.map(|way| (column, way)));
    }
    rest();
    for round in 0..repeat * SAMPLES {
        // Way by way, each with one driver and then with the other, or the other way round.
        for at in 0..all.len() / 2 {
            let mut pair = [at, at + all.len() / 2];
            pair.rotate_left(usize::from(!round.is_multiple_of(2)));
            for (column, way) in pair.into_iter().filter_map(|at| all.get(at)) {
                let (latency, stream) = way.sample(stage)?;
                let [alone, stream_alone] = way.sample_alone(stage)?;
                for (what, value) in [
                    ("µs", latency),
                    ("Gbit/s", stream),
                    ("the path alone, µs", alone),
                    ("the path alone, Gbit/s", stream_alone),
                ] {
                    let row = format!("{}, {what}", way.name());
                    measured.macvlan_traffic.record(&row, *column, value);
                }
            }
        }
    }
    for docker in drivers {
        docker.remove(&docker.name("client"))?;
        docker.remove(&docker.name("server"))?;
    }
    Ok(())
}

fn ways(
    host: &Host,
    another: &Host,
    column: usize,
    [client, server]: [&str; 2],
) -> Result<[Way; 3], Trouble> {
    let inside = docker::address(host, server)?;
    let container = |name| Place::container(host, name);
    let way =
        |name, from, to, address: IpAddr| Way::new(name, from, to, SocketAddr::new(address, PORT));
    let out = there(column).into();
    Ok([
        way("container to container", container(client), container(server), inside),
        way("container to another host", container(client), Place::host(another), out),
        way("another host to container", Place::host(another), container(server), inside),
    ])
}
