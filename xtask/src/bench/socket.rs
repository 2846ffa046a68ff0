//! The calls at the plugin socket: what is ours of Docker's operations.

use super::docker::rest;
use super::plugin::{Endpoint, Plugin, id};
use super::table::Table;
use super::{Trouble, progress};
use crate::stage::Stage;
use crate::steps::Live;

/// The columns.
pub const EMPTY: usize = 0;
pub const CROWD: usize = 1;

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
         Revoke, Leave and DeleteEndpoint.",
        &["empty host", "in a crowd"],
        &[("crowd / empty", CROWD, EMPTY)],
    )
}

/// Lets networks and endpoints come and go.
pub fn measure(
    live: &mut Live<'_>,
    stage: &Stage,
    table: &mut Table,
    repeat: u32,
    column: usize,
) -> Result<(), Trouble> {
    let mut plugin = Plugin::connect(stage)?;
    for round in 0..repeat {
        progress(live, round, repeat);
        let network = id(KIND, round);
        rest();
        table.record("CreateNetwork", column, plugin.create_network(&network, SUBNET)?);
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
                let total = calls.iter().map(|(_, time)| time).sum();
                table.record(&format!("container {name}, {ports} ports"), column, total);
                for (method, time) in calls {
                    table.record(&format!("– {method}, {ports} ports"), column, time);
                }
            }
        }
        rest();
        table.record("DeleteNetwork", column, plugin.delete_network(&network)?);
    }
    Ok(())
}
