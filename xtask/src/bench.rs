//! The bench: our bridge beside Docker's own, on one host, under one engine, in one run.
//!
//! Each repetition does a thing with the built-in driver, with ours and with the floor in turn,
//! so that what else the machine does hits all of them. What is compared is the ratio;
//! milliseconds are the machine's.

mod addresses;
mod attack;
mod chart;
mod crowd;
mod docker;
mod floor;
mod macvlan;
mod order;
mod overlay;
mod peers;
mod plugin;
mod report;
mod socket;
mod table;
mod traffic;

use std::env;
use std::io;
use std::path::PathBuf;

use rustix::process::geteuid;

use self::table::Table;
use crate::cargo::{self, Profile};
use crate::stage::{self, on_stage};
use crate::steps::{Failed, Live, Steps};
use crate::{install, rust};

/// Names a daemon to measure in place of the one that would be built.
const DAEMON: &str = "WASMNET_LAB_DAEMON";

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// How often each thing is done; the slowest ones less often
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Measure all again with 200 networks and 1000 published ports already there
    #[arg(long)]
    crowd: bool,
    /// Measure the daemon as users have it: to build that takes minutes more, once
    #[arg(long)]
    release: bool,
    /// Measure only this, and bring its sections of the report up to date
    #[arg(long, value_name = "PART")]
    only: Option<Part>,
}

/// What can be measured alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Latency and throughput.
    Traffic,
    /// Docker's operations.
    Docker,
    /// The plugin socket.
    Calls,
    /// CNI's plugins and netavark.
    Others,
    /// Addresses from wasm-ipam.
    Addresses,
    /// wasm-macvlan beside Docker's macvlan.
    Macvlan,
    /// Calls while another driver attacks.
    Attack,
    /// wasm-overlay beside Swarm's overlay.
    Overlay,
}

/// Why the bench could not begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Only root may.
    #[error(
        "the bench makes network namespaces and needs root: \
         sudo --preserve-env env \"PATH=$PATH\" cargo xtask bench"
    )]
    NotRoot,
    /// A step failed.
    #[error(transparent)]
    Step(#[from] Failed),
}

/// Why something could not be measured.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    /// The host is not as it should be.
    #[error(transparent)]
    Stage(#[from] stage::Error),
    /// Somebody said no.
    #[error("{what}: {said}")]
    Refused {
        /// What was asked.
        what: String,
        /// The answer.
        said: String,
    },
    /// A file or a socket.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it did not work.
        #[source]
        source: io::Error,
    },
}

/// Everything that was measured, in the order of the report.
struct Measured {
    docker: Table,
    crowd: Table,
    socket: Table,
    sandbox: Table,
    peers: Table,
    latency: Table,
    throughput: Table,
    alone: Table,
    addresses: Table,
    address_sandbox: Table,
    attack: Table,
    macvlan: Table,
    macvlan_traffic: Table,
    overlay: Table,
    convergence: Table,
}

/// Runs the bench and returns the exit code.
pub fn run(steps: &mut Steps, options: &Options) -> Result<u8, Error> {
    if !geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    steps.heading("On this machine");
    install::packages(steps, &[install::LAB, install::IPERF])?;
    let daemon = daemon(steps, options)?;
    if options.wants(Part::Overlay) {
        install::packages(steps, &[install::TESTS])?;
    }
    let mut measured = Measured::new();
    if options.only == Some(Part::Overlay) {
        return between_hosts(steps, options, daemon, measured);
    }
    let attacker = steps.step("build the attacker", attack::PACKAGE, attack::build)?;

    let played = on_stage(steps, "bench", daemon, |steps, stage| {
        let machine = order::measure(steps, options, stage, &attacker, &mut measured)?;
        if options.wants(Part::Overlay) {
            overlay::measure(steps, stage, &mut measured, options.repeat)?;
        }
        report::show(steps, &measured);
        match options.only {
            None => steps.step("write the report", "docs/bench.md docs/bench.svg", |_| {
                report::write(&machine, options, &measured)
            }),
            Some(_) => update(steps, &machine, options, &measured),
        }
    })?;
    Ok(u8::from(!played))
}

/// Measures only what is between hosts.
fn between_hosts(
    steps: &mut Steps,
    options: &Options,
    daemon: PathBuf,
    mut measured: Measured,
) -> Result<u8, Error> {
    let played = on_stage(steps, "bench", daemon, |steps, stage| {
        steps.step("start Docker's engine", "dockerd", |_| stage.start_engine())?;
        let machine =
            steps.step("ask what it is", "docker version", |_| report::Machine::ask(stage))?;
        overlay::measure(steps, stage, &mut measured, options.repeat)?;
        report::show(steps, &measured);
        update(steps, &machine, options, &measured)
    })?;
    Ok(u8::from(!played))
}

/// Brings the report up to date with a part that was measured alone.
fn update(
    steps: &mut Steps,
    machine: &report::Machine,
    options: &Options,
    measured: &Measured,
) -> Result<(), Failed> {
    steps.step("write the report", "docs/bench.md", |_| report::update(machine, options, measured))
}

/// The daemon's program.
fn daemon(steps: &mut Steps, options: &Options) -> Result<PathBuf, Failed> {
    if let Some(program) = env::var_os(DAEMON) {
        return Ok(PathBuf::from(program));
    }
    rust::target(steps)?;
    let profile = if options.release { Profile::Release } else { Profile::Development };
    steps.step("build the daemon", profile.command(), |live| cargo::build_daemon(live, profile))
}

/// Shows which repetition it is.
fn progress(live: &mut Live<'_>, done: u32, of: u32) {
    live.show(&format!("repetition {} of {of}", done + 1));
}

// === impl Options ===

impl Options {
    fn wants(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }

    /// The command that has them.
    fn command(&self) -> String {
        let part = self.only.as_ref().and_then(clap::ValueEnum::to_possible_value);
        let only = part.map(|part| format!(" --only {}", part.get_name())).unwrap_or_default();
        let flag = |has: bool, name: &str| if has { format!(" --{name}") } else { String::new() };
        format!(
            "cargo xtask bench{only} --repeat {}{}{}",
            self.repeat,
            flag(self.crowd, "crowd"),
            flag(self.release, "release")
        )
    }
}

// === impl Measured ===

impl Measured {
    fn new() -> Self {
        Self {
            docker: docker::table(),
            crowd: docker::crowd_table(),
            socket: socket::table(),
            sandbox: socket::sandbox_table(),
            peers: peers::table(),
            latency: traffic::latency_table(),
            throughput: traffic::throughput_table(),
            alone: traffic::alone_table(),
            addresses: addresses::table(),
            address_sandbox: addresses::sandbox_table(),
            attack: attack::table(),
            macvlan: macvlan::table(),
            macvlan_traffic: macvlan::traffic_table(),
            overlay: overlay::table(),
            convergence: overlay::convergence_table(),
        }
    }

    fn tables(&self) -> [&Table; 15] {
        [
            &self.docker,
            &self.crowd,
            &self.socket,
            &self.sandbox,
            &self.peers,
            &self.latency,
            &self.throughput,
            &self.alone,
            &self.addresses,
            &self.address_sandbox,
            &self.attack,
            &self.macvlan,
            &self.macvlan_traffic,
            &self.overlay,
            &self.convergence,
        ]
    }
}
