//! How soon all hosts reach an endpoint that one of them has just made.

use std::net::SocketAddr;
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};
use wasmnet_lab::{Host, Place};

use super::super::docker::milliseconds;
use super::super::plugin::Plugin;
use super::super::table::Table;
use super::super::{Trouble, progress};
use super::rig::{self, Rig};
use super::{NETWORKS, PORT, parse};
use crate::stage::contained;
use crate::steps::Live;

/// The columns.
const MEDIAN: usize = 0;
const PERCENTILE: usize = 1;
const SLOWEST: usize = 2;

/// How many endpoints.
const ENDPOINTS: u32 = 120;
/// Their first address.
const FIRST: u32 = 100;

/// Makes endpoints, one after the other.
pub fn measure(live: &mut Live<'_>, rig: &Rig, table: &mut Table) -> Result<(), Trouble> {
    let [a, others @ ..] = &rig.hosts;
    let [_, network] = NETWORKS;
    let clients = ["client on host b", "client on host c"];
    let places = others.each_ref().map(|host| {
        rig.run(host, "watcher", network.name, None)?;
        Ok::<Place, Trouble>(contained(|| Place::container(host, "watcher"))?)
    });
    let [b, c] = places;
    let places = [b?, c?];
    let id = contained(|| a.docker(&["network", "inspect", "--format", "{{.Id}}", network.name]))?;
    let mut plugin = Plugin::connect_to(a, "wasm-overlay")?;
    // The first time somebody asks, all of it is new to him.
    let mut times = [const { Vec::new() }; 3];
    for number in 0..ENDPOINTS {
        progress(live, number, ENDPOINTS);
        let address = format!("10.{}.0.{}", network.number, FIRST + number);
        let to = SocketAddr::new(parse(&address)?, PORT);
        let endpoint = format!("{number:064x}");
        let ids = json!({ "NetworkID": id, "EndpointID": endpoint });
        let create = json!({
            "NetworkID": id,
            "EndpointID": endpoint,
            "Interface": { "Address": format!("{address}/24"), "AddressIPv6": "", "MacAddress": "" },
            "Options": {},
        });
        let (_, answer) = plugin.request("NetworkDriver.CreateEndpoint", &create)?;
        let answered = Instant::now();
        let mac = text(&answer, "/Interface/MacAddress");
        let (set_up, connected) = thread::scope(|scope| {
            let clients = places.each_ref().map(|place| {
                scope.spawn(move || rig::connect(place, to).map(|()| milliseconds(answered)))
            });
            let set_up = set_up(a, &address, &mac).map(|()| milliseconds(answered));
            (set_up, clients.map(std::thread::ScopedJoinHandle::join))
        });
        let [b, c] = connected.map(|joined| {
            joined.unwrap_or_else(|_| {
                let what = "connecting".to_owned();
                Err(Trouble::Refused { what, said: "it died".to_owned() })
            })
        });
        for (times, time) in times.iter_mut().zip([b?, c?, set_up?]) {
            times.push(time);
        }
        plugin.call("DeleteEndpoint", &ids)?;
    }
    let rows = clients.into_iter().chain(["of which: its interface is set up"]);
    for (row, mut times) in rows.zip(times) {
        times.sort_by(f64::total_cmp);
        let at = |share: usize| times.get((times.len() - 1) * share / 100).copied();
        for (column, share) in [(MEDIAN, 50), (PERCENTILE, 99), (SLOWEST, 100)] {
            table.record(row, column, at(share).unwrap_or_default());
        }
    }
    contained(|| {
        for host in others {
            host.docker(&["rm", "--force", "watcher"]);
        }
    })?;
    Ok(())
}

/// Sets up the container's end of the endpoint's link, which stays on the host.
fn set_up(host: &Host, address: &str, mac: &str) -> Result<(), Trouble> {
    let script = format!(
        "link=$(ip -o link show | grep {mac} | cut -d' ' -f2 | cut -d@ -f1)
         ip address add {address}/24 dev $link && ip link set $link up"
    );
    Ok(contained(|| host.sh(&script)).map(drop)?)
}

fn text(answer: &Value, path: &str) -> String {
    answer.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
}
