//! A driver that makes nothing and shares everything, for tests of the cluster.
//!
//! A network follows the group that its option `group` names, and each of its endpoints
//! publishes the last byte of its address there, with the time. What the network is told of it writes down,
//! and an endpoint's facts are what it has written. Further options of the network:
//!
//! * `agree=KEY:VALUE`: the value must be absent, or this one already, on all nodes.
//! * `peek=GROUP`: asks for the entries of a group, followed or not.
//! * `fail=METHOD`: the method fails after it has done its work.
//! * `deny=N`: this network fails when it is told something, the first N times.

use wasmnet_sdk::{
    DriverOption, Endpoint, EndpointRequest, EndpointSettings, Error, IpAddress, IpNetwork,
    Network, NetworkDriver, Progress, clock, cluster, store,
};

struct Gossip;

wasmnet_sdk::network_driver! {
    driver: Gossip,
    name: "gossip",
    description: "Tells itself on other nodes what it hears.",
    grants: { "cluster": true },
}

/// What stands before a key in the store: what was heard of it.
const HEARD: &str = "heard/";
/// When it was heard, and how long after it was said, in nanoseconds.
const AFTER: &str = "after/";
/// How often the network was told.
const TOLD: &str = "told";
/// How often it was told without a key.
const ANY: &str = "any";
/// How often it has failed.
const DENIED: &str = "denied";

// === impl Gossip ===

impl NetworkDriver for Gossip {
    fn create_network(network: &Network) -> Result<(), Error> {
        if let Some(group) = option(network, "peek") {
            cluster::entries(group, None)?;
        }
        if let Some((key, value)) = option(network, "agree").and_then(|text| text.split_once(':')) {
            let value = value.as_bytes();
            if !cluster::compare_and_set(key, None, Some(value))?
                && cluster::get(key)?.as_deref() != Some(value)
            {
                return Err(Error::invalid(format!("others agreed on another {key}")));
            }
        }
        cluster::follow(group(network)?)?;
        fail(network, "create-network")
    }

    fn create_endpoint(
        network: &Network,
        request: &EndpointRequest,
    ) -> Result<EndpointSettings, Error> {
        let key = last_byte(request.ipv4)?;
        cluster::publish(group(network)?, &key, clock::wall().to_string().as_bytes())?;
        fail(network, "create-endpoint")?;
        Ok(EndpointSettings { ipv4: None, ipv6: None, mac: None })
    }

    fn endpoint_info(network: &Network, _: &Endpoint) -> Result<Vec<DriverOption>, Error> {
        let mut facts = Vec::new();
        for key in store::keys(store::Scope::Network, "")? {
            let value = store::get(store::Scope::Network, &key)?.unwrap_or_default();
            let value = String::from_utf8_lossy(&value).into_owned();
            facts.push(DriverOption { key, value });
        }
        let names = |nodes: Vec<cluster::Node>| -> Vec<String> {
            let mut names: Vec<_> = nodes.into_iter().map(|node| node.name).collect();
            names.sort_unstable();
            names
        };
        let nodes = names(cluster::nodes()?).join(" ");
        facts.push(DriverOption { key: "nodes".to_owned(), value: nodes });
        let key = option(network, "agree").and_then(|text| text.split_once(':'));
        if let Some((key, _)) = key {
            let value = cluster::get(key)?.unwrap_or_default();
            let value = String::from_utf8_lossy(&value).into_owned();
            facts.push(DriverOption { key: "agreed".to_owned(), value });
            let keys = cluster::keys("")?.join(" ");
            facts.push(DriverOption { key: "keys".to_owned(), value: keys });
        }
        Ok(facts)
    }

    fn leave(network: &Network, endpoint: &Endpoint) -> Result<(), Error> {
        // Its entry goes before the endpoint does.
        cluster::withdraw(group(network)?, &last_byte(endpoint.ipv4)?)
    }

    fn entries_changed(
        network: &Network,
        group: &str,
        keys: Option<&[String]>,
    ) -> Result<Progress, Error> {
        let now = clock::wall();
        count(TOLD)?;
        if let Some(times) = option(network, "deny").and_then(|times| times.parse::<u64>().ok()) {
            // What a failing call writes is gone: the driver's own keys are no way around it.
            if denied()? < times {
                return Err(Error::unavailable("not yet"));
            }
        }
        let keys = match keys {
            Some(keys) => keys.to_vec(),
            None => {
                count(ANY)?;
                let heard = store::keys(store::Scope::Network, HEARD)?;
                let heard = heard.iter().filter_map(|key| key.strip_prefix(HEARD));
                let entries = cluster::entries(group, None)?;
                heard.map(str::to_owned).chain(entries.into_iter().map(|entry| entry.key)).collect()
            }
        };
        for key in keys {
            let heard = format!("{HEARD}{key}");
            let entries = cluster::entries(group, Some(&key))?;
            if entries.is_empty() {
                store::delete(store::Scope::Network, &heard)?;
                continue;
            }
            let mut who: Vec<String> =
                entries.iter().map(|entry| entry.node.name.clone()).collect();
            who.sort_unstable();
            let before = store::get(store::Scope::Network, &heard)?;
            if before.as_deref() != Some(who.join(" ").as_bytes()) {
                store::set(store::Scope::Network, &heard, who.join(" ").as_bytes())?;
                let said = entries.iter().filter_map(|entry| {
                    std::str::from_utf8(&entry.value).ok()?.parse::<u64>().ok()
                });
                let after = now.saturating_sub(said.max().unwrap_or_default());
                let after = after.to_string();
                store::set(store::Scope::Network, &format!("{AFTER}{key}"), after.as_bytes())?;
            }
        }
        Ok(Progress::Done)
    }
}

fn last_byte(address: Option<IpNetwork>) -> Result<String, Error> {
    match address.map(|network| network.address) {
        Some(IpAddress::Ipv4((.., last))) => Ok(last.to_string()),
        _ => Err(Error::invalid("an IPv4 address is needed")),
    }
}

fn group(network: &Network) -> Result<&str, Error> {
    option(network, "group").ok_or_else(|| Error::invalid("option group=NAME is missing"))
}

fn option<'a>(network: &'a Network, key: &str) -> Option<&'a str> {
    let mut options = network.options.iter();
    options.find(|option| option.key == key).map(|option| option.value.as_str())
}

fn fail(network: &Network, method: &str) -> Result<(), Error> {
    match option(network, "fail") {
        Some(wanted) if wanted == method => Err(Error::unavailable("as told")),
        _ => Ok(()),
    }
}

fn count(key: &str) -> Result<(), Error> {
    let before = store::get(store::Scope::Network, key)?.unwrap_or_default();
    let before: u64 = String::from_utf8_lossy(&before).parse().unwrap_or_default();
    store::set(store::Scope::Network, key, (before + 1).to_string().as_bytes())
}

/// How often this was asked before, on all nodes: only what is agreed survives a failed call.
fn denied() -> Result<u64, Error> {
    let before = cluster::get(DENIED)?;
    let text = before.clone().unwrap_or_default();
    let times: u64 = String::from_utf8_lossy(&text).parse().unwrap_or_default();
    cluster::compare_and_set(DENIED, before.as_deref(), Some((times + 1).to_string().as_bytes()))?;
    Ok(times)
}
