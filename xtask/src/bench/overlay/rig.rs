//! Three hosts that are a Swarm and a cluster of ours.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wasmnet_lab::{Engine, Etcd, Host, Lab, Place, Process, wait_for};

use super::super::Trouble;
use super::super::socket::LOG;
use super::super::traffic::Way;
use super::{NETWORKS, Network};
use crate::stage::{Stage, contained};

/// How long something may take to get from one host to another.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a connection is waited for before the next one is tried.
const ATTEMPT: Duration = Duration::from_millis(4);
/// How often ARP is asked again, in milliseconds: the kernel's second would be all that is
/// measured.
const ARP: &str = "5";
/// How often at most.
const ARP_TIMES: &str = "4000";

/// The hosts, and what runs on them.
pub struct Rig {
    // Dropped in this order.
    _daemons: Vec<Process>,
    _engines: Vec<Engine>,
    pub hosts: [Host; 3],
    _etcd: Etcd,
    _lab: Lab,
}

// === impl Rig ===

impl Rig {
    pub fn new(stage: &Stage) -> Result<Self, Trouble> {
        let program = stage.program().to_string_lossy().into_owned();
        Ok(stage.on(|_| {
            let lab = Lab::new();
            let etcd = lab.etcd(1);
            let hosts = ["a", "b", "c"].map(|name| lab.host(name));
            let engines: Vec<Engine> = hosts.iter().map(Host::start_engine).collect();
            let daemons = hosts.iter().map(|host| daemon(host, &program, &etcd)).collect();
            swarm(&hosts);
            ours(&hosts);
            Self { _daemons: daemons, _engines: engines, hosts, _etcd: etcd, _lab: lab }
        })?)
    }

    /// Starts a container that waits, with an address or any.
    pub fn run(
        &self,
        host: &Host,
        name: &str,
        network: &str,
        address: Option<&str>,
    ) -> Result<(), Trouble> {
        let endpoint = json!({ "IPAMConfig": { "IPv4Address": address } });
        let body = json!({
            "Image": "busybox",
            "Cmd": ["sleep", "36000"],
            "StopSignal": "KILL",
            "HostConfig": { "NetworkMode": network },
            "NetworkingConfig": { "EndpointsConfig": { network: endpoint } },
        });
        self.ask(host, "POST", &format!("/containers/create?name={name}"), Some(&body))?;
        self.ask(host, "POST", &format!("/containers/{name}/start"), None)?;
        Ok(())
    }

    pub fn remove(&self, host: &Host, name: &str) -> Result<(), Trouble> {
        self.ask(host, "DELETE", &format!("/containers/{name}?force=1"), None).map(drop)
    }

    /// The address of a container on a network.
    pub fn address(&self, host: &Host, name: &str, network: &str) -> Result<IpAddr, Trouble> {
        let answer = self.ask(host, "GET", &format!("/containers/{name}/json"), None)?;
        let address = answer.pointer(&format!("/NetworkSettings/Networks/{network}/IPAddress"));
        super::parse(address.and_then(Value::as_str).unwrap_or_default())
    }

    /// Waits until packets go a way.
    pub fn wait_reaches(&self, way: &Way) -> Result<(), Trouble> {
        connect(&way.from, way.address)
    }

    fn ask(
        &self,
        host: &Host,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Trouble> {
        let answer = contained(|| host.docker_api(method, path, body))?;
        if (200..300).contains(&answer.code) {
            return Ok(answer.body);
        }
        let what = format!("{method} {path} on host {}", host.name());
        Err(Trouble::Refused { what, said: format!("{} {}", answer.code, answer.body) })
    }
}

/// Connects, or is refused by who is asked: a packet has come and gone.
pub fn connect(from: &Place, to: SocketAddr) -> Result<(), Trouble> {
    let connected = contained(|| {
        from.within(|| {
            hurry_arp()?;
            let until = Instant::now() + PATIENCE;
            loop {
                match TcpStream::connect_timeout(&to, ATTEMPT) {
                    Ok(_) => return Ok(()),
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(()),
                    Err(error) if Instant::now() > until => return Err(error),
                    // TCP itself would wait for a second.
                    Err(_) => {}
                }
            }
        })
    })?;
    connected.map_err(|source| Trouble::Io { what: format!("cannot reach {to}"), source })
}

/// Has the calling thread's network ask by ARP again and again.
fn hurry_arp() -> io::Result<()> {
    for entry in fs::read_dir("/proc/sys/net/ipv4/neigh")? {
        let of: PathBuf = entry?.path();
        fs::write(of.join("retrans_time_ms"), ARP)?;
        fs::write(of.join("mcast_solicit"), ARP_TIMES)?;
    }
    Ok(())
}

fn daemon(host: &Host, program: &str, etcd: &Etcd) -> Process {
    let endpoints = etcd.endpoints();
    let config = host
        .put("wasmnet.toml", format!("[cluster]\nstore = \"etcd\"\nendpoints = {endpoints:?}\n"));
    let state = host.path_in_data_dir("wasmnet");
    let (state, config) = (state.to_string_lossy(), config.to_string_lossy());
    let words = [program, "serve", "--state-dir", &state, "--config", &config];
    let daemon = host.exec(&words).env("WASMNET_LOG", LOG).spawn();
    let socket = host.path_in_run("docker/plugins/wasm-overlay.sock");
    wait_for("the daemon's socket", PATIENCE, || socket.exists());
    daemon
}

fn swarm(hosts: &[Host; 3]) {
    let [first, others @ ..] = hosts;
    let address = |host: &Host| host.address().to_string();
    first.docker(&["swarm", "init", "--advertise-addr", &address(first)]);
    let token = first.docker(&["swarm", "join-token", "--quiet", "worker"]);
    for host in others {
        let manager = format!("{}:2377", first.address());
        let own = address(host);
        host.docker(&["swarm", "join", "--token", &token, "--advertise-addr", &own, &manager]);
    }
    let [Network { name, number, .. }, _] = NETWORKS;
    let subnet = format!("10.{number}.0.0/24");
    let driver = ["network", "create", "--driver", "overlay", "--attachable"];
    first.docker(&[&driver[..], &["--subnet", &subnet, name]].concat());
}

fn ours(hosts: &[Host; 3]) {
    let [_, Network { name, number, .. }] = NETWORKS;
    for (at, host) in hosts.iter().enumerate() {
        let (subnet, range) =
            (format!("10.{number}.0.0/24"), format!("10.{number}.0.{}/28", 16 * at));
        let driver = ["network", "create", "--driver", "wasm-overlay"];
        let pools = ["--subnet", &subnet, "--ip-range", &range, name];
        host.docker(&[&driver[..], &pools].concat());
    }
}
