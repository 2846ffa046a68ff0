//! What an engine asks of a network driver, and which answers it takes.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::IpNet;
use serde_json::{Value, json};

/// Longest name of a link, in bytes.
const LINK_NAME_MAX: usize = 15;

/// One call.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// Its method, as in "NetworkDriver.Join".
    pub method: &'static str,
    /// Its body.
    pub body: Value,
}

/// A network and what happens on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scene {
    /// IPv4 alone.
    Plain,
    /// IPv4 and IPv6.
    Dual,
    /// IPv6 alone.
    Ipv6,
    /// Closed to the outside.
    Internal,
}

/// What the engine knows.
#[derive(Debug, Clone, Default)]
pub(super) struct Engine {
    /// CreateNetwork's requests by network.
    networks: BTreeMap<String, Value>,
    /// MAC addresses by network.
    macs: BTreeMap<String, BTreeMap<String, String>>,
}

// === impl Step ===

impl Step {
    /// What it is, for people.
    pub(super) fn name(&self) -> String {
        let method = self.method.trim_start_matches("NetworkDriver.");
        match self.body["EndpointID"].as_str() {
            Some(endpoint) => format!("{method} of endpoint {}", short(endpoint)),
            None => method.to_owned(),
        }
    }

    /// Whether it takes something away, which happens even if the driver fails.
    pub(super) fn is_removal(&self) -> bool {
        let removals = ["Revoke", "Leave", "DeleteEndpoint", "DeleteNetwork"];
        removals.iter().any(|word| self.method.contains(word))
    }

    /// Whether it makes a network.
    pub(super) fn is_first(&self) -> bool {
        self.method == "NetworkDriver.CreateNetwork"
    }

    /// Whether it only asks.
    pub(super) fn only_asks(&self) -> bool {
        self.method == "NetworkDriver.EndpointOperInfo"
    }
}

fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

// === impl Scene ===

impl Scene {
    /// All of them; the first is the one that every driver must be able to play.
    pub(super) const ALL: [Self; 4] = [Self::Plain, Self::Dual, Self::Ipv6, Self::Internal];

    /// What it is, for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "a network with IPv4",
            Self::Dual => "a network with IPv4 and IPv6",
            Self::Ipv6 => "a network with IPv6 alone",
            Self::Internal => "an internal network",
        }
    }

    /// CreateNetwork's body, with these options of the driver's.
    pub(super) fn network(self, id: &str, options: &BTreeMap<String, String>) -> Value {
        let ipv4 = json!([{
            "AddressSpace": "LocalDefault", "Pool": "10.91.0.0/24", "Gateway": "10.91.0.1/24",
        }]);
        let ipv6 = json!([{
            "AddressSpace": "LocalDefault", "Pool": "fd91::/64", "Gateway": "fd91::1/64",
        }]);
        let has = |scenes: &[Self], pools| if scenes.contains(&self) { pools } else { json!([]) };
        let (v4, v6) = (self != Self::Ipv6, matches!(self, Self::Dual | Self::Ipv6));
        let mut all = json!({
            "com.docker.network.enable_ipv4": v4,
            "com.docker.network.enable_ipv6": v6,
            "com.docker.network.generic": options,
        });
        if self == Self::Internal {
            all["com.docker.network.internal"] = true.into();
        }
        json!({
            "NetworkID": id,
            "Options": all,
            "IPv4Data": has(&[Self::Plain, Self::Dual, Self::Internal], ipv4),
            "IPv6Data": has(&[Self::Dual, Self::Ipv6], ipv6),
        })
    }

    /// CreateEndpoint's body.
    fn endpoint(self, network: &str, id: &str, host: u8, mac: &str) -> Value {
        let ipv4 = if self == Self::Ipv6 { String::new() } else { format!("10.91.0.{host}/24") };
        let ipv6 = match self {
            Self::Dual | Self::Ipv6 => format!("fd91::{host:x}/64"),
            _ => String::new(),
        };
        json!({
            "NetworkID": network,
            "EndpointID": id,
            "Interface": { "Address": ipv4, "AddressIPv6": ipv6, "MacAddress": mac },
            "Options": {},
        })
    }

    /// What engines do: a network with two containers from the beginning to the end, in the
    /// order in which they do it.
    pub(super) fn life(self, options: &BTreeMap<String, String>) -> Vec<Step> {
        let (network, one, other) = (id(1), id(7), id(8));
        let step = |method, body| Step { method, body };
        let ids = |endpoint: &str| json!({ "NetworkID": network, "EndpointID": endpoint });
        let join = |endpoint: &str| {
            let mut body = ids(endpoint);
            body["SandboxKey"] = format!("/var/run/docker/netns/{}", short(endpoint)).into();
            body["Options"] = json!({});
            step("NetworkDriver.Join", body)
        };
        let program = |endpoint: &str, ports: Value| {
            let mut body = ids(endpoint);
            body["Options"] = json!({ "com.docker.network.portmap": ports });
            step("NetworkDriver.ProgramExternalConnectivity", body)
        };
        let ports = json!([port(6, 80, 8080), port(17, 53, 8053)]);
        vec![
            step("NetworkDriver.CreateNetwork", self.network(&network, options)),
            step("NetworkDriver.CreateEndpoint", self.endpoint(&network, &one, 2, "")),
            step("NetworkDriver.EndpointOperInfo", ids(&one)),
            join(&one),
            program(&one, ports),
            step(
                "NetworkDriver.CreateEndpoint",
                self.endpoint(&network, &other, 3, "02:91:00:00:00:03"),
            ),
            join(&other),
            program(&other, json!([])),
            step("NetworkDriver.EndpointOperInfo", ids(&other)),
            step("NetworkDriver.RevokeExternalConnectivity", ids(&one)),
            step("NetworkDriver.Leave", ids(&one)),
            step("NetworkDriver.DeleteEndpoint", ids(&one)),
            step("NetworkDriver.RevokeExternalConnectivity", ids(&other)),
            step("NetworkDriver.Leave", ids(&other)),
            step("NetworkDriver.DeleteEndpoint", ids(&other)),
            step("NetworkDriver.DeleteNetwork", json!({ "NetworkID": network })),
        ]
    }
}

fn port(protocol: u8, container: u16, host: u16) -> Value {
    json!({
        "Proto": protocol, "IP": "", "Port": container,
        "HostIP": "", "HostPort": host, "HostPortEnd": host,
    })
}

/// An engine's id made from a number.
pub(super) fn id(number: u8) -> String {
    format!("{number:02x}").repeat(32)
}

// === impl Engine ===

impl Engine {
    /// Says why an engine would not take an answer.
    pub(super) fn check(&mut self, step: &Step, answer: &Value) -> Result<(), String> {
        let (network, endpoint) = (text(&step.body, "NetworkID"), text(&step.body, "EndpointID"));
        match step.method {
            "NetworkDriver.CreateNetwork" => {
                self.networks.insert(network.to_owned(), step.body.clone());
            }
            "NetworkDriver.DeleteNetwork" => {
                self.networks.remove(network);
                self.macs.remove(network);
            }
            "NetworkDriver.CreateEndpoint" => return self.check_endpoint(step, answer),
            "NetworkDriver.DeleteEndpoint" => {
                self.macs.entry(network.to_owned()).or_default().remove(endpoint);
            }
            "NetworkDriver.Join" => return self.check_join(network, answer),
            _ => {}
        }
        Ok(())
    }

    fn check_endpoint(&mut self, step: &Step, answer: &Value) -> Result<(), String> {
        let (asked, given) = (&step.body["Interface"], &answer["Interface"]);
        let mac = match text(asked, "MacAddress") {
            "" => text(given, "MacAddress"),
            mac => mac,
        };
        let first = mac.split(':').next().and_then(|octet| u8::from_str_radix(octet, 16).ok());
        if first.is_some_and(|octet| octet & 1 == 1) {
            return Err(format!("MAC address {mac} is a group's, which no interface can have"));
        }
        let macs = self.macs.entry(text(&step.body, "NetworkID").to_owned()).or_default();
        macs.insert(text(&step.body, "EndpointID").to_owned(), mac.to_owned());
        Ok(())
    }

    fn check_join(&self, network: &str, answer: &Value) -> Result<(), String> {
        let Some(of) = self.networks.get(network) else { return Ok(()) };
        let name = text(&answer["InterfaceName"], "SrcName");
        if name.len() > LINK_NAME_MAX {
            return Err(format!("no link can be called {name}"));
        }
        let internal = of["Options"]["com.docker.network.internal"] == true;
        for (key, pools) in [("Gateway", "IPv4Data"), ("GatewayIPv6", "IPv6Data")] {
            let Ok(gateway) = text(answer, key).parse::<IpAddr>() else { continue };
            if internal {
                return Err(format!("gateway {gateway} leads out of an internal network"));
            }
            let subnets: BTreeSet<IpNet> = of[pools]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|pool| text(pool, "Pool").parse().ok())
                .collect();
            if !subnets.iter().any(|subnet| subnet.contains(&gateway)) {
                return Err(format!("gateway {gateway} is in none of the network's subnets"));
            }
        }
        Ok(())
    }
}

/// A field's text; nothing if it is missing or null, as Go reads it.
fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object[key].as_str().unwrap_or_default()
}
