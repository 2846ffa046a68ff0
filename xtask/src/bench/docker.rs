//! Docker's operations, timed at the engine's API.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use wasmnet_lab::{Answer, Host};

use super::table::Table;
use super::{Trouble, progress};
use crate::stage::Stage;
use crate::steps::Live;

/// The columns.
pub const BUILT_IN: usize = 0;
pub const OURS: usize = 1;
pub const FLOOR: usize = 2;
pub const CROWD: usize = 3;

/// How many ports containers publish.
const PORTS: [u16; 4] = [0, 1, 10, 100];
/// With more ports than this, and in parallel, things are done a few times only.
const QUICK: u16 = 10;
const FEW: u32 = 3;
/// Containers that are started at once.
const PARALLEL: u32 = 20;
/// Before each thing that is timed: who has answered may still be tidying up, and the
/// kernel deletes links one at a time, so the next one would pay for it.
const REST: Duration = Duration::from_millis(100);
/// The first host port, below those that the kernel gives away.
const FIRST_PORT: u16 = 20000;

/// A driver, as the engine's client sees it.
pub struct Docker<'s> {
    stage: &'s Stage,
    driver: &'static str,
}

pub fn table() -> Table {
    Table::new(
        "Docker",
        "Time of a request to the engine's API, in ms. `start` and `rm` contain the time that \
         the engine takes for the container itself. The floor is a remote driver outside the \
         daemon that makes bridge and link by `ip` and nothing else: no firewall, no ports.",
        &["bridge", "wasm-bridge", "floor", "wasm-bridge in a crowd"],
        &[("wasm / bridge", OURS, BUILT_IN), ("crowd / empty", CROWD, OURS)],
    )
}

/// Does everything with each driver in turn; what is measured goes to the driver's column.
pub fn measure(
    live: &mut Live<'_>,
    table: &mut Table,
    repeat: u32,
    drivers: &[(&Docker<'_>, usize)],
) -> Result<(), Trouble> {
    // The first time is another: files are read, drivers are looked up.
    for (docker, _) in drivers {
        docker.network(&mut |_, _| {})?;
        docker.connection(&mut |_, _| {})?;
        docker.container(1, &mut |_, _| {})?;
    }
    for round in 0..repeat {
        progress(live, round, repeat);
        for (docker, column) in drivers {
            docker.network(&mut |what, time| table.record(what, *column, time))?;
        }
        for (docker, column) in drivers {
            docker.connection(&mut |what, time| table.record(what, *column, time))?;
        }
        for ports in PORTS.into_iter().filter(|ports| *ports <= QUICK || round < FEW) {
            // The floor publishes nothing.
            for (docker, column) in drivers.iter().filter(|(_, c)| ports == 0 || *c != FLOOR) {
                docker.container(ports, &mut |what, time| table.record(what, *column, time))?;
            }
        }
        for (docker, column) in drivers.iter().filter(|_| round < FEW) {
            docker.parallel(&mut |what, time| table.record(what, *column, time))?;
        }
    }
    Ok(())
}

// === impl Docker ===

impl<'s> Docker<'s> {
    pub fn new(stage: &'s Stage, driver: &'static str) -> Self {
        Self { stage, driver }
    }

    pub fn driver(&self) -> &'static str {
        self.driver
    }

    /// The name of something of this driver's.
    pub fn name(&self, what: &str) -> String {
        format!("{what}-{}", self.driver)
    }

    /// Makes what the operations need: two networks, and a container on one of them.
    pub fn prepare(&self) -> Result<(), Trouble> {
        for network in ["home", "side"] {
            self.create_network(&self.name(network))?;
        }
        self.run(&self.name("idle"), 0)
    }

    /// Removes it.
    pub fn clear(&self) -> Result<(), Trouble> {
        self.remove(&self.name("idle"))?;
        for network in ["home", "side"] {
            let path = format!("/networks/{}", self.name(network));
            self.timed("DELETE", &path, None).or_else(|refused| self.explain(refused, &path))?;
        }
        Ok(())
    }

    /// Adds to a refusal who is on the network.
    fn explain(&self, refused: Trouble, path: &str) -> Result<f64, Trouble> {
        let Trouble::Refused { what, said } = refused else { return Err(refused) };
        let network = self.stage.on(|host| host.docker_api("GET", path, None).body)?;
        let on_it = network.get("Containers").unwrap_or(&Value::Null);
        Err(Trouble::Refused { what, said: format!("{said}; on it: {on_it}") })
    }

    /// Starts a container that waits, with its first ports published.
    pub fn run(&self, name: &str, ports: u16) -> Result<(), Trouble> {
        self.create(name, ports)?;
        self.start(name)?;
        Ok(())
    }

    /// Removes a container, running or not.
    pub fn remove(&self, name: &str) -> Result<f64, Trouble> {
        self.timed("DELETE", &format!("/containers/{name}?force=1"), None)
    }

    /// A network comes and goes.
    fn network(&self, record: &mut dyn FnMut(&str, f64)) -> Result<(), Trouble> {
        let name = self.name("new");
        rest();
        record("network create", self.create_network(&name)?);
        rest();
        record("network rm", self.timed("DELETE", &format!("/networks/{name}"), None)?);
        Ok(())
    }

    /// A running container gets a second network and loses it.
    fn connection(&self, record: &mut dyn FnMut(&str, f64)) -> Result<(), Trouble> {
        let (side, body) = (self.name("side"), json!({ "Container": self.name("idle") }));
        for what in ["connect", "disconnect"] {
            rest();
            let time = self.timed("POST", &format!("/networks/{side}/{what}"), Some(&body))?;
            record(&format!("network {what}"), time);
        }
        Ok(())
    }

    /// A container comes and goes.
    fn container(&self, ports: u16, record: &mut dyn FnMut(&str, f64)) -> Result<(), Trouble> {
        let name = self.name("one");
        self.create(&name, ports)?;
        rest();
        let plural = if ports == 1 { "port" } else { "ports" };
        record(&format!("start, {ports} {plural}"), self.start(&name)?);
        rest();
        record(&format!("rm --force, {ports} {plural}"), self.remove(&name)?);
        Ok(())
    }

    /// Many containers come at once.
    fn parallel(&self, record: &mut dyn FnMut(&str, f64)) -> Result<(), Trouble> {
        let names: Vec<String> =
            (0..PARALLEL).map(|number| self.name(&format!("many{number}"))).collect();
        for name in &names {
            self.create(name, 0)?;
        }
        rest();
        let path = |name: &str| format!("/containers/{name}/start");
        let time = self.at_once("POST", names.iter().map(|name| path(name)).collect())?;
        record(&format!("start of {PARALLEL} at once"), time);
        rest();
        let path = |name: &str| format!("/containers/{name}?force=1");
        let time = self.at_once("DELETE", names.iter().map(|name| path(name)).collect())?;
        record(&format!("rm --force of {PARALLEL} at once"), time);
        Ok(())
    }

    fn create_network(&self, name: &str) -> Result<f64, Trouble> {
        let body = json!({ "Name": name, "Driver": self.driver });
        self.timed("POST", "/networks/create", Some(&body))
    }

    fn create(&self, name: &str, ports: u16) -> Result<f64, Trouble> {
        let (mut exposed, mut bound) = (Map::new(), Map::new());
        for number in 0..ports {
            let port = format!("{}/tcp", 8000 + number);
            let host = (FIRST_PORT + number).to_string();
            exposed.insert(port.clone(), json!({}));
            bound.insert(port, json!([{ "HostPort": host }]));
        }
        let body = json!({
            "Image": "busybox",
            "Cmd": ["sleep", "3600"],
            "ExposedPorts": exposed,
            "HostConfig": { "NetworkMode": self.name("home"), "PortBindings": bound },
        });
        self.timed("POST", &format!("/containers/create?name={name}"), Some(&body))
    }

    fn start(&self, name: &str) -> Result<f64, Trouble> {
        self.timed("POST", &format!("/containers/{name}/start"), None)
    }

    /// Asks the engine for something and returns the milliseconds it took.
    fn timed(&self, method: &str, path: &str, body: Option<&Value>) -> Result<f64, Trouble> {
        self.stage.on(|host| ask(host, method, path, body))?
    }

    /// The same for several things at the same time, until the last is done.
    fn at_once(&self, method: &str, paths: Vec<String>) -> Result<f64, Trouble> {
        self.stage.on(|host| {
            let started = Instant::now();
            thread::scope(|scope| {
                let ask = |path: String| scope.spawn(move || ask(host, method, &path, None));
                let threads: Vec<_> = paths.into_iter().map(ask).collect();
                for thread in threads {
                    thread.join().unwrap_or_else(|_| {
                        let what = format!("{method} at once");
                        Err(Trouble::Refused { what, said: "no answer".to_owned() })
                    })?;
                }
                Ok(milliseconds(started))
            })
        })?
    }
}

/// Lets everybody finish.
pub fn rest() {
    thread::sleep(REST);
}

/// The time since then.
pub fn milliseconds(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1000.0
}

fn ask(host: &Host, method: &str, path: &str, body: Option<&Value>) -> Result<f64, Trouble> {
    let started = Instant::now();
    let Answer { code, body } = host.docker_api(method, path, body);
    let time = milliseconds(started);
    if (200..300).contains(&code) {
        return Ok(time);
    }
    Err(Trouble::Refused { what: format!("{method} {path}"), said: format!("{code} {body}") })
}
