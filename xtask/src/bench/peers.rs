//! What others do in this place: CNI's plugins, and podman's netavark.
//!
//! They are commands that start, do one thing and end; that is how they are timed.

use std::time::Instant;

use serde_json::{Value, json};
use wasmnet_lab::{Host, Output};

use super::docker::milliseconds;
use super::table::Table;
use super::{Trouble, progress};
use crate::install;
use crate::stage::Stage;
use crate::steps::{Live, Steps};

/// Where Debian has them.
const CNI: &str = "/usr/lib/cni";
const NETAVARK: &str = "/usr/lib/podman/netavark";

/// How many ports are published.
const PORTS: [u16; 2] = [0, 10];
/// The first host port.
const FIRST_PORT: u16 = 20000;
/// The network namespace that stands for a container.
const SANDBOX: &str = "/run/netns/peer";

/// A program of Debian's that makes container networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    Cni,
    Netavark,
}

pub fn table() -> Table {
    Table::new(
        "Others",
        "Time of whole commands on a host of their own, in ms; the first row is what it takes \
         to start any command there. Debian's packages containernetworking-plugins and netavark.",
        &["command"],
        &[],
    )
}

/// Installs and measures what Debian has; what cannot be installed is left out.
pub fn measure(
    steps: &mut Steps,
    stage: &Stage,
    table: &mut Table,
    repeat: u32,
) -> Result<(), crate::steps::Failed> {
    let mut peers = Vec::new();
    for (peer, need) in [(Peer::Cni, install::CNI), (Peer::Netavark, install::NETAVARK)] {
        match install::packages(steps, &[need]) {
            Ok(()) => peers.push(peer),
            Err(failed) => {
                steps.say(&format!("  {peer:?} is left out: {}", crate::cli::chain(&failed)));
            }
        }
    }
    steps.step("measure others", "bridge, portmap, netavark", |live| {
        let host = stage.another_host("peers")?;
        measure_all(live, stage, &host, table, repeat, &peers)
    })
}

fn measure_all(
    live: &mut Live<'_>,
    stage: &Stage,
    host: &Host,
    table: &mut Table,
    repeat: u32,
    peers: &[Peer],
) -> Result<(), Trouble> {
    stage.on(|_| host.run(&["ip", "netns", "add", "peer"]))?;
    for round in 0..repeat {
        progress(live, round, repeat);
        let (time, _) = stage.on(|_| timed(host, &["true"], &[], &Value::Null))??;
        table.record("`true`", 0, time);
        for ports in PORTS {
            for peer in peers {
                let [come, go] = stage.on(|_| peer.cycle(host, ports))??;
                let [comes, goes] = peer.words();
                table.record(&format!("{comes}, {ports} ports"), 0, come);
                table.record(&format!("{goes}, {ports} ports"), 0, go);
            }
        }
    }
    Ok(())
}

// === impl Peer ===

impl Peer {
    fn words(self) -> [&'static str; 2] {
        match self {
            Self::Cni => ["CNI bridge + portmap ADD", "CNI bridge + portmap DEL"],
            Self::Netavark => ["netavark setup", "netavark teardown"],
        }
    }

    /// Gives a container a network and takes it away.
    fn cycle(self, host: &Host, ports: u16) -> Result<[f64; 2], Trouble> {
        match self {
            Self::Cni => cni(host, ports),
            Self::Netavark => netavark(host, ports),
        }
    }
}

/// What a runtime does with a list of these two plugins: DEL in the other order.
fn cni(host: &Host, ports: u16) -> Result<[f64; 2], Trouble> {
    let bridge = json!({
        "cniVersion": "0.4.0", "name": "bench", "type": "bridge", "bridge": "cni0",
        "isGateway": true, "ipMasq": true,
        "ipam": {
            "type": "host-local",
            "ranges": [[{ "subnet": "10.97.0.0/24" }]],
            "routes": [{ "dst": "0.0.0.0/0" }],
            "dataDir": "/run/cni-bench",
        },
    });
    let mapping = |number| {
        json!({
            "hostPort": FIRST_PORT + number, "containerPort": 8000 + number, "protocol": "tcp",
        })
    };
    let mut portmap = json!({
        "cniVersion": "0.4.0", "name": "bench", "type": "portmap",
        "capabilities": { "portMappings": true },
        "runtimeConfig": { "portMappings": (0..ports).map(mapping).collect::<Vec<_>>() },
    });
    let run = |plugin: &str, command: &str, config: &Value| {
        let env = [
            ("CNI_COMMAND", command),
            ("CNI_CONTAINERID", "bench"),
            ("CNI_NETNS", SANDBOX),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", CNI),
        ];
        timed(host, &[&format!("{CNI}/{plugin}")], &env, config)
    };
    let (first, output) = run("bridge", "ADD", &bridge)?;
    let result: Value = serde_json::from_str(&output.stdout).unwrap_or_default();
    if let Some(portmap) = portmap.as_object_mut() {
        portmap.insert("prevResult".to_owned(), result);
    }
    let come = first + run("portmap", "ADD", &portmap)?.0;
    let go = run("portmap", "DEL", &portmap)?.0 + run("bridge", "DEL", &bridge)?.0;
    Ok([come, go])
}

fn netavark(host: &Host, ports: u16) -> Result<[f64; 2], Trouble> {
    let mapping = |number| {
        json!({
            "host_ip": "", "host_port": FIRST_PORT + number,
            "container_port": 8000 + number, "protocol": "tcp", "range": 1,
        })
    };
    let config = json!({
        "container_id": "be".repeat(32),
        "container_name": "bench",
        "port_mappings": (0..ports).map(mapping).collect::<Vec<_>>(),
        "networks": { "bench": { "interface_name": "eth0", "static_ips": ["10.98.0.2"] } },
        "network_info": { "bench": {
            "name": "bench", "id": "ba".repeat(32), "driver": "bridge",
            "network_interface": "podman9", "created": "2024-01-01T00:00:00Z",
            "subnets": [{ "subnet": "10.98.0.0/24", "gateway": "10.98.0.1" }],
            "ipv6_enabled": false, "internal": false, "dns_enabled": false,
            "ipam_options": { "driver": "host-local" },
            "options": {},
        } },
    });
    let run = |command| {
        timed(host, &[NETAVARK, "--config", "/run/netavark", command, SANDBOX], &[], &config)
    };
    Ok([run("setup")?.0, run("teardown")?.0])
}

/// Runs a command to its end and returns the milliseconds it took.
fn timed(
    host: &Host,
    words: &[&str],
    env: &[(&str, &str)],
    stdin: &Value,
) -> Result<(f64, Output), Trouble> {
    let mut exec = host.exec(words).stdin(stdin.to_string());
    for (name, value) in env {
        exec = exec.env(name, value);
    }
    let started = Instant::now();
    let output = exec.output();
    let time = milliseconds(started);
    if output.success() {
        return Ok((time, output));
    }
    // CNI's plugins tell their errors on standard output.
    let said = format!("{} {}", output.stderr.trim(), output.stdout.trim());
    Err(Trouble::Refused { what: words.join(" "), said })
}
