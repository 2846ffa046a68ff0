//! In which order things are measured: what is compared comes close together, or half before and
//! half after what it is compared with; and what nobody can tidy up quickly comes last.

use std::ops::Range;
use std::path::Path;

use super::docker::{self, Docker};
use super::{
    Measured, Options, Part, addresses, attack, crowd, floor, macvlan, peers, report, socket,
    traffic,
};
use crate::cli::chain;
use crate::stage::Stage;
use crate::steps::{Failed, Steps};

/// Measures everything and returns what the machine is.
pub fn measure(
    steps: &mut Steps,
    options: &Options,
    stage: &mut Stage,
    attacker: &Path,
    measured: &mut Measured,
) -> Result<report::Machine, Failed> {
    steps.step("start Docker's engine", "dockerd", |_| stage.start_engine())?;
    let config = attack::config(attacker);
    steps
        .step("start the daemon", "wasmnet serve", |_| stage.start_daemon(socket::LOG, &config))?;
    let machine =
        steps.step("ask what it is", "docker version", |_| report::Machine::ask(stage))?;

    measure_drivers(steps, options, stage, measured)?;
    steps.step("stop the daemon", "kill -TERM", |_| stage.stop_daemon())?;
    Ok(machine)
}

/// Measures what takes engine and daemon, and those who do without.
fn measure_drivers(
    steps: &mut Steps,
    options: &Options,
    stage: &Stage,
    measured: &mut Measured,
) -> Result<(), Failed> {
    let repeat = options.repeat;
    let theirs = Docker::new(stage, docker::BUILT_IN_NAME);
    let ours = Docker::new(stage, "wasm-bridge");
    let (floor, nothing) = (Docker::new(stage, floor::NAME), Docker::new(stage, floor::NOTHING));
    let all = [
        (&theirs, docker::BUILT_IN),
        (&ours, docker::OURS),
        (&floor, docker::FLOOR),
        (&nothing, docker::NOTHING),
    ];
    if options.wants(Part::Traffic) {
        // Before the other networks: each driver's traffic is to find its own firewall only.
        steps.step("measure traffic", "iperf3", |live| {
            traffic::measure(live, stage, measured, repeat, &all[..2])
        })?;
    }
    steps.step(
        "start the floor",
        "a driver that does little, and one that does nothing",
        |_| floor::start(stage),
    )?;
    if options.wants(Part::Docker) {
        steps.step("measure first networks", "docker network create, rm", |live| {
            docker::measure_first(live, &mut measured.docker, repeat, &all)
        })?;
    }
    for (docker, _) in all {
        let command = format!("docker network create --driver {} …", docker.driver());
        steps.step("get ready", &command, |_| docker.prepare())?;
    }
    // What is compared with a crowd is done half before and half after it: the machine is not
    // the same for half an hour.
    let before = 0..if options.crowd { repeat.div_ceil(2) } else { repeat };
    let after = before.end..repeat;
    measure_alone(steps, options, stage, measured, &all, before)?;
    if options.crowd {
        let [_, ours_and_below @ ..] = &all;
        measure_in_our_crowd(steps, options, stage, measured, ours_and_below)?;
        measure_alone(steps, options, stage, measured, &all, after)?;
    }
    if options.wants(Part::Others) {
        peers::measure(steps, stage, &mut measured.peers, repeat)?;
    }
    if options.wants(Part::Macvlan) {
        steps.step("measure macvlan", "docker network, start, stop; iperf3", |live| {
            macvlan::measure(live, stage, measured, repeat)
        })?;
    }
    if options.wants(Part::Attack) {
        steps.step("measure under attack", "wasm-bridge.sock, hostile.sock", |live| {
            attack::measure(live, stage, measured, repeat)
        })?;
    }
    if options.wants(Part::Addresses) {
        // After the others: it makes the daemon's log and store long.
        steps.step("measure addresses", "wasm-ipam.sock", |live| {
            addresses::measure(live, stage, measured, repeat)
        })?;
    }
    if options.crowd && options.wants(Part::Docker) {
        // The last: it takes minutes to remove, and so goes with the host.
        steps.step("make a crowd", crowd::WHAT, |live| crowd::make(live, stage, &theirs, 201))?;
        steps.step("measure in the crowd", "docker network, start, rm", |live| {
            docker::measure(live, &mut measured.crowd, 0..repeat, &[(&theirs, docker::BUILT_IN)])
        })?;
        docker::compare(&mut measured.crowd, &measured.docker);
    }
    // The rest of what is there goes with the host.
    for docker in [&ours, &floor, &nothing] {
        let command = format!("docker rm --force {} …", docker.name("idle"));
        // Nothing measured is lost if this fails, but it is told.
        if let Err(failed) = steps.step("clean up", &command, |_| docker.clear()) {
            if stage.is_interrupted() {
                return Err(failed);
            }
            steps.say(&format!("  {}", chain(&failed)));
        }
    }
    Ok(())
}

/// Measures the drivers and the calls on a host with little on it.
fn measure_alone(
    steps: &mut Steps,
    options: &Options,
    stage: &Stage,
    measured: &mut Measured,
    drivers: &[(&Docker<'_>, usize)],
    rounds: Range<u32>,
) -> Result<(), Failed> {
    if rounds.is_empty() {
        return Ok(());
    }
    if options.wants(Part::Calls) {
        steps.step("measure the calls", "wasm-bridge.sock", |live| {
            socket::measure(live, stage, measured, &rounds, socket::EMPTY)
        })?;
    }
    if options.wants(Part::Docker) {
        steps.step("measure the drivers", "docker network, start, rm", |live| {
            docker::measure(live, &mut measured.docker, rounds, drivers)
        })?;
    }
    Ok(())
}

/// Measures our driver, the first of these, and what is below it, beside much that is of ours.
fn measure_in_our_crowd(
    steps: &mut Steps,
    options: &Options,
    stage: &Stage,
    measured: &mut Measured,
    drivers: &[(&Docker<'_>, usize); 3],
) -> Result<(), Failed> {
    let (repeat, [(ours, _), ..]) = (options.repeat, drivers);
    steps.step("make a crowd", crowd::WHAT, |live| crowd::make(live, stage, ours, 200))?;
    if options.wants(Part::Calls) {
        steps.step("measure the calls", "wasm-bridge.sock", |live| {
            socket::measure(live, stage, measured, &(0..repeat), socket::CROWD)
        })?;
    }
    if options.wants(Part::Docker) {
        steps.step("measure in the crowd", "docker network, start, rm", |live| {
            docker::measure(live, &mut measured.crowd, 0..repeat, drivers)
        })?;
    }
    steps.step("remove the crowd", crowd::WHAT, |live| crowd::remove(live, stage, ours))
}
