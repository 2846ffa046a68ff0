//! `wasmnet serve` on a test host.

use std::{path::PathBuf, process::ExitStatus, time::Duration};

use serde_json::Value;
use wasmnet_lab::{Host, Process, Signal, wait_for};

use crate::compiled;

/// How long the daemon may take to start or stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// A daemon and how to start it again.
pub struct Daemon {
    host: Host,
    wrapper: Vec<String>,
    arguments: Vec<String>,
    process: Process,
}

// === impl Daemon ===

impl Daemon {
    /// Starts the daemon with the built-in drivers and waits until it is ready.
    pub fn start(host: &Host) -> Self {
        Self::start_with(host, &[])
    }

    /// Starts the daemon with further arguments and waits until it is ready.
    pub fn start_with(host: &Host, arguments: &[&str]) -> Self {
        Self::start_by(host, &[], arguments)
    }

    /// The same by way of a program that becomes the daemon, as `setpriv` does.
    pub fn start_by(host: &Host, wrapper: &[&str], arguments: &[&str]) -> Self {
        compiled::lend(host);
        Self::start_cold(host, wrapper, arguments)
    }

    /// The same for a daemon that has to compile all its drivers.
    pub fn start_cold(host: &Host, wrapper: &[&str], arguments: &[&str]) -> Self {
        let owned = |words: &[&str]| words.iter().map(|&text| text.to_owned()).collect();
        let (wrapper, arguments): (Vec<String>, Vec<String>) = (owned(wrapper), owned(arguments));
        let process = spawn(host, &wrapper, &arguments);
        let daemon = Self { host: host.clone(), wrapper, arguments, process };
        daemon.wait_ready();
        compiled::keep(host);
        daemon
    }

    /// Kills it as a crash would.
    pub fn kill(&mut self) {
        self.process.signal(Signal::KILL);
        self.process.wait_exit(PATIENCE);
    }

    /// Stops it as an operator would.
    pub fn stop(&mut self) -> ExitStatus {
        self.process.signal(Signal::TERM);
        self.process.wait_exit(PATIENCE)
    }

    /// Starts it again after it was killed or stopped.
    pub fn start_again(&mut self) {
        self.process = spawn(&self.host, &self.wrapper, &self.arguments);
        self.wait_ready();
    }

    /// What it logged since it was last started.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What `wasmnet ARGUMENTS --json` prints.
    pub fn json(&self, arguments: &[&str]) -> Value {
        json(&self.host, arguments)
    }

    /// Waits until it answers.
    fn wait_ready(&self) {
        wait_for("the daemon to be ready", PATIENCE, || {
            assert!(self.process.is_running(), "the daemon ended:\n{}", self.process.log());
            self.host.try_run(&[&binary(), "status"]).success()
        });
    }
}

/// What `wasmnet ARGUMENTS --json` prints on a host.
pub fn json(host: &Host, arguments: &[&str]) -> Value {
    let binary = binary();
    let argv: Vec<&str> = [binary.as_str()].into_iter().chain(arguments.iter().copied()).collect();
    let output = host.run(&[argv.as_slice(), &["--json"]].concat());
    serde_json::from_str(&output).unwrap_or_else(|error| panic!("not JSON ({error}): {output}"))
}

/// The daemon's executable: what `WASMNET_LAB_DAEMON` names, or the one cargo built
/// beside this test.
pub fn binary() -> String {
    if let Ok(binary) = std::env::var("WASMNET_LAB_DAEMON") {
        return binary;
    }
    let tests = std::env::current_exe().unwrap();
    let profile = tests.ancestors().nth(2).unwrap();
    let binary: PathBuf = profile.join("wasmnet");
    assert!(binary.exists(), "{} is missing: run cargo build first", binary.display());
    binary.to_str().unwrap().to_owned()
}

fn spawn(host: &Host, wrapper: &[String], arguments: &[String]) -> Process {
    let command = serve(host);
    let argv = wrapper.iter().chain(&command).chain(arguments).map(String::as_str);
    host.exec(&argv.collect::<Vec<_>>()).env("WASMNET_LOG", "debug").spawn()
}

/// The command that runs the daemon on a host, further arguments left out.
pub fn serve(host: &Host) -> [String; 4] {
    let state = state_dir(host).to_str().unwrap().to_owned();
    [binary(), "serve".to_owned(), "--state-dir".to_owned(), state]
}

/// Where a host's daemon keeps its state.
pub fn state_dir(host: &Host) -> PathBuf {
    host.path_in_data_dir("state")
}
