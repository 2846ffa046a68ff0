//! Docker's operations, timed at the engine's API.

use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use wasmnet_lab::{Answer, Host};

use super::table::Table;
use super::{Trouble, macvlan, progress};
use crate::stage::Stage;
use crate::steps::Live;

/// The columns.
pub const BUILT_IN: usize = 0;
pub const OURS: usize = 1;
pub const FLOOR: usize = 2;

/// How many ports containers publish.
const PORTS: [u16; 4] = [0, 1, 10, 100];
/// With more ports than this, and in parallel, things are done a few times only.
const QUICK: u16 = 10;
pub const FEW: u32 = 3;
/// How often all else is done in a round: it takes little, and what the engine and the disk do
/// beside it varies much.
pub const OFTEN: u32 = 4;
/// How often networks and connections are, which take least.
pub const MOST_OFTEN: u32 = 2 * OFTEN;
/// Containers that are started at once.
const PARALLEL: [u32; 2] = [10, 50];
/// Before each thing that is timed: who has answered may still be tidying up, and the
/// kernel deletes links one at a time, so the next one would pay for it.
const REST: Duration = Duration::from_millis(100);
/// The first host port, below those that the kernel gives away.
pub const FIRST_PORT: u16 = 20000;

/// A driver, as the engine's client sees it.
pub struct Docker<'s> {
    stage: &'s Stage,
    driver: &'static str,
    /// The column, for networks on a wire of the host's.
    wire: Option<usize>,
}

const DRIVERS: usize = 3;

pub fn table() -> Table {
    Table::new(
        "Docker",
        "Time of a request to the engine's API, in ms. `start` and `rm` contain the time that \
         the engine takes for the container itself. The floor is a remote driver that does \
         nothing but make and delete bridge and link, by netlink, and answer when it is done: no \
         firewall, no ports (it ignores them), no records. The first and the last network are \
         those beside which the driver has no other.",
        &["bridge", "wasm-bridge", "floor"],
        &[("wasm / bridge", OURS, BUILT_IN), ("wasm / floor", OURS, FLOOR)],
    )
}

pub fn crowd_table() -> Table {
    Table::new(
        "Docker, in a crowd",
        "The same with 200 networks of that driver, and ten containers with 100 published ports \
         each on one of them, already there. The floor is on the host with wasm-bridge's crowd, \
         so what it takes more is the engine's doing, whatever the driver. The built-in driver's \
         turn comes after the others', not between them.",
        &["bridge", "wasm-bridge", "floor", Table::UNSEEN, Table::UNSEEN, Table::UNSEEN],
        &[
            ("wasm / bridge", OURS, BUILT_IN),
            ("wasm / floor", OURS, FLOOR),
            ("bridge, crowd / empty", BUILT_IN, DRIVERS + BUILT_IN),
            ("wasm, crowd / empty", OURS, DRIVERS + OURS),
            ("floor, crowd / empty", FLOOR, DRIVERS + FLOOR),
        ],
    )
}

/// Puts what was measured on the empty host beside it.
pub fn compare(crowd: &mut Table, empty: &Table) {
    crowd.add_columns(empty, DRIVERS);
}

/// Makes and removes the only network of each driver in turn, of which there is none yet.
pub fn measure_first(
    live: &mut Live<'_>,
    table: &mut Table,
    repeat: u32,
    drivers: &[(&Docker<'_>, usize)],
) -> Result<(), Trouble> {
    for (docker, _) in drivers {
        docker.network(&mut |_, _| {})?;
    }
    for round in 0..repeat * MOST_OFTEN {
        progress(live, round, repeat * MOST_OFTEN);
        for (docker, column) in drivers {
            docker.network(&mut |what, time| {
                let which = if what.ends_with("create") { "the first" } else { "the last" };
                table.record(&format!("{what}, {which}"), *column, time);
            })?;
        }
    }
    Ok(())
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
    let mut drivers = drivers.to_vec();
    for round in 0..repeat {
        progress(live, round, repeat);
        for _ in 0..MOST_OFTEN {
            for (docker, column) in &drivers {
                docker.network(&mut |what, time| table.record(what, *column, time))?;
            }
            for (docker, column) in &drivers {
                docker.connection(&mut |what, time| table.record(what, *column, time))?;
            }
        }
        for ports in PORTS {
            let times = match ports {
                0..=QUICK => OFTEN,
                _ => u32::from(round < FEW),
            };
            for _ in 0..times {
                for (docker, column) in &drivers {
                    docker.container(ports, &mut |what, time| table.record(what, *column, time))?;
                }
            }
        }
        for count in PARALLEL.into_iter().filter(|_| round < FEW) {
            for (docker, column) in &drivers {
                docker.parallel(count, &mut |what, time| table.record(what, *column, time))?;
            }
        }
        // Nobody is always the first, nor always the one after the slowest.
        drivers.rotate_left(1);
    }
    Ok(())
}

// === impl Docker ===

impl<'s> Docker<'s> {
    pub fn new(stage: &'s Stage, driver: &'static str) -> Self {
        Self { stage, driver, wire: None }
    }

    /// The same with networks on wires of the host's, as [`macvlan::wire`] says.
    pub fn on_wire(stage: &'s Stage, driver: &'static str, column: usize) -> Self {
        Self { stage, driver, wire: Some(column) }
    }

    pub fn driver(&self) -> &'static str {
        self.driver
    }

    /// The name of something of this driver's.
    pub fn name(&self, what: &str) -> String {
        format!("{what}-{}", self.driver)
    }

    /// Makes the network that containers are on.
    pub fn create_home(&self) -> Result<(), Trouble> {
        self.create_network(&self.name("home"))?;
        Ok(())
    }

    /// Removes it.
    pub fn remove_home(&self) -> Result<(), Trouble> {
        let name = self.name("home");
        self.remove_network(&name).or_else(|refused| self.explain(refused, &name))?;
        Ok(())
    }

    /// Makes what the operations need: two networks, and a container on one of them.
    pub fn prepare(&self) -> Result<(), Trouble> {
        self.create_home()?;
        self.create_network(&self.name("side"))?;
        self.run(&self.name("idle"), (FIRST_PORT, 0))
    }

    /// Removes it.
    pub fn clear(&self) -> Result<(), Trouble> {
        self.remove(&self.name("idle"))?;
        self.remove_network(&self.name("side"))?;
        self.remove_home()
    }

    /// Adds to a refusal who is on the network.
    fn explain(&self, refused: Trouble, network: &str) -> Result<f64, Trouble> {
        let Trouble::Refused { what, said } = refused else { return Err(refused) };
        let path = format!("/networks/{network}");
        let network = self.stage.on(|host| host.docker_api("GET", &path, None).body)?;
        let on_it = network.get("Containers").unwrap_or(&Value::Null);
        Err(Trouble::Refused { what, said: format!("{said}; on it: {on_it}") })
    }

    /// Starts a container that waits, with so many ports published at the host's ports
    /// from the first on.
    pub fn run(&self, name: &str, ports: (u16, u16)) -> Result<(), Trouble> {
        self.create(name, ports)?;
        self.start(name)?;
        Ok(())
    }

    /// Removes a container, running or not.
    pub fn remove(&self, name: &str) -> Result<f64, Trouble> {
        self.timed("DELETE", &format!("/containers/{name}?force=1"), None)
    }

    /// A container starts, stops, starts again and goes.
    pub fn on_and_off(&self, record: &mut dyn FnMut(&str, f64)) -> Result<(), Trouble> {
        let name = self.name("one");
        self.create(&name, (FIRST_PORT, 0))?;
        rest();
        record("start", self.start(&name)?);
        rest();
        record("stop", self.timed("POST", &format!("/containers/{name}/stop?t=0"), None)?);
        rest();
        record("start again", self.start(&name)?);
        rest();
        record("rm --force", self.remove(&name)?);
        Ok(())
    }

    /// A network comes and goes.
    pub fn network(&self, record: &mut dyn FnMut(&str, f64)) -> Result<(), Trouble> {
        let name = self.name("new");
        rest();
        record("network create", self.create_network(&name)?);
        rest();
        record("network rm", self.remove_network(&name)?);
        Ok(())
    }

    /// A running container gets a second network and loses it.
    pub fn connection(&self, record: &mut dyn FnMut(&str, f64)) -> Result<(), Trouble> {
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
        self.create(&name, (FIRST_PORT, ports))?;
        rest();
        let plural = if ports == 1 { "port" } else { "ports" };
        record(&format!("start, {ports} {plural}"), self.start(&name)?);
        rest();
        record(&format!("rm --force, {ports} {plural}"), self.remove(&name)?);
        Ok(())
    }

    /// Many containers come at once, and go.
    fn parallel(&self, count: u32, record: &mut dyn FnMut(&str, f64)) -> Result<(), Trouble> {
        let names: Vec<String> =
            (0..count).map(|number| self.name(&format!("many{number}"))).collect();
        for name in &names {
            self.create(name, (FIRST_PORT, 0))?;
        }
        rest();
        let path = |name: &str| format!("/containers/{name}/start");
        let time = self.at_once("POST", names.iter().map(|name| path(name)).collect())?;
        record(&format!("start of {count} at once"), time);
        rest();
        let path = |name: &str| format!("/containers/{name}?force=1");
        let time = self.at_once("DELETE", names.iter().map(|name| path(name)).collect())?;
        record(&format!("rm --force of {count} at once"), time);
        Ok(())
    }

    fn create_network(&self, name: &str) -> Result<f64, Trouble> {
        let mut body = json!({ "Name": name, "Driver": self.driver });
        if let Some(column) = self.wire {
            let what = name.split('-').next().unwrap_or_default();
            let (parent, subnet) = macvlan::wire(column, what);
            body["Options"] = json!({ "parent": parent });
            body["IPAM"] = json!({ "Config": [{ "Subnet": subnet }] });
        }
        self.timed("POST", "/networks/create", Some(&body))
    }

    /// The engine has subnets of its own for some thirty networks only.
    pub fn create_network_on(&self, name: &str, subnet: &str) -> Result<f64, Trouble> {
        let ipam = json!({ "Config": [{ "Subnet": subnet }] });
        let body = json!({ "Name": name, "Driver": self.driver, "IPAM": ipam });
        self.timed("POST", "/networks/create", Some(&body))
    }

    pub fn remove_network(&self, name: &str) -> Result<f64, Trouble> {
        self.timed("DELETE", &format!("/networks/{name}"), None)
    }

    fn create(&self, name: &str, ports: (u16, u16)) -> Result<f64, Trouble> {
        let (mut exposed, mut bound) = (Map::new(), Map::new());
        let (first, count) = ports;
        for number in 0..count {
            let port = format!("{}/tcp", 8000 + number);
            let host = (first + number).to_string();
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

/// The address of a container that has one.
pub fn address(host: &Host, container: &str) -> Result<IpAddr, Trouble> {
    let template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let said = host.docker(&["inspect", "--format", template, container]);
    said.parse().map_err(|_| Trouble::Refused { what: "docker inspect".to_owned(), said })
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
