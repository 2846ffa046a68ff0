//! Drivers that fail, in every method and every way: the user gets one sentence in
//! time, nothing is left behind, and nobody else notices.

use std::time::{Duration, Instant};

use wasmnet_e2e::{CHAOS, Site, driver_config};
use wasmnet_lab::{Output, assert_same_state, wait_for};

mod arriving;
mod beside;
mod compiling;
mod files;
mod leaving;
mod quarantine;

/// The ways to fail that every method has.
const WAYS: [&str; 5] = ["error", "trap", "panic", "loop", "memory"];

/// How long the user may have to wait: a call's deadline of 5 s once, and the engine's part.
const ONE_DEADLINE: Duration = Duration::from_secs(9);

/// How long something may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(15);

/// A site with the failing driver, and a network of another driver with two
/// containers on it that must not notice anything.
struct Scene {
    site: Site,
    /// The address of the second of the two.
    neighbour: String,
}

// === impl Scene ===

impl Scene {
    fn new() -> Self {
        let config = driver_config(&[("chaos", CHAOS)]);
        let site = Site::prepared(&["--config", "/run/chaos.toml"], |host| {
            host.exec(&["sh", "-c", "cat >/run/chaos.toml"]).stdin(config).run();
        });
        site.network("calm", "");
        site.container("calm1", "--network calm");
        site.container("calm2", "--network calm");
        let neighbour = site.address("calm2", "calm");
        Self { site, neighbour }
    }

    /// Makes a network whose driver fails in `method`.
    fn bad_network(&self, method: &str, how: &str) {
        self.site.docker(&format!("network create --driver chaos -o chaos={method}:{how} bad"));
    }

    /// Runs `docker` and says how long it took.
    fn timed(&self, command: &str) -> (Output, Duration) {
        let start = Instant::now();
        let output = self.site.try_docker(command);
        (output, start.elapsed())
    }

    /// Fails the test unless the other network works.
    fn assert_calm(&self) {
        self.site.assert_pings("calm1", &self.neighbour);
        self.site.assert_pings("calm1", &self.site.lab.outside().address().to_string());
    }

    /// The kernel's state.
    fn kernel(&self) -> String {
        self.site.host.netns_state()
    }

    /// Fails the test unless the kernel gets back to a state within a while; the engine
    /// finishes some things after its answer.
    #[track_caller]
    #[allow(clippy::print_stdout, reason = "shown when the test fails")]
    fn assert_back_to(&self, before: &str, case: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.kernel() != before && Instant::now() < deadline {}
        println!("{case}: comparing the kernel's state");
        assert_same_state(before, &self.kernel());
    }

    /// Networks, endpoints, kernel objects and stored keys that the daemon knows.
    fn ledger(&self) -> [u64; 4] {
        let status = self.site.daemon.json(&["status"]);
        ["networks", "endpoints", "objects", "keys"].map(|key| status[key].as_u64().unwrap())
    }

    /// Waits until the daemon knows just this, and has nothing left to delete.
    #[track_caller]
    fn wait_ledger(&self, expected: [u64; 4], case: &str) {
        wait_for(&format!("{case}: the ledger to be as before"), PATIENCE, || {
            let doomed = &self.site.daemon.json(&["status"])["doomed"];
            let found = self.ledger();
            if found == expected && doomed == 0 {
                Ok(())
            } else {
                Err(format!("{found:?} instead of {expected:?}, {doomed} doomed"))
            }
        });
    }
}

/// What the user is told when a method fails in a way.
fn sentence(method: &str, how: &str) -> String {
    match how {
        "error" => format!("chaos: chaos in {method}, as told"),
        "trap" | "panic" | "memory" => format!("chaos: the driver crashed in {method} ("),
        "loop" => format!("chaos: the driver did not answer within 5 s in {method}"),
        "label" => "chaos: ".to_owned(),
        "source" => format!("chaos: the driver's answer in {method} cannot be used: \"wn"),
        other => panic!("no sentence for {other}"),
    }
}

/// What else the log must have, for the driver's author.
fn hint(method: &str, how: &str) -> Option<String> {
    match how {
        "panic" => Some(format!("chaos in {method}, as told")),
        "memory" => Some("memory allocation of".to_owned()),
        _ => None,
    }
}

/// Fails the test unless what `docker` printed has the sentence, and has it once, in one line
/// and without what is only for the log.
#[track_caller]
fn assert_sentence(output: &Output, expected: &str, case: &str) {
    assert!(!output.success(), "{case}: docker succeeded: {output}");
    let lines: Vec<&str> = output.stderr.lines().filter(|line| line.contains(expected)).collect();
    assert_eq!(lines.len(), 1, "{case}: not one line with \"{expected}\": {output}");
    assert_eq!(output.stderr.matches(expected).count(), 1, "{case}: said twice: {output}");
    for noise in ["backtrace", "0x", "/rustc/", "<unknown>"] {
        assert!(!output.stderr.contains(noise), "{case}: \"{noise}\" is for the log: {output}");
    }
}
