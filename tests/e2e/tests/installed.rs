//! Drivers that are installed, changed and removed while the daemon runs.

/// From registries, and by whom they are signed.
mod registry;

use std::fs;

use serde_json::{Value, json};
use wasmnet_e2e::{CHAOS, CURIOUS, Daemon, Plugin, binary, calls};
use wasmnet_lab::{Host, Lab, Output, wait_for};

/// A host with a daemon whose config is its own.
struct Bed {
    daemon: Daemon,
    host: Host,
    _lab: Lab,
}

impl Bed {
    fn new() -> Self {
        Self::with_config("")
    }

    fn with_config(config: &str) -> Self {
        let lab = Lab::new();
        let host = lab.host("a");
        let config = host.put("etc/config.toml", config);
        let daemon = Daemon::start_with(&host, &["--config", config.to_str().unwrap()]);
        Self { daemon, host, _lab: lab }
    }

    /// `wasmnet driver WORDS`; installed components go to a folder of the host's own.
    fn driver(&self, words: &[&str]) -> Output {
        let binary = binary();
        let mut argv = vec![binary.as_str(), "driver"];
        argv.extend(words);
        let components = self.host.path_in_data_dir("components").display().to_string();
        if ["install", "upgrade"].contains(&words[0]) {
            argv.extend(["--components", &components]);
        }
        self.host.try_run(&argv)
    }

    fn view(&self, name: &str) -> Option<Value> {
        let drivers = self.daemon.json(&["driver", "ls"]);
        drivers.as_array().unwrap().iter().find(|driver| driver["name"] == name).cloned()
    }

    /// The files of installed drivers.
    fn files(&self) -> Vec<String> {
        let names = |folder: &str| {
            let entries = fs::read_dir(self.host.path_in_data_dir(folder)).into_iter().flatten();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        let mut all: Vec<String> = names("etc/drivers.d");
        all.extend::<Vec<String>>(names("components"));
        all.sort();
        all
    }

    #[track_caller]
    fn assert_refused(&self, words: &[&str], says: &str) {
        let before = self.files();
        let output = self.driver(words);
        assert!(!output.success() && output.stderr.contains(says), "{words:?}: {output}");
        assert_eq!(self.files(), before, "{words:?} has left something");
    }
}

#[test]
fn a_driver_comes_changes_and_goes_while_the_daemon_runs() {
    let bed = Bed::new();
    let pid = bed.daemon.json(&["status"])["pid"].clone();
    let seen = bed.driver(&["inspect", CHAOS]);
    for says in ["chaos", "sha256:", "make bridges and veth pairs", "imports "] {
        assert!(seen.stdout.contains(says), "{seen}");
    }
    bed.assert_refused(&["install", CHAOS], "--grant-all-permissions does");
    let output = bed.driver(&["install", CHAOS, "--yes"]);
    assert!(output.success(), "{output}");
    let view = bed.view("chaos").unwrap();
    assert_eq!(view["granted"], view["wanted"], "{view}");

    let mut plugin = Plugin::connect(&bed.host, "chaos");
    plugin.call("NetworkDriver.CreateNetwork", &calls::network("n", 9, &json!({}))).ok();
    bed.assert_refused(&["install", CHAOS, "--yes"], "there is a driver chaos already");
    bed.assert_refused(&["remove", "chaos"], "driver chaos still has networks (n)");

    // Another component, and more that it asks for; the network stays.
    bed.assert_refused(&["upgrade", "chaos", CURIOUS], "send HTTP requests to *:*");
    let output = bed.driver(&["upgrade", "chaos", CURIOUS, "--grant-all-permissions"]);
    assert!(output.success(), "{output}");
    assert_ne!(bed.view("chaos").unwrap()["digest"], view["digest"]);
    assert_eq!(bed.files().len(), 2, "{:?}", bed.files());
    plugin.call("NetworkDriver.DeleteNetwork", &json!({ "NetworkID": "n" })).ok();

    let socket = "/run/docker/plugins/chaos.sock";
    assert!(bed.host.try_run(&["test", "-S", socket]).success());
    let output = bed.driver(&["remove", "chaos"]);
    assert!(output.success(), "{output}");
    assert!(bed.view("chaos").is_none());
    wait_for("the socket to go", std::time::Duration::from_secs(10), || {
        if bed.host.try_run(&["test", "-e", socket]).success() {
            Err("it is there")
        } else {
            Ok(())
        }
    });
    assert!(bed.files().is_empty(), "{:?}", bed.files());
    assert_eq!(bed.daemon.json(&["status"])["pid"], pid, "another daemon");
}

#[test]
fn what_cannot_be_installed_leaves_nothing() {
    let bed = Bed::new();
    let whole = fs::read(CHAOS).unwrap();
    let put = |name: &str, bytes: &[u8]| bed.host.put(name, bytes).display().to_string();
    let truncated = put("truncated.wasm", &whole[..whole.len() / 2]);
    let module = put("module.wasm", b"\0asm\x01\0\0\0");
    let text = put("text.wasm", b"not a component");
    for file in [&truncated, &module, &text] {
        bed.assert_refused(&["install", file, "--yes", "--name", "x"], "");
        assert!(bed.view("x").is_none());
    }
    let digest = format!("sha256:{}", "0".repeat(64));
    bed.assert_refused(
        &["install", CHAOS, "--yes", "--digest", &digest],
        "the component's digest is",
    );
    bed.assert_refused(&["install", "/nowhere.wasm", "--yes"], "cannot read /nowhere.wasm");
    bed.assert_refused(&["install", CHAOS, "--yes", "--name", "wasm-bridge"], "already");
    bed.assert_refused(&["upgrade", "wasm-bridge", CHAOS, "--yes"], "was not installed");
    bed.assert_refused(&["remove", "wasm-ipam"], "was not installed");
    bed.assert_refused(&["inspect", "nobody"], "there is no driver nobody");
    // A mistake in somebody else's file keeps all as it was, and is told with its place.
    bed.host.put("etc/drivers.d/other.toml", "componnent = \"x\"\n");
    bed.assert_refused(&["reload"], "other.toml, line 1");
    bed.assert_refused(&["install", CHAOS, "--yes"], "other.toml, line 1");
    assert!(bed.view("chaos").is_none());
}

#[test]
fn an_installed_driver_is_there_after_a_restart() {
    let mut bed = Bed::new();
    assert!(bed.driver(&["install", CHAOS, "--yes", "--name", "acme"]).success());
    bed.daemon.kill();
    bed.daemon.start_again();
    assert_eq!(bed.view("acme").unwrap()["ready"], true);
    // Bytes that somebody has changed are not loaded.
    let components = bed.host.path_in_data_dir("components");
    let file = fs::read_dir(&components).unwrap().next().unwrap().unwrap().path();
    fs::write(&file, fs::read(CURIOUS).unwrap()).unwrap();
    bed.daemon.kill();
    bed.daemon.start_again();
    let view = bed.view("acme").unwrap();
    assert_eq!(view["ready"], false, "{view}");
    assert!(view["reason"].as_str().unwrap().contains("digest"), "{view}");
}
