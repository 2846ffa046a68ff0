//! What others' calls take while a driver attacks.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::json;

use super::docker::rest;
use super::plugin::{Endpoint, Plugin, id};
use super::table::Table;
use super::{Measured, Trouble, progress};
use crate::cargo;
use crate::stage::Stage;
use crate::steps::Live;

/// The program that attacks, of the tests.
pub const PACKAGE: &str = "wasmnet-hostile";
/// What it is called as a driver.
const DRIVER: &str = "hostile";

/// The columns.
const BEFORE: usize = 0;
const DURING: usize = 1;

/// Attacks, and what they are. The first lasts until its deadline, the others are repeated.
const ATTACKS: [(&str, &str); 3] =
    [("loop", "endless loops"), ("log", "floods of the log"), ("random", "floods of calls")];
/// Clients that attack at once.
const ATTACKERS: usize = 4;
/// Containers that come and go for one sample: enough for a 99th percentile.
const CONTAINERS: u32 = 100;
/// The network's 10.A.B.0/24.
const SUBNET: (u8, u8) = (250, 1);
/// Ours among the ids.
const KIND: u8 = 0xa7;

pub fn table() -> Table {
    Table::new(
        "Under attack",
        "Time in which a container comes and goes without ports at the socket of wasm-bridge, in \
         ms: CreateEndpoint, Join, Leave and DeleteEndpoint. Meanwhile four clients let another \
         driver attack. Of 100 containers a repetition, the middle one and the 99th.",
        &["before", "during"],
        &[("during / before", DURING, BEFORE)],
    )
}

/// Builds the program.
pub fn build(live: &mut Live<'_>) -> Result<PathBuf, cargo::Error> {
    cargo::build_component(live, PACKAGE)
}

/// The daemon's configuration with it as a driver to which nothing is granted.
pub fn config(component: &Path) -> String {
    format!("[[driver]]\nname = \"{DRIVER}\"\ncomponent = {:?}\n[driver.grants]\n", component)
}

/// Lets containers come and go, in peace and under attack.
pub fn measure(
    live: &mut Live<'_>,
    stage: &Stage,
    measured: &mut Measured,
    repeat: u32,
) -> Result<(), Trouble> {
    let mut plugin = Plugin::connect(stage, "wasm-bridge")?;
    let network = id(KIND, 0);
    plugin.create_network(&network, SUBNET)?;
    for round in 0..repeat {
        progress(live, round, repeat);
        for (attack, name) in ATTACKS {
            rest();
            let before = containers(&mut plugin, &network)?;
            let attackers = attackers(stage)?;
            let over = AtomicBool::new(false);
            let during = thread::scope(|threads| {
                for (client, number) in attackers.into_iter().zip(0..) {
                    let over = &over;
                    threads.spawn(move || assault(client, number, attack, over));
                }
                rest();
                let during = containers(&mut plugin, &network);
                over.store(true, Ordering::Relaxed);
                during
            })?;
            for (row, at) in [("median", 50), ("99th of 100", 99)] {
                let row = format!("{name}, {row}");
                measured.attack.record(&row, BEFORE, percentile(&before, at));
                measured.attack.record(&row, DURING, percentile(&during, at));
            }
        }
    }
    plugin.delete_network(&network).map(drop)
}

/// Clients of the driver that attacks, which is let out of quarantine.
fn attackers(stage: &Stage) -> Result<Vec<Plugin>, Trouble> {
    stage.run(&format!("{} driver reset {DRIVER}", stage.program().display()))?;
    (0..ATTACKERS).map(|_| Plugin::connect(stage, DRIVER)).collect()
}

/// Attacks until it is over.
fn assault(mut client: Plugin, number: u32, attack: &str, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let body = json!({
            "NetworkID": id(KIND, 1 + number),
            "Options": { "com.docker.network.generic": { "attack": attack } },
            "IPv4Data": [{
                "AddressSpace": "LocalDefault",
                "Pool": format!("10.249.{number}.0/24"),
                "Gateway": format!("10.249.{number}.1/24"),
            }],
            "IPv6Data": [],
        });
        // It always fails: with what the driver says, or with what the host says of it.
        if client.call("CreateNetwork", &body).is_ok() {
            return;
        }
    }
}

/// The times of containers that come and go, sorted.
fn containers(plugin: &mut Plugin, network: &str) -> Result<Vec<f64>, Trouble> {
    let mut times = Vec::new();
    for number in 0..CONTAINERS {
        let endpoint = Endpoint {
            network: network.to_owned(),
            id: id(KIND, number),
            subnet: SUBNET,
            ports: (0, 0),
        };
        let came = plugin.arrive(&endpoint)?;
        let went = plugin.go(&endpoint)?;
        times.push(came.iter().chain(&went).map(|(_, time)| time).sum());
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_hundred_the_99th_is_the_last_but_one() {
        let times: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&times, 99), 99.0);
        assert_eq!(percentile(&times, 50), 50.0);
    }
}
