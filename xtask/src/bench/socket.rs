//! The calls at the plugin socket: what is ours of Docker's operations.

use std::ops::Range;

use super::docker::rest;
use super::plugin::{Endpoint, Plugin, id};
use super::table::Table;
use super::{Measured, Trouble, progress};
use crate::stage::Stage;
use crate::steps::Live;

/// The columns.
pub const EMPTY: usize = 0;
pub const CROWD: usize = 1;

/// What the daemon is to log: for each call of a driver, what its sandbox took.
pub const LOG: &str = "info,wasmnet::runtime::call=debug";
/// More than a line of it has, in bytes.
pub const LINE: u64 = 1024;
/// The columns of the sandbox's table.
const CALL: usize = 0;
const SANDBOX: usize = 1;

/// How often each is made in a repetition: they take little.
pub const OFTEN: u32 = 10;
/// How many ports endpoints publish.
const PORTS: [u16; 3] = [0, 10, 100];
/// The first host port.
const FIRST_PORT: u16 = 20000;
/// The network's 10.A.B.0/24.
const SUBNET: (u8, u8) = (250, 0);
/// Ours among the ids.
const KIND: u8 = 0xbe;

pub fn table() -> Table {
    Table::new(
        "Calls",
        "Time of calls at the daemon's socket, without an engine, in ms. A container that \
         comes is CreateEndpoint, Join and Program(ExternalConnectivity), one that goes is \
         Revoke, Leave and DeleteEndpoint. With a crowd, half of those on the empty host come \
         before it, half after it.",
        &["empty host", "in a crowd"],
        &[("crowd / empty", CROWD, EMPTY)],
    )
}

pub fn sandbox_table() -> Table {
    Table::new(
        "The sandbox",
        "What of these calls (on the empty host) is due to the driver being a component, in ms. \
         The daemon takes the time from when it begins to look for an instance until it has the \
         driver's answer, and subtracts the time in which the transaction carried out what the \
         driver asked for (links, addresses, ports). So it contains the driver's own code, every \
         crossing of the boundary with its conversions, the imports that only read, and the \
         instance if none was ready: three are made ahead, between the calls, at 0.1 to 0.2 ms of \
         processor time each.",
        &["call", "sandbox"],
        &[("share", SANDBOX, CALL)],
    )
}

/// Lets networks and endpoints come and go.
pub fn measure(
    live: &mut Live<'_>,
    stage: &Stage,
    measured: &mut Measured,
    rounds: &Range<u32>,
    column: usize,
) -> Result<(), Trouble> {
    let mut plugin = Plugin::connect(stage, "wasm-bridge")?;
    let end = rounds.end * OFTEN;
    for round in rounds.start * OFTEN..end {
        progress(live, round, end);
        let network = id(KIND, round);
        rest();
        let time = plugin.create_network(&network, SUBNET)?;
        record(measured, stage, column, None, &[("CreateNetwork", time)])?;
        for ports in PORTS {
            let endpoint = Endpoint {
                network: network.clone(),
                id: id(KIND, u32::from(ports)),
                subnet: SUBNET,
                ports: (FIRST_PORT, ports),
            };
            for name in ["comes", "goes"] {
                rest();
                let calls = match name {
                    "comes" => plugin.arrive(&endpoint)?,
                    _ => plugin.go(&endpoint)?,
                };
                record(measured, stage, column, Some((name, ports)), &calls)?;
            }
        }
        rest();
        let time = plugin.delete_network(&network)?;
        record(measured, stage, column, None, &[("DeleteNetwork", time)])?;
    }
    Ok(())
}

/// Notes the last calls, those of endpoints with what they are together ("comes", "goes")
/// and their number of ports.
fn record(
    measured: &mut Measured,
    stage: &Stage,
    column: usize,
    container: Option<(&str, u16)>,
    calls: &[(&str, f64)],
) -> Result<(), Trouble> {
    let log = stage.daemon_log_end(LINE * (calls.len() as u64 + 1) * 2);
    // The daemon logs before it answers, and nobody else calls it now.
    let sandboxes: Vec<f64> = log.lines().rev().filter_map(sandbox).take(calls.len()).collect();
    if sandboxes.len() < calls.len() {
        let what = format!("WASMNET_LOG={LOG}");
        return Err(Trouble::Refused { what, said: "the daemon logs no calls".to_owned() });
    }
    let mut rows = Vec::new();
    if let Some((name, ports)) = container {
        let (time, sandbox) = (calls.iter().map(|(_, time)| time).sum(), sandboxes.iter().sum());
        rows.push((format!("container {name}, {ports} ports"), time, sandbox));
    }
    for ((method, time), sandbox) in calls.iter().zip(sandboxes.into_iter().rev()) {
        let row = match container {
            None => (*method).to_owned(),
            Some((_, ports)) => format!("– {method}, {ports} ports"),
        };
        rows.push((row, *time, sandbox));
    }
    for (row, time, sandbox) in rows {
        measured.socket.record(&row, column, time);
        if column == EMPTY {
            measured.sandbox.record(&row, CALL, time);
            measured.sandbox.record(&row, SANDBOX, sandbox);
        }
    }
    Ok(())
}

/// The milliseconds in a line of the daemon's log, if it tells of a call.
pub fn sandbox(line: &str) -> Option<f64> {
    let (_, rest) = line.split_once(" sandbox_us=")?;
    let microseconds: f64 = rest.split(' ').next()?.parse().ok()?;
    Some(microseconds / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_found_in_the_log() {
        let line = "2026-01-01T00:00:00.1Z DEBUG driver called driver=wasm-bridge method=\"join\" \
                    sandbox_us=250 host_us=0";
        assert_eq!(sandbox(line), Some(0.25));
        assert_eq!(sandbox("2026-01-01T00:00:00.1Z  INFO ready version=\"0.1.0\""), None);
    }
}
