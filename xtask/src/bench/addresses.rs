//! Addresses from wasm-ipam: whether it matters how large a subnet is and how full.

use serde_json::{Value, json};

use super::plugin::Plugin;
use super::table::Table;
use super::{Measured, Trouble, progress, socket};
use crate::stage::Stage;
use crate::steps::Live;

/// The columns.
const FLOOR: usize = 0;
const FEW: usize = 1;
const MANY: usize = 2;
/// The driver's own columns.
const FLOOR_SANDBOX: usize = 0;
const FEW_SANDBOX: usize = 1;
const MANY_SANDBOX: usize = 2;

/// Subnets, and how many of their addresses are taken at 1 % and at 99 %. Nobody waits for
/// the sixteen million of a /8: there, as in a /64, 65,000 are taken, the lowest, so that the
/// search meets 253 bitmaps that are full.
const SUBNETS: [(&str, &str, u32, u32); 5] = [
    ("10.251.0.0/28", "/28", 0, 13),
    ("10.251.1.0/24", "/24", 3, 251),
    ("10.252.0.0/16", "/16", 655, 64_879),
    ("11.0.0.0/8", "/8", 655, 65_000),
    ("fd25::/64", "/64", 655, 65_000),
];
/// Requests for each number: more than repetitions of what takes long.
const SAMPLES: u32 = 10;

pub fn table() -> Table {
    Table::new(
        "Addresses",
        "Time of RequestAddress at the socket of wasm-ipam, without an engine, in ms, one client. \
         It contains one durable write. The empty answer is GetCapabilities, from the daemon's \
         memory, in the same connection. In the /8 and the /64 \"99 %\" are 65,000 addresses, \
         the lowest, one after the other: the bitmaps that a search looks into are full.",
        &["empty answer", "1 % used", "99 % used"],
        &[("99 % / 1 %", MANY, FEW)],
    )
}

pub fn sandbox_table() -> Table {
    Table::new(
        "Addresses in the sandbox",
        "What of these calls passes between the making of the instance and its answer, in ms, \
         and the same of a call that does nothing (the release of an address of no pool): what \
         is more than that is the driver's own work and its store.",
        &["empty call", "1 % used", "99 % used"],
        &[],
    )
}

/// Fills subnets and takes an address again and again.
pub fn measure(
    live: &mut Live<'_>,
    stage: &Stage,
    measured: &mut Measured,
    repeat: u32,
) -> Result<(), Trouble> {
    let mut plugin = Plugin::connect(stage, "wasm-ipam")?;
    for (number, (subnet, name, few, many)) in (0..).zip(SUBNETS) {
        progress(live, number, SUBNETS.len() as u32);
        // Without rest each request finds what the one before found.
        let body = json!({
            "AddressSpace": "wasm-local", "Pool": subnet, "SubPool": "",
            "Options": { "rest": "0" }, "V6": subnet.contains(':'),
        });
        let (_, answer) = plugin.request("IpamDriver.RequestPool", &body)?;
        let pool = answer.get("PoolID").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut used = 0;
        for (column, sandbox, wanted) in [(FEW, FEW_SANDBOX, few), (MANY, MANY_SANDBOX, many)] {
            for _ in used..wanted {
                request(&mut plugin, &pool)?;
            }
            used = wanted;
            for _ in 0..repeat * SAMPLES {
                let (floor, _) = plugin.request("IpamDriver.GetCapabilities", &json!({}))?;
                measured.addresses.record(name, FLOOR, floor);
                release(&mut plugin, "none", "192.0.2.1")?;
                let (time, address) = request(&mut plugin, &pool)?;
                measured.addresses.record(name, column, time);
                release(&mut plugin, &pool, &address)?;
            }
            record(measured, stage, name, sandbox, repeat * SAMPLES);
        }
        plugin.request("IpamDriver.ReleasePool", &json!({ "PoolID": pool }))?;
    }
    Ok(())
}

/// Notes what the sandbox took of the last calls: an empty one, a request and a release each.
fn record(measured: &mut Measured, stage: &Stage, name: &str, column: usize, samples: u32) {
    let log = stage.daemon_log_end(socket::LINE * (3 * u64::from(samples) + 1));
    let calls = log.lines().rev().filter_map(socket::sandbox).take(3 * samples as usize);
    for (call, time) in calls.enumerate() {
        match call % 3 {
            1 => measured.address_sandbox.record(name, column, time),
            2 => measured.address_sandbox.record(name, FLOOR_SANDBOX, time),
            _ => {}
        }
    }
}

fn request(plugin: &mut Plugin, pool: &str) -> Result<(f64, String), Trouble> {
    let body = json!({ "PoolID": pool, "Address": "", "Options": null });
    let (time, answer) = plugin.request("IpamDriver.RequestAddress", &body)?;
    let address = answer.get("Address").and_then(Value::as_str).unwrap_or_default();
    Ok((time, address.split('/').next().unwrap_or_default().to_owned()))
}

fn release(plugin: &mut Plugin, pool: &str, address: &str) -> Result<(), Trouble> {
    let body = json!({ "PoolID": pool, "Address": address });
    plugin.request("IpamDriver.ReleaseAddress", &body).map(drop)
}
