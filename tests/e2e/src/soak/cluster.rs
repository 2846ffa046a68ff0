//! Faults at random in a cluster: hosts, their store and what is between them.
//!
//! Three hosts have one overlay network. On each a user starts and removes containers, and
//! containers with an address of their own go from host to host; meanwhile daemons are killed,
//! members of the store are killed or do nothing, and hosts are cut off from the store, from
//! each other or from both. After each round all is back, and soon every host must have
//! programmed what the others have, no address may be on two hosts, and everybody must reach
//! everybody.

mod checks;
mod faults;

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use wasmnet_lab::Host;

use self::faults::Faults;
use super::{ENOUGH, Options, keep, random::Random, report::Report, say};
use crate::Sites;

/// How long a round lasts, in milliseconds.
const ROUND: (usize, usize) = (8_000, 14_000);
/// No operation may take longer, whatever happens.
const LIMIT: Duration = Duration::from_secs(60);
/// Containers that stay on their host.
const CONTAINERS: usize = 4;
/// Containers that go from host to host.
const MOVERS: usize = 3;
/// The network.
const NETWORK: &str = "n";
/// Its 10.N.0.0/24.
const NUMBER: u8 = 73;
/// The generator of who makes faults.
const FAULTS: u64 = 2000;

/// A container that goes from host to host: the host that has it, if any. Held by whoever
/// moves it, so that nobody but the cluster itself could give its address to two.
type Mover = Mutex<Option<usize>>;

/// One of those who ask an engine.
struct User<'s> {
    site: usize,
    hosts: &'s [Host],
    movers: &'s [Mover],
    report: &'s Report,
    random: Random,
}

/// Lets users and faults at a cluster.
///
/// # Panics
/// With all that was wrong.
pub fn run(options: &Options) {
    say(&format!("seed {}", options.seed));
    let mut cluster = Sites::new(3, 3);
    cluster.network(NETWORK, NUMBER, "");
    let hosts: Vec<Host> = cluster.sites.iter().map(|site| site.host.clone()).collect();
    let movers: Vec<Mover> = (0..MOVERS).map(|_| Mutex::default()).collect();
    let report = Report::new();
    let mut round = 0;
    while report.elapsed() < options.time && report.findings().len() < ENOUGH {
        let seed = options.seed.wrapping_add(round);
        play(&mut cluster, &hosts, &movers, &report, seed);
        checks::all(&cluster, &report);
        say(&report.to_string());
        round += 1;
    }
    checks::remove_all(&cluster, &report);
    for site in &cluster.sites {
        super::read_log(&site.daemon, &report);
    }
    say(&report.to_string());
    let findings = report.findings();
    let kept = std::env::temp_dir().join(format!("wasmnet-soak-{}", options.seed));
    let kept = options.journal.clone().or_else(|| (!findings.is_empty()).then_some(kept));
    for site in kept.iter().flat_map(|_| &cluster.sites) {
        let folder = kept.iter().map(|folder| folder.join(site.host.name()));
        folder.for_each(|folder| keep(site, &report, &folder));
    }
    let kept = kept.unwrap_or_default();
    assert!(
        findings.is_empty(),
        "seed {}, journal in {}:\n{}",
        options.seed,
        kept.display(),
        findings.join("\n")
    );
}

/// A round: users ask, and faults come and go; at its end all is back.
fn play(cluster: &mut Sites, hosts: &[Host], movers: &[Mover], report: &Report, seed: u64) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for site in 0..hosts.len() {
            let random = Random::new(seed, u64::try_from(site).unwrap());
            let over = &over;
            scope.spawn(move || {
                let mut user = User { site, hosts, movers, report, random };
                while !over.load(Ordering::Relaxed) {
                    user.act();
                }
            });
        }
        let mut random = Random::new(seed, FAULTS);
        let end = Instant::now() + random.milliseconds(ROUND.0, ROUND.1);
        let mut faults = Faults::new(cluster, report, random);
        while Instant::now() < end {
            faults.step();
            thread::sleep(Duration::from_millis(100));
        }
        // Users go on while all comes back.
        faults.end();
        over.store(true, Ordering::Relaxed);
    });
}

// === impl User ===

impl User<'_> {
    /// Asks for one thing.
    fn act(&mut self) {
        if self.random.percent(30) {
            return self.move_one();
        }
        let name = format!("c{}", self.random.below(CONTAINERS));
        if self.random.percent(60) {
            self.start(&name, None);
        } else {
            self.remove(&name);
        }
        thread::sleep(self.random.milliseconds(0, 300));
    }

    /// Takes a container to this host.
    fn move_one(&mut self) {
        let number = self.random.below(MOVERS);
        let name = format!("m{number}");
        let Ok(mut holder) = self.movers[number].try_lock() else { return };
        if let Some(from) = *holder
            && !self.ask(from, "DELETE", &format!("/containers/{name}?force=1"), None)
        {
            return;
        }
        let address = format!("10.{NUMBER}.0.{}", 240 + number);
        // A start that fails may have been done.
        *holder = Some(self.site);
        if !self.start(&name, Some(&address)) && self.remove(&name) {
            *holder = None;
        }
    }

    fn start(&self, name: &str, address: Option<&str>) -> bool {
        let endpoint = json!({ "IPAMConfig": { "IPv4Address": address } });
        let body = json!({
            "Image": "busybox",
            "Cmd": ["sleep", "36000"],
            "StopSignal": "KILL",
            "HostConfig": { "NetworkMode": NETWORK },
            "NetworkingConfig": { "EndpointsConfig": { NETWORK: endpoint } },
        });
        let create = format!("/containers/create?name={name}");
        self.ask(self.site, "POST", &create, Some(&body))
            && self.ask(self.site, "POST", &format!("/containers/{name}/start"), None)
    }

    fn remove(&self, name: &str) -> bool {
        self.ask(self.site, "DELETE", &format!("/containers/{name}?force=1"), None)
    }

    /// Asks an engine, and says whether it was done.
    fn ask(&self, site: usize, method: &str, path: &str, body: Option<&serde_json::Value>) -> bool {
        let host = &self.hosts[site];
        let what = format!("host {}: {method} {path}", host.name());
        let started = Instant::now();
        let answer = host.try_docker_api(method, path, body, LIMIT);
        let took = started.elapsed();
        let said = match answer {
            Ok(answer) if answer.code < 400 => Ok(()),
            Ok(answer) => {
                let sentence = answer.body["message"].as_str().unwrap_or_default().to_owned();
                if sentence.trim().is_empty() {
                    self.report.find(format!("{what} failed without a sentence: {answer:?}"));
                }
                Err(sentence)
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
