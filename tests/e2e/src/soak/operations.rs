//! What the soak's users ask the engine for.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use wasmnet_lab::Host;

use super::{random::Random, report::Report};
use crate::BRIDGE;

/// No operation may take longer, whatever happens to the daemon.
const LIMIT: Duration = Duration::from_secs(60);
/// Networks there may be at the same time.
const NETWORKS: usize = 6;
/// Containers that one user has.
const CONTAINERS: usize = 3;
/// Ports of the host that containers want.
pub(super) const FIXED_PORTS: std::ops::Range<u16> = 18000..18008;

/// What a container was last heard to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Absent,
    Stopped,
    Running,
}

/// What everybody believes there is. The engine knows better: others act, and operations
/// fail half done.
#[derive(Default)]
pub(super) struct Beliefs(Mutex<BTreeMap<String, Is>>);

/// One of those who ask.
pub(super) struct User<'s> {
    pub(super) number: usize,
    pub(super) host: &'s Host,
    pub(super) beliefs: &'s Beliefs,
    pub(super) report: &'s Report,
    pub(super) random: Random,
}

// === impl Beliefs ===

impl Beliefs {
    /// Learns everything anew from the engine.
    pub(super) fn refresh(&self, host: &Host) {
        let ask = |path: &str| host.docker_api("GET", path, None).body;
        let mut beliefs = BTreeMap::new();
        for container in ask("/containers/json?all=1").as_array().into_iter().flatten() {
            let name = container["Names"][0].as_str().unwrap_or_default();
            let is = if container["State"] == "running" { Is::Running } else { Is::Stopped };
            beliefs.insert(name.trim_start_matches('/').to_owned(), is);
        }
        for network in ask("/networks").as_array().into_iter().flatten() {
            if network["Driver"] == BRIDGE {
                beliefs
                    .insert(network["Name"].as_str().unwrap_or_default().to_owned(), Is::Running);
            }
        }
        *self.lock() = beliefs;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Is>> {
        self.0.lock().unwrap()
    }

    fn of(&self, name: &str) -> Is {
        self.lock().get(name).copied().unwrap_or(Is::Absent)
    }

    fn learn(&self, name: &str, is: Is) {
        self.lock().insert(name.to_owned(), is);
    }
}

// === impl User ===

impl User<'_> {
    /// Asks for one thing.
    pub(super) fn act(&mut self) {
        if self.random.percent(20) {
            return self.act_on_network();
        }
        // Now and then somebody else's container.
        let user = if self.random.percent(10) { self.random.below(5) } else { self.number };
        let name = format!("c{user}{}", self.random.below(CONTAINERS));
        match self.beliefs.of(&name) {
            Is::Absent => self.create_container(&name),
            Is::Stopped => match self.random.below(10) {
                0 => self.move_container(&name, "connect"),
                1 => self.move_container(&name, "disconnect"),
                2 => self.remove_container(&name),
                _ => self.change_container(&name, "start", Is::Running),
            },
            Is::Running => match self.random.below(20) {
                0..=2 => self.change_container(&name, "stop", Is::Stopped),
                3..=5 => self.change_container(&name, "kill", Is::Stopped),
                6..=7 => self.change_container(&name, "restart", Is::Running),
                8..=12 => self.move_container(&name, "connect"),
                13..=16 => self.move_container(&name, "disconnect"),
                _ => self.remove_container(&name),
            },
        }
    }

    fn act_on_network(&mut self) {
        let number = self.random.below(NETWORKS);
        let name = format!("net{number}");
        if self.beliefs.of(&name) == Is::Absent {
            let body = self.network(&name, number);
            if self.ask("POST", "/networks/create", Some(&body)) {
                self.beliefs.learn(&name, Is::Running);
            }
        } else if self.random.percent(40) && self.ask("DELETE", &format!("/networks/{name}"), None)
        {
            self.beliefs.learn(&name, Is::Absent);
        }
    }

    fn network(&mut self, name: &str, number: usize) -> Value {
        let option = |key: &str, value: &str| json!({ format!("com.docker.network.{key}"): value });
        let options = match self.random.below(8) {
            0 => option("driver.mtu", "1400"),
            1 => option("bridge.enable_ip_masquerade", "false"),
            2 => option("bridge.enable_icc", "false"),
            3 => option("bridge.name", &format!("soak{number}")),
            4 => option("bridge.gateway_mode_ipv4", "routed"),
            _ => json!({}),
        };
        // Mostly a subnet that the engine picks: it gives out again at once what is free.
        let subnet = format!("10.83.{number}.0/24");
        let pools = if self.random.percent(30) { json!([{ "Subnet": subnet }]) } else { json!([]) };
        json!({
            "Name": name,
            "Driver": BRIDGE,
            "CheckDuplicate": true,
            "Internal": self.random.percent(10),
            "Options": options,
            "IPAM": { "Config": pools },
        })
    }

    fn create_container(&mut self, name: &str) {
        let mut bound = json!({});
        if self.random.percent(40) {
            let port = FIXED_PORTS.start + u16::try_from(self.random.below(8)).unwrap();
            bound["80/tcp"] = json!([{ "HostPort": port.to_string() }]);
        }
        if self.random.percent(40) {
            bound["80/udp"] = json!([{ "HostPort": "" }]);
        }
        let exposed: Value =
            bound.as_object().unwrap().keys().map(|port| (port.clone(), json!({}))).collect();
        let body = json!({
            "Image": "busybox",
            "Cmd": ["sleep", "36000"],
            "StopSignal": "KILL",
            "ExposedPorts": exposed,
            "HostConfig": { "NetworkMode": self.some_network(), "PortBindings": bound },
        });
        if self.ask("POST", &format!("/containers/create?name={name}"), Some(&body)) {
            self.beliefs.learn(name, Is::Stopped);
            if self.random.percent(80) {
                self.change_container(name, "start", Is::Running);
            }
        }
    }

    fn change_container(&mut self, name: &str, verb: &str, then: Is) {
        if self.ask("POST", &format!("/containers/{name}/{verb}"), None) {
            self.beliefs.learn(name, then);
        } else if verb == "start" && self.random.percent(50) {
            // Its network may have gone for ever.
            self.remove_container(name);
        } else {
            // A container that did not start, or that somebody else has ended or removed.
            self.look(name);
        }
    }

    fn remove_container(&mut self, name: &str) {
        if self.ask("DELETE", &format!("/containers/{name}?force=1"), None) {
            self.beliefs.learn(name, Is::Absent);
        } else {
            self.look(name);
        }
    }

    fn move_container(&mut self, name: &str, verb: &str) {
        let body = json!({ "Container": name, "Force": self.random.percent(20) });
        let network = self.some_network();
        self.ask("POST", &format!("/networks/{network}/{verb}"), Some(&body));
    }

    /// A network that should be there; any if there is none.
    fn some_network(&mut self) -> String {
        let there: Vec<String> = {
            let beliefs = self.beliefs.lock();
            let is_network =
                |(name, is): &(&String, &Is)| name.starts_with("net") && **is != Is::Absent;
            beliefs.iter().filter(is_network).map(|(name, _)| name.clone()).collect()
        };
        if there.is_empty() {
            return "net0".to_owned();
        }
        there[self.random.below(there.len())].clone()
    }

    fn look(&self, name: &str) {
        let path = format!("/containers/{name}/json");
        let Ok(answer) = self.host.try_docker_api("GET", &path, None, LIMIT) else { return };
        let is = match (&answer.body["State"]["Running"], answer.code) {
            (Value::Bool(true), _) => Is::Running,
            (_, 404) => Is::Absent,
            _ => Is::Stopped,
        };
        self.beliefs.learn(name, is);
    }

    /// Asks, and says whether it was done. Whatever comes must come in time, and a failure
    /// with a sentence.
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> bool {
        let started = Instant::now();
        let answer = self.host.try_docker_api(method, path, body, LIMIT);
        let took = started.elapsed();
        let mut what = format!("user {}: {method} {path}", self.number);
        if let Some(body) = body {
            what.push_str(&format!(" {body}"));
        }
        let said = match &answer {
            Ok(answer) if answer.code < 400 => Ok(()),
            Ok(answer) => {
                let sentence = answer.body["message"].as_str().unwrap_or_default();
                if sentence.trim().is_empty() {
                    self.report.find(format!("{what} failed without a sentence: {answer:?}"));
                }
                Err(sentence.to_owned())
            }
            Err(error) => {
                self.report.find(format!("{what} got no answer within {took:.1?}: {error}"));
                Err(error.to_string())
            }
        };
        self.report.operation(&what, took, &said);
        said.is_ok()
    }
}
