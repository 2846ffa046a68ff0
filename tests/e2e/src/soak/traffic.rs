//! Whether packets go where they should.

use std::{process::Command, thread};

use wasmnet_lab::{Place, Server, Transport};

use super::{
    picture::{Container, Endpoint, Picture},
    report::Report,
};
use crate::Site;

/// A container that can be asked at port 80.
struct Member<'p> {
    container: &'p Container,
    place: Place,
    _servers: [Server; 2],
}

/// Who does not reach whom, and should; or does, and should not.
pub(super) fn faults(site: &Site, picture: &Picture, report: &Report) -> Vec<String> {
    let members: Vec<Member<'_>> = picture
        .containers
        .iter()
        .map(|container| {
            let place = Place::container(&site.host, &container.name);
            let servers = [Transport::Tcp, Transport::Udp].map(|with| place.serve(with, 80));
            Member { container, place, _servers: servers }
        })
        .collect();
    let outside = Place::host(site.lab.outside());
    thread::scope(|scope| {
        let members = &members;
        let pinging: Vec<_> = members
            .iter()
            .map(|from| scope.spawn(move || unreached(from, members, picture, report)))
            .collect();
        let mut faults = unpublished(site, &outside, members, picture, report);
        faults.extend(pinging.into_iter().flat_map(|thread| thread.join().unwrap()));
        faults
    })
}

/// The neighbours that a container should reach and does not, or the other way round.
fn unreached(
    from: &Member<'_>,
    members: &[Member<'_>],
    picture: &Picture,
    report: &Report,
) -> Vec<String> {
    let mut faults = Vec::new();
    for to in members.iter().filter(|to| to.container.name != from.container.name) {
        for (id, endpoint) in &to.container.endpoints {
            let Some(network) = picture.networks.get(id) else { continue };
            if !from.container.endpoints.contains_key(id) {
                continue;
            }
            let wanted = network.option("enable_icc") != "false";
            let reached = pings(&from.place, &endpoint.address);
            report.count("pings", 1);
            if reached != wanted {
                let (one, other) = (&from.container.name, &to.container.name);
                let on = &network.name;
                faults.push(format!(
                    "{one} reaches {other} on {on} at {}: {reached}",
                    endpoint.address
                ));
            }
        }
    }
    faults
}

/// The published ports that do not answer.
fn unpublished(
    site: &Site,
    outside: &Place,
    members: &[Member<'_>],
    picture: &Picture,
    report: &Report,
) -> Vec<String> {
    let mut faults = Vec::new();
    let log = site.engine.log();
    for member in members {
        let container = member.container;
        let is_of = |port: &&serde_json::Value| {
            let endpoint = port["endpoint"].as_str();
            container.endpoints.values().any(|own| Some(own.id.as_str()) == endpoint)
        };
        let published: Vec<_> = picture.ports.iter().filter(is_of).collect();
        let is_open = |id: &String| picture.networks.get(id).is_some_and(|net| !net.internal);
        let should =
            if container.endpoints.keys().any(is_open) { container.ports.len() } else { 0 };
        let mut containers: Vec<_> =
            published.iter().map(|port| port["protocol"].as_str()).collect();
        containers.sort_unstable();
        containers.dedup();
        // When a container's way out moves, its ports are free for a moment: whoever takes
        // a chosen one keeps it, and Docker said so.
        let lost = container.chosen.iter().filter(|port| {
            picture
                .ports
                .iter()
                .filter(|other| !is_of(other))
                .any(|other| host_port(other) == Some(**port))
        });
        if containers.len() < should && is_given_up(container, &log) {
            report.count("containers whose ports the engine gave up", 1);
        } else if containers.len() != should && containers.len() + lost.count() != should {
            faults.push(format!(
                "{} should publish {:?} and publishes {published:?}",
                container.name,
                if should == 0 { &[] } else { container.ports.as_slice() },
            ));
        }
        for port in published {
            let Some(number) = host_port(port) else { continue };
            let transport = if port["protocol"] == "udp" { Transport::Udp } else { Transport::Tcp };
            let to = (site.host.address(), number).into();
            report.count("published ports asked", 1);
            match outside.ask(transport, to) {
                Ok(seen) if seen.by == container.name => {}
                Err(_) if is_given_up(container, &log) && !leads_out(site, member, port) => {
                    report.count("ports whose way back the engine gave up", 1);
                }
                other => faults.push(format!("{transport} {to} of {}: {other:?}", container.name)),
            }
        }
    }
    faults
}

/// Whether the engine has given up a container's ports or its way out since its start, as its
/// log tells. When the way out moves to another network, it sets the default route, revokes
/// the ports there and programs them here, and if the daemon is killed in between it goes no
/// way back: libnetwork's `sbJoin` means to, but its deferred roll-back looks at another `err`,
/// and the route goes with the new link; `sbLeave` only warns.
fn is_given_up(container: &Container, log: &str) -> bool {
    let is_said = |line: &str| {
        ["programming", "revoking"].iter().any(|what| {
            let said = format!("driver failed {what} external connectivity on endpoint ");
            let of = line.split_once(&said).and_then(|(_, rest)| rest.split([' ', ':']).next());
            of == Some(container.name.as_str())
        })
    };
    let is_since = |line: &str| {
        line.strip_prefix("time=\"").is_some_and(|time| time > container.started.as_str())
    };
    log.lines().any(|line| is_said(line) && is_since(line))
}

/// Whether a container's answers leave by the network at which the port is published.
fn leads_out(site: &Site, member: &Member<'_>, port: &serde_json::Value) -> bool {
    let is_published = |endpoint: &&Endpoint| port["endpoint"] == endpoint.id.as_str();
    let Some(endpoint) = member.container.endpoints.values().find(is_published) else {
        return false;
    };
    let outside = site.lab.outside().address().to_string();
    let route = || Command::new("ip").args(["route", "get", &outside]).output();
    member.place.within(route).is_ok_and(|output| {
        let route = String::from_utf8_lossy(&output.stdout);
        route.contains(&format!(" src {} ", endpoint.address))
    })
}

/// The port of all the host's addresses at which one is published.
fn host_port(port: &serde_json::Value) -> Option<u16> {
    port["host"].as_str()?.strip_prefix("0.0.0.0:")?.parse().ok()
}

fn pings(from: &Place, to: &str) -> bool {
    let ping = || Command::new("busybox").args(["ping", "-q", "-c", "1", "-W", "1", to]).output();
    from.within(ping).is_ok_and(|output| output.status.success())
}
