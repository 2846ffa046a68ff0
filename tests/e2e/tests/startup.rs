//! Starting the daemon: when it cannot, one sentence, exit code 1, and nothing changed.

use std::{os::unix::net::UnixListener, time::Duration};

use wasmnet_e2e::{BRIDGE, Bench, Plugin, binary, driver_config};
use wasmnet_lab::{Exec, Host, Lab, Output, assert_same_state};

/// How long a daemon may take to see that it cannot start.
const IN_TIME: Duration = Duration::from_secs(10);

/// Where a daemon of these tests could leave something.
const PLACES: &str = "/run /etc/docker";

/// A host on which a daemon is to fail, and the lab it is in.
struct Victim {
    host: Host,
    _lab: Lab,
}

// === impl Victim ===

impl Victim {
    fn new() -> Self {
        let lab = Lab::new();
        Self { host: lab.host("a"), _lab: lab }
    }

    /// Fails the test unless `wasmnet serve ARGUMENTS` fails as it should; returns its sentence.
    fn refused(&self, arguments: &[&str]) -> String {
        refused(&self.host, &self.host.path_in_data_dir("state").display().to_string(), arguments)
    }

    /// The same with a config file of these contents.
    fn refused_config(&self, contents: &str) -> String {
        let config = self.host.put("config.toml", contents);
        let config = config.to_str().unwrap();
        let sentence = self.refused(&["--config", config]);
        assert!(sentence.contains(config), "the sentence does not name the file: {sentence}");
        sentence
    }
}

/// Fails the test unless `wasmnet serve ARGUMENTS` on a host says one sentence, ends with 1 and
/// changes nothing; returns the sentence.
#[track_caller]
fn refused(host: &Host, state_dir: &str, arguments: &[&str]) -> String {
    let binary = binary();
    let argv = [&[binary.as_str(), "serve", "--state-dir", state_dir], arguments].concat();
    refused_command(host, state_dir, &argv)
}

#[track_caller]
fn refused_command(host: &Host, state_dir: &str, argv: &[&str]) -> String {
    let (kernel, files) = (host.netns_state(), files(host, state_dir));
    let output = bounded(host.exec(argv));
    assert_same_state(&kernel, &host.netns_state());
    let sentence = one_sentence(&output);
    let now = self::files(host, state_dir);
    let new: Vec<&str> = now.lines().filter(|line| !files.contains(line)).collect();
    assert_eq!(files, now, "files changed, {new:?} are new, though it said: {sentence}");
    sentence
}

fn bounded(command: Exec<'_>) -> Output {
    command.limit(IN_TIME).output()
}

/// The one sentence of a command that failed.
#[track_caller]
fn one_sentence(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "the exit code is not 1: {output}");
    assert!(!output.stderr.contains("panicked"), "{output}");
    assert_eq!(output.stdout, "", "errors belong to standard error: {output}");
    let lines: Vec<&str> =
        output.stderr.lines().filter(|line| line.starts_with("wasmnet: ")).collect();
    assert_eq!(lines.len(), 1, "not one line \"wasmnet: ...\": {output}");
    lines[0].to_owned()
}

/// Everything in the places where a daemon could leave something: kind, rights, name.
fn files(host: &Host, state_dir: &str) -> String {
    host.sh(&format!("find {PLACES} {state_dir} -printf '%y %m %p\\n' 2>/dev/null | sort || true"))
}

#[test]
fn a_config_file_with_mistakes_is_refused_with_line_and_column() {
    let victim = Victim::new();
    let sentence = victim.refused_config("[[driver]]\nname = \"acme\ncomponent = \"/a.wasm\"\n");
    assert!(sentence.contains("line 2, column "), "{sentence}");

    let misspelt = "[[driver]]\nname = \"acme\"\n  componnent = \"/a.wasm\"\n";
    let sentence = victim.refused_config(misspelt);
    assert!(sentence.contains("line 3, column 3"), "{sentence}");
    assert!(sentence.contains("componnent") && sentence.contains("`component`"), "{sentence}");

    let sentence = victim.refused_config("\n[drivers]\n");
    assert!(sentence.contains("line 2, column 2"), "{sentence}");
    assert!(sentence.contains("drivers"), "{sentence}");

    let sentence = victim.refused_config("[[driver]]\nname = \"a/b\"\ncomponent = \"/a.wasm\"\n");
    assert!(sentence.contains("line 2") && sentence.contains("a/b"), "{sentence}");

    let sentence = victim.refused_config("[[driver]]\nname = \"acme\"\n");
    assert!(sentence.contains("driver acme has no component"), "{sentence}");

    let wrong = "[[driver]]\nname = \"acme\"\ncomponent = \"/a\"\ngrants = { link = [] }\n";
    let sentence = victim.refused_config(wrong);
    assert!(sentence.contains("line 4, column 12") && sentence.contains("`link`"), "{sentence}");

    let component = victim.host.put("a.wasm", "");
    let component = component.to_str().unwrap();
    let twice = driver_config(&[("acme", component), ("acme", component)]);
    let sentence = victim.refused_config(&twice);
    assert!(sentence.contains("another driver is called acme"), "{sentence}");
}

#[test]
fn files_that_are_missing_are_named() {
    let victim = Victim::new();
    let sentence = victim.refused(&["--config", "/nowhere/config.toml"]);
    assert!(sentence.contains("/nowhere/config.toml"), "{sentence}");
    assert!(sentence.contains("No such file"), "{sentence}");

    let config = victim.host.put("config.toml", driver_config(&[("acme", "/nowhere/a.wasm")]));
    let sentence = victim.refused(&["--config", config.to_str().unwrap()]);
    assert!(sentence.contains("acme") && sentence.contains("/nowhere/a.wasm"), "{sentence}");

    // Whoever opened it would wait for somebody who writes.
    let pipe = victim.host.path_in_data_dir("pipe.wasm");
    let pipe = pipe.to_str().unwrap();
    victim.host.run(&["mkfifo", pipe]);
    let config = victim.host.put("config.toml", driver_config(&[("acme", pipe)]));
    let sentence = victim.refused(&["--config", config.to_str().unwrap()]);
    assert!(sentence.contains("it is no file"), "{sentence}");
}

#[test]
fn folders_that_cannot_be_used_are_named() {
    let victim = Victim::new();
    let file = victim.host.put("file", "");
    let file = file.to_str().unwrap();
    victim.host.sh("mkdir /run/fixed; mount -t tmpfs -o ro none /run/fixed");

    for plugin_dir in [file, "/run/fixed/plugins"] {
        let sentence = victim.refused(&["--plugin-dir", plugin_dir]);
        assert!(sentence.contains(plugin_dir), "{sentence}");
    }
    for run_dir in [file, "/run/fixed/wasmnet"] {
        let sentence = victim.refused(&["--run-dir", run_dir]);
        assert!(sentence.contains(run_dir), "{sentence}");
    }
}

#[test]
fn a_state_directory_that_cannot_be_used_is_named() {
    let victim = Victim::new();
    let file = victim.host.put("file", "");
    victim.host.sh("mkdir /run/fixed; mount -t tmpfs -o ro none /run/fixed");
    for state_dir in [file.to_str().unwrap(), "/run/fixed/state"] {
        let sentence = refused(&victim.host, state_dir, &[]);
        assert!(sentence.contains(state_dir), "{sentence}");
    }
}

#[test]
fn a_socket_path_that_is_too_long_is_refused() {
    const LONGEST: &str = "wasm-macvlan";
    let victim = Victim::new();
    let folder_for = |length: usize| {
        let rest = length - "/run/".len() - "/.sock".len() - LONGEST.len();
        format!("/run/{}", "x".repeat(rest))
    };
    let sentence = victim.refused(&["--plugin-dir", &folder_for(108)]);
    assert!(sentence.contains("longer than"), "{sentence}");

    // Whatever the limit is said to be, the path is beyond it.
    for length in 100..108 {
        let folder = folder_for(length);
        let binary = binary();
        let state = victim.host.path_in_data_dir("state");
        let serve = format!(
            "timeout --signal TERM --preserve-status 2 {binary} serve --state-dir {} --plugin-dir {folder}",
            state.display()
        );
        let output = bounded(victim.host.exec(&["sh", "-c", &serve]));
        if output.success() {
            continue;
        }
        let sentence = one_sentence(&output);
        let limit: Option<usize> = sentence
            .split_once("longer than ")
            .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        let limit = limit.unwrap_or_else(|| panic!("no limit is named: {sentence}"));
        assert!(length > limit, "a path of {length} bytes was refused: {sentence}");
    }
}

#[test]
fn a_socket_that_another_program_has_is_left_alone() {
    let victim = Victim::new();
    let path = victim.host.path_in_run(format!("docker/plugins/{BRIDGE}.sock"));
    let _other = UnixListener::bind(&path).unwrap();
    let sentence = victim.refused(&[]);
    assert!(sentence.contains("is in use by another program"), "{sentence}");
    assert!(sentence.contains(&format!("/run/docker/plugins/{BRIDGE}.sock")), "{sentence}");
}

#[test]
fn a_file_in_a_sockets_place_is_left_alone() {
    let victim = Victim::new();
    victim.host.sh(&format!("echo precious >/run/docker/plugins/{BRIDGE}.sock"));
    let sentence = victim.refused(&[]);
    assert!(sentence.contains("is no socket"), "{sentence}");
    let contents = victim.host.sh(&format!("cat /run/docker/plugins/{BRIDGE}.sock"));
    assert_eq!(contents, "precious");
}

#[test]
fn a_second_daemon_does_not_disturb_the_first() {
    let bench = Bench::new(&[]);
    let state = bench.host.path_in_data_dir("state").display().to_string();
    let other_state = bench.host.path_in_data_dir("state2").display().to_string();
    bench.host.sh("mkdir /run/plugins2 /run/wasmnet2");
    let other_sockets = ["--plugin-dir", "/run/plugins2", "--run-dir", "/run/wasmnet2"];

    let sentence = refused(&bench.host, &state, &other_sockets);
    assert!(sentence.contains("another wasmnet daemon uses state directory"), "{sentence}");
    assert!(sentence.contains(&state), "{sentence}");

    let sentence = refused(&bench.host, &other_state, &["--run-dir", "/run/wasmnet2"]);
    assert!(sentence.contains("in use"), "{sentence}");
    let sentence = refused(&bench.host, &other_state, &["--plugin-dir", "/run/plugins2"]);
    assert!(sentence.contains("in use"), "{sentence}");
    refused(&bench.host, &state, &[]);

    bench.plugin(BRIDGE).ask("Plugin.Activate").ok();
    bench.daemon.json(&["status"]);
}

#[test]
fn without_the_right_to_make_networks_it_says_so() {
    let victim = Victim::new();
    let (binary, state) = (binary(), victim.host.path_in_data_dir("state").display().to_string());
    let argv = [
        "setpriv",
        "--bounding-set=-net_admin",
        "--inh-caps=-net_admin",
        &binary,
        "serve",
        "--state-dir",
        &state,
    ];
    let sentence = refused_command(&victim.host, &state, &argv);
    assert!(sentence.contains("CAP_NET_ADMIN"), "{sentence}");
}

#[test]
fn wrong_usage_ends_with_2() {
    let victim = Victim::new();
    let binary = binary();
    let wrong: [&[&str]; 7] = [
        &[],
        &["serve", "--nonsense"],
        &["serve", "--config"],
        &["serve", "extra"],
        &["nonsense"],
        &["network"],
        &["network", "inspect"],
    ];
    for arguments in wrong {
        let argv = [&[binary.as_str()], arguments].concat();
        let output = bounded(victim.host.exec(&argv));
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output}");
        assert!(output.stderr.contains("--help"), "{arguments:?} without a way on: {output}");
    }
}

#[test]
fn sockets_left_by_a_killed_daemon_are_replaced() {
    let mut bench = Bench::new(&[]);
    bench.daemon.kill();
    let sockets =
        ["/run/wasmnet/admin.sock".to_owned(), format!("/run/docker/plugins/{BRIDGE}.sock")];
    let listing = bench.host.sh("ls /run/wasmnet /run/docker/plugins");
    for socket in &sockets {
        let file = socket.rsplit('/').next().unwrap();
        let left = bench.host.try_run(&["test", "-S", socket]).success();
        assert!(left, "a killed daemon leaves {file} behind: {listing}");
    }
    bench.daemon.start_again();
    let mut plugin = Plugin::connect(&bench.host, BRIDGE);
    assert_eq!(plugin.ask("Plugin.Activate").ok()["Implements"][0], "NetworkDriver");

    bench.daemon.stop();
    for socket in &sockets {
        let left = bench.host.try_run(&["test", "-e", socket]).success();
        assert!(!left, "a daemon that was stopped leaves {socket} behind");
    }
    bench.daemon.start_again();
    bench.plugin(BRIDGE).ask("Plugin.Activate").ok();
}
