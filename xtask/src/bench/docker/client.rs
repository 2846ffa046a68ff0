//! What is asked of the engine, and how long it takes to answer.

use std::thread;
use std::time::Instant;

use serde_json::{Map, Value, json};
use wasmnet_lab::{Answer, Host};

use super::{FIRST_PORT, milliseconds, rest};
use crate::bench::{Trouble, macvlan};
use crate::stage::Stage;

/// A driver, as the engine's client sees it.
pub struct Docker<'s> {
    stage: &'s Stage,
    driver: &'static str,
    /// The column, for networks on a wire of the host's.
    wire: Option<usize>,
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
    pub(super) fn container(
        &self,
        ports: u16,
        record: &mut dyn FnMut(&str, f64),
    ) -> Result<(), Trouble> {
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
    pub(super) fn parallel(
        &self,
        count: u32,
        record: &mut dyn FnMut(&str, f64),
    ) -> Result<(), Trouble> {
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

fn ask(host: &Host, method: &str, path: &str, body: Option<&Value>) -> Result<f64, Trouble> {
    let started = Instant::now();
    let Answer { code, body } = host.docker_api(method, path, body);
    let time = milliseconds(started);
    if (200..300).contains(&code) {
        return Ok(time);
    }
    Err(Trouble::Refused { what: format!("{method} {path}"), said: format!("{code} {body}") })
}
