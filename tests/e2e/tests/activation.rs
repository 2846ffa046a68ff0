//! Sockets that somebody keeps for the daemon, as systemd does: it ends, by itself or not, and
//! nobody notices.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use wasmnet_e2e::{BRIDGE, CHAOS, Unit, binary, driver_config, json, serve};
use wasmnet_lab::{Engine, Host, Lab, Process, wait_for};

/// How long something may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often the daemon is stopped while Docker works.
const RESTARTS: usize = 8;

/// A host with an engine, and a daemon whose sockets somebody keeps.
struct Kept {
    // Dropped in this order.
    keeper: Process,
    _engine: Engine,
    host: Host,
    _lab: Lab,
}

// === impl Kept ===

impl Kept {
    fn new() -> Self {
        let lab = Lab::new();
        let host = lab.host("a");
        let engine = host.start_engine();
        let config = host.put("config.toml", driver_config(&[("acme", CHAOS)]));
        let unit = Unit::read("wasmnet.socket");
        let sockets = unit.words("ListenStream");
        let serve = serve(&host);
        let mut argv = vec![env!("CARGO_BIN_EXE_wasmnet-keeper")];
        argv.extend(&sockets);
        argv.push("--");
        argv.extend(serve.iter().map(String::as_str));
        argv.extend(["--config", config.to_str().unwrap()]);
        let keeper = host.spawn(&argv);
        let kept = Self { keeper, _engine: engine, host, _lab: lab };
        kept.wait_told("READY=1", 1);
        kept
    }

    /// Waits until the daemons have told something this many times in all.
    fn wait_told(&self, what: &str, times: usize) {
        let line = format!("told {what}");
        wait_for(&format!("\"{line}\" {times} times"), PATIENCE, || {
            let log = self.keeper.log();
            if log.lines().filter(|told| **told == line).count() >= times {
                Ok(())
            } else {
                Err(log)
            }
        });
    }

    /// The daemon's pid, as the host sees it.
    fn pid(&self) -> u64 {
        json(&self.host, &["status"])["pid"].as_u64().unwrap()
    }

    /// Ends the daemon that runs, and returns when it has ended.
    fn end(&self, signal: &str) {
        let ended = || self.keeper.log().matches("ended ").count();
        let (before, pid) = (ended(), self.pid());
        self.host.run(&["kill", signal, &pid.to_string()]);
        wait_for("the daemon to end", PATIENCE, || {
            if ended() > before { Ok(()) } else { Err(self.keeper.log()) }
        });
    }

    /// Connections that wait in a driver's socket.
    fn waiting(&self, driver: &str) -> usize {
        let socket = format!("/run/docker/plugins/{driver}.sock");
        let listing = self.host.run(&["ss", "--no-header", "--listening", "--unix"]);
        let line = listing.lines().find(|line| line.contains(&socket));
        let line = line.unwrap_or_else(|| panic!("nobody listens on {socket}: {listing}"));
        line.split_whitespace().nth(2).unwrap().parse().unwrap()
    }

    fn docker(&self, command: &str) -> String {
        self.host.docker(&command.split_whitespace().collect::<Vec<_>>())
    }
}

#[test]
fn it_takes_the_sockets_it_is_given_and_leaves_them() {
    let kept = Kept::new();
    kept.wait_told("WATCHDOG=1", 2);
    let given = format!("/run/wasmnet/admin.sock\n/run/docker/plugins/{BRIDGE}.sock");
    let sockets = "find /run/wasmnet /run/docker/plugins -type s";
    // A driver of the operator's own has a socket that comes and goes.
    let found = kept.host.sh(sockets);
    assert!(given.lines().all(|socket| found.contains(socket)), "{found}");
    assert!(found.contains("/run/docker/plugins/acme.sock"), "{found}");
    kept.docker("network create --driver acme own");
    kept.docker("network rm own");

    kept.host.sh("touch /run/keeper.hold");
    kept.end("-TERM");
    kept.wait_told("STOPPING=1", 1);
    let found = kept.host.sh(sockets);
    assert!(given.lines().all(|socket| found.contains(socket)), "{found}");
    assert!(!found.contains("acme.sock"), "{found}");
    kept.host.sh("rm /run/keeper.hold");
    kept.wait_told("READY=1", 2);
    let status = kept.host.run(&[&binary(), "status"]);
    assert!(status.contains(BRIDGE), "{status}");
}

#[test]
fn what_docker_asks_while_no_daemon_runs_waits_in_the_socket() {
    let kept = Kept::new();
    kept.docker(&format!("network create --driver {BRIDGE} net1"));
    for signal in ["-TERM", "-KILL"] {
        kept.host.sh("touch /run/keeper.hold");
        kept.end(signal);
        thread::scope(|scope| {
            let run = scope.spawn(|| {
                let run = ["run", "--rm", "--network=net1", "busybox", "true"];
                kept.host.try_docker(&run)
            });
            wait_for("Docker to ask", PATIENCE, || kept.waiting(BRIDGE) > 0);
            kept.host.sh("rm /run/keeper.hold");
            let output = run.join().unwrap();
            assert!(output.success(), "docker run after kill {signal}: {output}");
        });
    }
    kept.docker("network rm net1");
}

#[test]
fn no_call_fails_while_the_daemon_is_restarted_again_and_again() {
    let kept = Kept::new();
    let (over, rounds) = (AtomicBool::new(false), std::sync::atomic::AtomicUsize::new(0));
    thread::scope(|scope| {
        let work = scope.spawn(|| {
            // However it ends.
            while !over.load(Ordering::Relaxed) {
                kept.docker(&format!("network create --driver {BRIDGE} net1"));
                kept.docker("run --rm --network net1 busybox true");
                kept.docker("network rm net1");
                rounds.fetch_add(1, Ordering::Relaxed);
            }
        });
        for restart in 0..RESTARTS {
            if work.is_finished() {
                break;
            }
            kept.end("-TERM");
            // In the middle of whatever Docker does then, and not always the same.
            let until = rounds.load(Ordering::Relaxed) + restart % 2;
            wait_for("the daemon and Docker to go on", PATIENCE, || {
                work.is_finished() || rounds.load(Ordering::Relaxed) >= until
            });
        }
        over.store(true, Ordering::Relaxed);
        work.join().unwrap();
    });
    assert!(rounds.load(Ordering::Relaxed) >= RESTARTS / 2);
    wait_for("nothing to be left", PATIENCE, || {
        let status = json(&kept.host, &["status"]);
        let keys = ["networks", "endpoints", "objects", "doomed"];
        if keys.iter().all(|key| status[key] == 0) { Ok(()) } else { Err(status.to_string()) }
    });
}
