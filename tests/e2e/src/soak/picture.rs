//! What engine, daemon and kernel each say there is.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use wasmnet_lab::Host;

use super::operations::FIXED_PORTS;
use crate::{BRIDGE, json};

/// One of the engine's networks of our driver.
pub(super) struct Network {
    pub(super) name: String,
    pub(super) internal: bool,
    pub(super) options: Value,
}

/// A running container.
pub(super) struct Container {
    pub(super) name: String,
    /// By id of the network.
    pub(super) endpoints: BTreeMap<String, Endpoint>,
    /// As in "80/tcp".
    pub(super) ports: Vec<String>,
    /// The host's ports that were chosen for some of them.
    pub(super) chosen: Vec<u16>,
    /// When, as the engine writes it in its log too.
    pub(super) started: String,
}

/// Where a container is connected.
pub(super) struct Endpoint {
    pub(super) id: String,
    pub(super) address: String,
}

/// Everything, looked at once.
pub(super) struct Picture {
    /// The engine's networks of our driver, by id.
    pub(super) networks: BTreeMap<String, Network>,
    /// The engine's running containers.
    pub(super) containers: Vec<Container>,
    /// The daemon's networks.
    pub(super) ours: Vec<Value>,
    /// The daemon's published ports.
    pub(super) ports: Vec<Value>,
    host: Host,
}

// === impl Picture ===

impl Picture {
    pub(super) fn take(host: &Host) -> Self {
        let list = |path: &str| match host.docker_api("GET", path, None).body {
            Value::Array(list) => list,
            other => panic!("{path}: {other}"),
        };
        let inspect = |path: String| host.docker_api("GET", &path, None).body;
        let networks = list("/networks");
        let networks = networks.iter().filter(|network| network["Driver"] == BRIDGE);
        // Only this way it tells what the network is connected to.
        let networks: Vec<Value> = networks
            .map(|network| inspect(format!("/networks/{}", text(&network["Id"]))))
            .collect();
        let containers = list("/containers/json");
        let containers = containers.iter().map(|container| text(&container["Id"]));
        let array = |value: Value| value.as_array().cloned().unwrap_or_default();
        Self {
            containers: containers
                .map(|id| Container::of(&inspect(format!("/containers/{id}/json")), &networks))
                .collect(),
            networks: networks.iter().map(|of| (text(&of["Id"]), Network::of(of))).collect(),
            ours: array(json(host, &["network", "ls"])),
            ports: array(json(host, &["port", "ls"])),
            host: host.clone(),
        }
    }

    /// Where the three contradict each other.
    pub(super) fn contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        let ours = self.ours.iter().map(|network| text(&network["id"])).collect();
        compare(&mut found, "networks", ("the engine", &self.names()), ("the daemon", &ours));
        let endpoints = self.containers.iter().flat_map(|container| {
            let ours = container.endpoints.iter().filter(|(id, _)| self.networks.contains_key(*id));
            ours.map(|(network, endpoint)| format!("{} on {network}", endpoint.id))
        });
        let known = self.endpoints().map(|(network, endpoint)| {
            format!("{} on {}", text(&endpoint["id"]), text(&network["id"]))
        });
        let (engine, daemon) = (endpoints.collect(), known.collect());
        compare(&mut found, "endpoints", ("the engine", &engine), ("the daemon", &daemon));
        self.check_addresses(&mut found);
        self.check_links(&mut found);
        self.check_table(&mut found);
        self.check_pass(&mut found);
        self.check_sockets(&mut found);
        found
    }

    fn names(&self) -> BTreeSet<String> {
        self.networks.keys().cloned().collect()
    }

    fn endpoints(&self) -> impl Iterator<Item = (&Value, &Value)> {
        self.ours.iter().flat_map(|network| {
            network["endpoints"].as_array().unwrap().iter().map(move |endpoint| (network, endpoint))
        })
    }

    /// The rest of the ledger's keys that begin with this word.
    fn objects(&self, kind: &str) -> BTreeSet<String> {
        objects_of(self.ours.iter(), kind)
    }

    /// No address is held twice on a network, neither for the engine nor for the daemon.
    fn check_addresses(&self, found: &mut Vec<String>) {
        let engine = self.containers.iter().flat_map(|container| {
            container.endpoints.iter().map(|(id, endpoint)| (id.clone(), endpoint.address.clone()))
        });
        let daemon = self.endpoints().flat_map(|(network, endpoint)| {
            let addresses = endpoint["addresses"].as_array().unwrap().iter();
            addresses.map(|address| (text(&network["id"]), text(address)))
        });
        for (whose, held) in [("engine", engine.collect::<Vec<_>>()), ("daemon", daemon.collect())]
        {
            let mut seen = BTreeSet::new();
            for (network, address) in held {
                if !address.is_empty() && !seen.insert((network.clone(), address.clone())) {
                    found.push(format!("{whose}: {address} twice on {network}"));
                }
            }
        }
    }

    /// Links that are ours, by name or alias, stand in the ledger, and the ledger's links stand.
    fn check_links(&self, found: &mut Vec<String>) {
        let links: Vec<Value> =
            serde_json::from_str(&self.host.run(&["ip", "-j", "link"])).unwrap();
        let is_ours = |link: &&Value| {
            let alias = link["ifalias"].as_str().unwrap_or_default();
            is_picked(&text(&link["ifname"])) || alias.starts_with("wasmnet:")
        };
        let ours = links.iter().filter(is_ours).map(|link| text(&link["ifname"]));
        // The container's end is on the host only until the container has it.
        let ours = ours.filter(|name| !name.ends_with('p')).collect();
        compare(found, "links", ("the kernel", &ours), ("the ledger", &self.objects("link")));
    }

    /// The sets of our table are the ledger's.
    fn check_table(&self, found: &mut Vec<String>) {
        let listed = self.host.try_run(&["nft", "-j", "list", "table", "inet", "wasmnet"]);
        if self.ours.is_empty() {
            if listed.success() {
                found.push("our table stands without a network".to_owned());
            }
            return;
        }
        let listed: Value = serde_json::from_str(&listed.stdout).unwrap_or_default();
        let elements = |name: &str| -> Vec<Value> {
            let objects = listed["nftables"].as_array().into_iter().flatten();
            let sets = objects.flat_map(|object| [&object["set"], &object["map"]]);
            let set = sets.into_iter().find(|set| set["name"] == name);
            set.and_then(|set| set["elem"].as_array().cloned()).unwrap_or_default()
        };
        let bridges = elements("bridges").iter().map(text).collect();
        compare(found, "bridges", ("the table", &bridges), ("the ledger", &self.objects("policy")));
        let masqueraded = elements("masquerade4").iter().map(text).collect();
        let masquerades = |network: &&Value| {
            let option =
                |key: &str| &network["options"][format!("com.docker.network.bridge.{key}")];
            let routed = option("gateway_mode_ipv4") == "routed";
            network["internal"] != true && option("enable_ip_masquerade") != "false" && !routed
        };
        let wanted = objects_of(self.ours.iter().filter(masquerades), "policy");
        compare(found, "masquerade", ("the table", &masqueraded), ("the ledger", &wanted));
        let ports = elements("ports4").into_iter().map(|element| {
            let [key, to] = [&element[0]["concat"], &element[1]["concat"]];
            format!("{} {} to {}:{}", text(&key[0]), key[1], text(&to[0]), to[1])
        });
        let published = self.ports.iter().filter_map(|port| {
            let host = port["host"].as_str()?.strip_prefix("0.0.0.0:")?;
            Some(format!("{} {host} to {}", text(&port["protocol"]), text(&port["container"])))
        });
        let (ports, published) = (ports.collect(), published.collect());
        compare(found, "ports", ("the table", &ports), ("the ledger", &published));
    }

    /// The rules in the engine's chains are there once each, and for our bridges only.
    fn check_pass(&self, found: &mut Vec<String>) {
        let bridges = self.objects("policy");
        let pattern = |name: &String| if is_picked(name) { "wn+".to_owned() } else { name.clone() };
        let wanted: BTreeSet<String> = bridges
            .iter()
            .flat_map(|name| [format!("-i {}", pattern(name)), format!("-o {}", pattern(name))])
            .collect();
        for chain in ["DOCKER-USER", "FORWARD"] {
            let rules = self.host.try_run(&["iptables", "-w", "-S", chain]).stdout;
            let rules = rules.lines().filter(|rule| rule.contains("--comment wasmnet"));
            let mut rules: Vec<String> = rules
                .filter_map(|rule| rule.strip_prefix(&format!("-A {chain} "))?.split_once(" -m "))
                .map(|(matches, _)| matches.to_owned())
                .collect();
            rules.sort();
            if !rules.iter().eq(&wanted) {
                found.push(format!("chain {chain} has {rules:?}, and should have {wanted:?}"));
            }
        }
    }

    /// Ports that nobody publishes are nobody's.
    fn check_sockets(&self, found: &mut Vec<String>) {
        let published: BTreeSet<u16> = self
            .ports
            .iter()
            .filter_map(|port| port["host"].as_str()?.rsplit_once(':')?.1.parse().ok())
            .collect();
        let listening = self.host.run(&["ss", "-Hltn"]);
        let listening = listening.lines().filter_map(|line| {
            line.split_whitespace().nth(3)?.rsplit_once(':')?.1.parse::<u16>().ok()
        });
        let listening: BTreeSet<u16> =
            listening.filter(|port| FIXED_PORTS.contains(port)).collect();
        let published = published.into_iter().filter(|port| FIXED_PORTS.contains(port)).collect();
        compare(found, "sockets", ("the kernel", &listening), ("the ledger", &published));
    }
}

// === impl Network ===

impl Network {
    fn of(listed: &Value) -> Self {
        Self {
            name: text(&listed["Name"]),
            internal: listed["Internal"] == true,
            options: listed["Options"].clone(),
        }
    }

    /// The value of one of the bridge's options.
    pub(super) fn option(&self, key: &str) -> &str {
        self.options[format!("com.docker.network.bridge.{key}")].as_str().unwrap_or_default()
    }
}

// === impl Container ===

impl Container {
    /// From what the engine tells of it and of the networks. Of its networks it tells, too,
    /// but for a container that it failed to connect it goes on telling what it had planned.
    fn of(inspected: &Value, networks: &[Value]) -> Self {
        let endpoints = networks.iter().filter_map(|network| {
            let endpoint = network["Containers"].get(text(&inspected["Id"]))?;
            let id = text(&endpoint["EndpointID"]);
            let address = text(&endpoint["IPv4Address"]);
            let address = address.split('/').next().unwrap_or_default().to_owned();
            Some((text(&network["Id"]), Endpoint { id, address }))
        });
        let ports = inspected["HostConfig"]["PortBindings"].as_object().cloned();
        Self {
            name: text(&inspected["Name"]).trim_start_matches('/').to_owned(),
            endpoints: endpoints.collect(),
            chosen: ports.iter().flatten().filter_map(|(_, bound)| chosen(bound)).collect(),
            ports: ports.unwrap_or_default().into_iter().map(|(port, _)| port).collect(),
            started: text(&inspected["State"]["StartedAt"]),
        }
    }
}

/// The host's port in an entry of an engine's PortBindings, unless any will do.
fn chosen(bound: &Value) -> Option<u16> {
    bound[0]["HostPort"].as_str()?.parse().ok().filter(|port| *port != 0)
}

/// Tells what is on one side only.
fn compare<T: Ord + std::fmt::Debug>(
    found: &mut Vec<String>,
    what: &str,
    (one, here): (&str, &BTreeSet<T>),
    (other, there): (&str, &BTreeSet<T>),
) {
    for (who, only) in [(one, here.difference(there)), (other, there.difference(here))] {
        found.extend(only.map(|it| format!("{what} of {who} only: {it:?}")));
    }
}

/// Whether the daemon picks such names.
fn is_picked(name: &str) -> bool {
    let digits = name.strip_prefix("wn").unwrap_or_default();
    digits.len() >= 12 && digits.trim_end_matches('p').bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The objects of a kind ("policy") that the ledger has for networks, without that word.
fn objects_of<'a>(networks: impl Iterator<Item = &'a Value>, kind: &str) -> BTreeSet<String> {
    let kind = format!("{kind} ");
    let objects = networks.flat_map(|network| network["objects"].as_array().unwrap());
    objects
        .filter_map(|object| Some(object["key"].as_str()?.strip_prefix(&kind)?.to_owned()))
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
