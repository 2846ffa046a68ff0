//! The host's settings: what keeps traffic from passing, though all is as the ledger says.

use std::{fs, net::IpAddr, process::Command};

use ipnet::IpNet;
use serde::Deserialize;

use super::{Finding, Kind};
use crate::admin::view::NetworkView;

/// A route as ip-route(8) shows it with `-json`.
#[derive(Debug, Deserialize)]
struct Route {
    dst: String,
    dev: Option<String>,
}

/// A link as ip-link(8) shows it with `-json`.
#[derive(Debug, Deserialize)]
struct Link {
    ifname: String,
    mtu: u32,
}

/// Looks at everything.
pub(crate) fn examine(networks: &[NetworkView]) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(programs());
    if networks.iter().any(|network| !network.internal) {
        findings.extend(forwarding(networks));
    }
    let mut routes: Vec<Route> = json("ip", &["-json", "-4", "route"]).unwrap_or_default();
    // Every link has a route to its neighbours there.
    let ipv6: Vec<Route> = json("ip", &["-json", "-6", "route"]).unwrap_or_default();
    routes.extend(ipv6.into_iter().filter(|route| !route.dst.starts_with("fe80:")));
    let links: Vec<Link> = json("ip", &["-json", "link"]).unwrap_or_default();
    findings.extend(overlaps(networks, &routes));
    findings.extend(mtu(networks, &routes, &links));
    findings
}

fn programs() -> Option<Finding> {
    let missing = Command::new("nft").arg("--version").output().is_err();
    missing.then(|| {
        let wrong = "nft(8) is not installed, and networks need it for their firewall";
        Finding::new(Kind::Missing, wrong, "install it (Debian: apt install nftables)")
    })
}

fn forwarding(networks: &[NetworkView]) -> Vec<Finding> {
    let off = |file: &str| fs::read_to_string(file).is_ok_and(|text| text.trim() == "0");
    let uses = |ipv4: bool| {
        let mut subnets = networks.iter().filter(|net| !net.internal).flat_map(|net| &net.subnets);
        subnets.any(|subnet| subnet.addr().is_ipv4() == ipv4)
    };
    let mut findings = Vec::new();
    for (ipv4, name) in [(true, "net.ipv4.ip_forward"), (false, "net.ipv6.conf.all.forwarding")] {
        if uses(ipv4) && off(&format!("/proc/sys/{}", name.replace('.', "/"))) {
            let wrong = format!("{name} is 0, so containers do not get beyond their network");
            let advice = format!("run \"sysctl -w {name}=1\" and keep it in /etc/sysctl.d");
            findings.push(Finding::new(Kind::Forwarding, wrong, advice));
        }
    }
    findings
}

/// Subnets that are reached by links of others, too.
fn overlaps(networks: &[NetworkView], routes: &[Route]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for network in networks {
        for subnet in &network.subnets {
            for route in routes {
                let (Some(dev), Some(destination)) = (&route.dev, destination(&route.dst)) else {
                    continue;
                };
                let own = network.objects.iter().any(|object| object.key == format!("link {dev}"));
                let clash = subnet.contains(&destination) || destination.contains(subnet);
                if clash && !own {
                    let id = crate::id::short(network.id.as_str());
                    let wrong = format!(
                        "subnet {subnet} of network {id} is also reached through {dev} ({destination})"
                    );
                    let advice =
                        "create the network again with another --subnet, or remove the other route";
                    findings.push(Finding::new(Kind::Overlap, wrong, advice));
                }
            }
        }
    }
    findings
}

/// Networks whose packets are larger than the way out takes.
fn mtu(networks: &[NetworkView], routes: &[Route], links: &[Link]) -> Vec<Finding> {
    let default = routes.iter().find(|route| route.dst == "default");
    let uplink = default.and_then(|route| route.dev.as_ref());
    let mtu_of = |name: &str| links.iter().find(|link| link.ifname == name).map(|link| link.mtu);
    let Some((uplink, room)) = uplink.and_then(|name| Some((name, mtu_of(name)?))) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for network in networks.iter().filter(|network| !network.internal) {
        let keys = network.objects.iter().filter(|object| object.endpoint.is_none());
        let own = keys.filter_map(|object| object.key.strip_prefix("link "));
        for (name, mtu) in own.filter_map(|name| Some((name, mtu_of(name)?))) {
            if mtu > room {
                let id = crate::id::short(network.id.as_str());
                let wrong = format!(
                    "network {id} has MTU {mtu} on {name}, but the way out by {uplink} takes {room} bytes: large packets are lost where ICMP is filtered"
                );
                let advice =
                    format!("create it again with -o com.docker.network.driver.mtu={room}");
                findings.push(Finding::new(Kind::Mtu, wrong, advice));
            }
        }
    }
    findings
}

/// Where a route leads; none for the default route, which takes only what no other does.
fn destination(text: &str) -> Option<IpNet> {
    let address = text.parse::<IpAddr>().map(IpNet::from).ok();
    address.or_else(|| text.parse().ok())
}

fn json<T: for<'de> Deserialize<'de>>(program: &str, arguments: &[&str]) -> Option<T> {
    let output = Command::new(program).args(arguments).output().ok()?;
    serde_json::from_slice(&output.stdout).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read_as_ip_shows_them() {
        assert_eq!(destination("10.1.0.0/16"), "10.1.0.0/16".parse().ok());
        assert_eq!(destination("192.0.2.1"), "192.0.2.1/32".parse().ok());
        assert_eq!(destination("default"), None);
    }
}
