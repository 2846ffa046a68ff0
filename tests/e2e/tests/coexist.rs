//! Other people's firewalls.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    thread,
    time::{Duration, Instant},
};

use wasmnet_e2e::{Site, Tries, publish};
use wasmnet_lab::{EngineOptions, Host, Place, Server, Transport, transports, wait_for};

/// Bridges whose frames the IP firewall does not see.
mod bridged;
/// Somebody flushes a firewall, Docker's or ours.
mod flushed;
/// iptables-legacy, which announces no changes.
mod legacy;
/// An engine that leaves the firewall to others.
mod without;

/// How soon traffic is back that somebody has cut off.
const SOON: Duration = Duration::from_secs(1);
/// What a loaded machine may add. At a load of ten on two cores it was 0.2 s at most where
/// changes are announced and 0.6 s with iptables-legacy, all in all.
const SLACK: Duration = Duration::from_secs(1);
/// How long it is waited for.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_millis(100);

/// Containers one and web on a network of ours, web with a published port, container
/// foreign on one of Docker's, with another; and everybody serves.
struct Scene {
    _servers: Vec<Server>,
    ways: Ways,
    foreign: Place,
    host: Place,
    site: Site,
}

/// Who has to reach whom.
struct Ways {
    one: Place,
    web: Place,
    remote: Place,
    outside: Place,
    uplink: IpAddr,
    remote_address: IpAddr,
    outside_address: IpAddr,
    web_address: IpAddr,
}

// === impl Scene ===

impl Scene {
    /// `prepare` is done before the engine starts, with these arguments.
    fn new(arguments: &[&str], prepare: impl FnOnce(&Host)) -> Self {
        let args = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Self::on(Site::with_engine_on(EngineOptions { args, ..EngineOptions::default() }, prepare))
    }

    /// `prepare` is done when the engine has started and before there are networks.
    fn before_networks(prepare: impl FnOnce(&Host)) -> Self {
        Self::on(Site::prepared(&[], prepare))
    }

    fn on(site: Site) -> Self {
        let remote = site.lab.host("b");
        // Whoever has a route must not get in.
        remote.sh(&format!("ip route add 10.81.0.0/16 via {}", site.host.address()));
        site.network("net1", "--subnet 10.81.1.0/24");
        site.docker("network create --driver bridge --subnet 10.81.3.0/24 builtin");
        site.container("one", "--network net1");
        site.container("web", &format!("--network net1 {}", publish("8080:80")));
        site.container("foreign", "--network builtin --publish 9090:80");
        let [one, web, foreign] =
            ["one", "web", "foreign"].map(|name| Place::container(&site.host, name));
        let ways = Ways {
            one,
            web,
            remote_address: remote.address().into(),
            remote: Place::host(&remote),
            outside: Place::host(site.lab.outside()),
            outside_address: site.lab.outside().address().into(),
            uplink: site.host.address().into(),
            web_address: site.address("web", "net1").parse().unwrap(),
        };
        let places = [&ways.one, &ways.web, &foreign, &ways.outside];
        let served = places.into_iter().flat_map(|place| {
            transports().into_iter().map(move |transport| place.serve(transport, 80))
        });
        let servers = served.collect();
        let host = Place::host(&site.host);
        Self { _servers: servers, ways, foreign, host, site }
    }

    /// Fails the test unless our containers have all that they should have, and the rest
    /// stays closed; `when` says what is special.
    fn assert_works(&self, when: &str) {
        let Ways { one, web, remote, outside, uplink, web_address, .. } = &self.ways;
        self.site.assert_pings("one", "web");
        self.site.assert_pings("one", &self.ways.outside_address.to_string());
        let mut tries = Tries::default();
        for transport in transports() {
            tries.reaches(one, transport, at(*web_address, 80), "web");
            let outer = at(self.ways.outside_address, 80);
            tries.reaches_as(one, transport, outer, &outside.to_string(), *uplink);
            let seen = self.ways.remote_address;
            tries.reaches_as(remote, transport, at(*uplink, 8080), "web", seen);
            for from in [&self.host, one, web, &self.foreign] {
                tries.reaches(from, transport, at(*uplink, 8080), "web");
            }
            tries.reaches(&self.host, transport, at(Ipv4Addr::LOCALHOST, 8080), "web");
        }
        tries.assert_good(when);
        for from in [remote, &self.foreign] {
            assert_silent(from, at(*web_address, 80), when);
        }
    }

    /// Fails the test unless our containers reach Docker's by published ports only.
    fn assert_docker_is_left_alone(&self, when: &str) {
        let foreign: IpAddr = self.site.address("foreign", "builtin").parse().unwrap();
        let mut tries = Tries::default();
        tries.reaches(&self.host, Transport::Udp, at(foreign, 80), "foreign");
        tries.reaches(&self.ways.one, Transport::Tcp, at(self.ways.uplink, 9090), "foreign");
        tries.assert_good(when);
        assert_silent(&self.ways.one, at(foreign, 80), when);
        self.site.assert_silent("one", &foreign.to_string(), when);
        self.site.assert_silent("foreign", &self.ways.web_address.to_string(), when);
    }

    /// Runs a command on the host; fails the test unless all ways are good again soon.
    fn assert_soon_good_after(&self, command: &str) {
        let outage = self.ways.outage(|| drop(self.site.host.sh(command)));
        assert_soon(outage, command);
    }

    /// The rules of ours that stand in other people's chains.
    fn passes(&self) -> String {
        self.site.host.sh("iptables -S | grep wasmnet | sort")
    }

    /// Removes everything; nothing may be left.
    fn remove(self) {
        let Self { site, .. } = self;
        site.docker("rm --force one web foreign");
        site.docker("network rm net1 builtin");
        site.assert_nothing_left();
        let left = site.host.sh("{ iptables-nft -S; iptables-legacy -S; } | grep wasmnet || true");
        assert_eq!(left, "", "rules left behind");
    }
}

// === impl Ways ===

impl Ways {
    /// Does something, and measures for how long, at most, the ways were not all good.
    fn outage(&self, disturb: impl FnOnce() + Send) -> Duration {
        thread::scope(|scope| {
            let mut good = Instant::now();
            let mut longest = Duration::ZERO;
            let disturb = scope.spawn(disturb);
            loop {
                // Asked before, so that one good try comes after the end.
                let over = disturb.is_finished();
                match self.try_all() {
                    Ok(()) => {
                        longest = longest.max(good.elapsed());
                        good = Instant::now();
                        if over {
                            break;
                        }
                    }
                    Err(state) => {
                        assert!(good.elapsed() < PATIENCE, "cut off for {PATIENCE:?}: {state}");
                    }
                }
            }
            disturb.join().unwrap();
            longest
        })
    }

    /// Tries every way once, with flows that no connection tracking knows yet.
    fn try_all(&self) -> Result<(), String> {
        let outside = self.outside.to_string();
        ask(&self.one, at(self.web_address, 80), "web", None)?;
        ask(&self.one, at(self.outside_address, 80), &outside, Some(self.uplink))?;
        // NAT, that is, and not the daemon's own carrying.
        ask(&self.remote, at(self.uplink, 8080), "web", Some(self.remote_address))?;
        ask(&self.web, at(self.uplink, 8080), "web", None)
    }
}

/// Fails the test if an outage was too long.
#[track_caller]
fn assert_soon(outage: Duration, after: &str) {
    #[allow(clippy::print_stderr, reason = "only this way the test harness captures it")]
    {
        eprintln!("cut off for {outage:?} at most: {after}");
    }
    assert!(outage < SOON + SLACK, "cut off for {outage:?} after: {after}");
}

/// Fails the test unless our rules are in other people's chains again soon.
#[track_caller]
fn assert_passes(scene: &Scene, standing: &str, after: &str) {
    wait_for(&format!("our rules after: {after}"), SOON + SLACK, || {
        let is = scene.passes();
        if is == standing { Ok(()) } else { Err(format!("{is}\nand not\n{standing}")) }
    });
}

fn ask(from: &Place, to: SocketAddr, by: &str, seen: Option<IpAddr>) -> Result<(), String> {
    match from.flow().and_then(|flow| flow.ask_within(to, ANSWER)) {
        Ok(found) if found.by == by && seen.is_none_or(|seen| seen == found.from) => Ok(()),
        other => Err(format!("{from} at {to}: {other:?}")),
    }
}

/// Fails the test if anybody answers.
#[track_caller]
fn assert_silent(from: &Place, to: SocketAddr, when: &str) {
    if let Ok(seen) = from.flow().and_then(|flow| flow.ask_once(to)) {
        panic!("{from} reaches {seen:?} at {to} {when}");
    }
}

fn at(ip: impl Into<IpAddr>, port: u16) -> SocketAddr {
    SocketAddr::new(ip.into(), port)
}
