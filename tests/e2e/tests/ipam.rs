//! wasm-ipam: under networks of several drivers, at its socket, and after crashes.

/// Engine and daemon are killed.
mod crashes;
/// Networks and containers of a real engine.
mod networks;
/// Pools that several hosts share.
mod shared;
/// What operators see, and what the doctor finds.
mod shown;
/// Many clients, full pools, replays.
mod socket;

use serde_json::{Value, json};
use wasmnet_e2e::{Plugin, Reply};

/// The driver's name in Docker.
const IPAM: &str = "wasm-ipam";

/// RequestPool; "" for what is open.
fn request_pool(plugin: &mut Plugin, subnet: &str, range: &str, options: &Value) -> Reply {
    let body = json!({
        "AddressSpace": "wasm-local", "Pool": subnet, "SubPool": range,
        "Options": options, "V6": subnet.contains(':'),
    });
    plugin.call("IpamDriver.RequestPool", &body)
}

/// The id of a pool that must be had.
#[track_caller]
fn pool(plugin: &mut Plugin, subnet: &str) -> String {
    let answer = request_pool(plugin, subnet, "", &Value::Null).ok();
    answer["PoolID"].as_str().unwrap().to_owned()
}

/// RequestAddress; "" leaves the choice to the driver.
fn request_address(plugin: &mut Plugin, pool: &str, address: &str) -> Reply {
    let body = json!({ "PoolID": pool, "Address": address, "Options": null });
    plugin.call("IpamDriver.RequestAddress", &body)
}

fn release_address(plugin: &mut Plugin, pool: &str, address: &str) -> Reply {
    plugin.call("IpamDriver.ReleaseAddress", &json!({ "PoolID": pool, "Address": address }))
}

/// The address without its prefix length.
#[track_caller]
fn given(reply: &Reply) -> String {
    let answer = reply.ok();
    let (address, _) = answer["Address"].as_str().unwrap().split_once('/').unwrap();
    address.to_owned()
}
