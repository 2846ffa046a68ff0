//! The demo: the whole way from `docker network create` to a packet that leaves the host.
//!
//! It is the story that the README tells, on a host that is thrown away afterwards, so
//! that a reader can see it without giving us the machine's own network.

use rustix::process::geteuid;

use crate::cargo::{self, Profile};
use crate::stage::{Stage, on_stage};
use crate::steps::{Failed, Steps};
use crate::{install, rust};

/// Why the demo could not begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Only root may.
    #[error(
        "the demo makes network namespaces and needs root: \
         sudo --preserve-env env \"PATH=$PATH\" cargo xtask demo"
    )]
    NotRoot,
    /// A step before the curtain failed.
    #[error(transparent)]
    Step(#[from] Failed),
}

/// Runs the demo and returns the exit code.
pub fn run(steps: &mut Steps) -> Result<u8, Error> {
    if !geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    steps.heading("On this machine");
    install::packages(steps, &[install::LAB])?;
    rust::target(steps)?;
    let profile = Profile::Development;
    let daemon = steps
        .step("build the daemon", profile.command(), |live| cargo::build_daemon(live, profile))?;

    let played = on_stage(steps, "demo", daemon, play)?;
    if played {
        steps.say(&format!(
            "Two containers talked over a network that a WebAssembly component made ({}).",
            steps.elapsed()
        ));
    }
    Ok(u8::from(!played))
}

/// What happens on the host.
fn play(steps: &mut Steps, stage: &mut Stage) -> Result<(), Failed> {
    steps.step("start Docker's engine", "dockerd", |_| stage.start_engine())?;
    steps.step("start the daemon", "wasmnet serve", |_| stage.start_daemon("info", ""))?;
    run_on(steps, stage, "create a network", "docker network create --driver wasm-bridge net1")?;
    for (what, name) in [("start a container", "c1"), ("start another", "c2")] {
        let command = format!("docker run -d --name {name} --network net1 busybox sleep 600");
        run_on(steps, stage, what, &command)?;
    }

    run_on(steps, stage, "ping it by name", "docker exec c1 ping -c 1 c2")?;
    let address = "docker exec c2 hostname -i";
    let address = run_on(steps, stage, "ask for its address", address)?;
    run_on(steps, stage, "ping it by address", &format!("docker exec c1 ping -c 1 {address}"))?;
    let outside = stage.outside();
    run_on(steps, stage, "ping out of the host", &format!("docker exec c1 ping -c 1 {outside}"))?;

    steps.heading("Cleaning up");
    run_on(steps, stage, "remove the containers", "docker rm --force c1 c2")?;
    run_on(steps, stage, "remove the network", "docker network rm net1")?;
    steps.step("stop the daemon", "kill -TERM", |_| stage.stop_daemon())
}

/// A step that is one command on the host.
fn run_on(steps: &mut Steps, stage: &Stage, what: &str, command: &str) -> Result<String, Failed> {
    steps.step(what, command, |_| stage.run(command))
}
