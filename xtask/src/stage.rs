//! The throw-away host that demo and bench run on.
//!
//! The lab is made for tests and panics when something fails. Here such a panic ends a
//! step, no more: the reader gets its text, and the host is still removed.

use std::io;
use std::net::Ipv4Addr;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::cli::chain;
use crate::command::tail;
use crate::steps::{Failed, Steps};
use crate::terminal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use wasmnet_lab::{Engine, Host, Lab, Process, Signal, wait_for};

/// How long the daemon may take to start, and to stop.
const LIMIT: Duration = Duration::from_secs(30);

/// What the daemon makes when it is ready, in the host's /run.
const SOCKET: &str = "docker/plugins/wasm-bridge.sock";

/// Why something on the host did not work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lab could not do it.
    #[error("{0}")]
    Lab(String),
    /// A command failed.
    #[error("`{command}` failed ({status})\n{said}")]
    Command {
        /// The command.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        said: String,
    },
    /// The daemon ended by itself.
    #[error("the daemon ended")]
    DaemonEnded,
    /// The daemon stopped with an error.
    #[error("the daemon stopped with an error ({0})")]
    DaemonFailed(ExitStatus),
    /// Signals cannot be caught.
    #[error("cannot catch signals")]
    Signals(#[source] io::Error),
    /// The user has seen enough.
    #[error("interrupted")]
    Interrupted,
}

/// A host, and what runs on it.
pub struct Stage {
    // In the order in which they are to end.
    daemon: Option<Process>,
    engine: Option<Engine>,
    host: Host,
    lab: Lab,
    /// The daemon's program.
    program: PathBuf,
    interrupted: Arc<AtomicBool>,
}

// === impl Stage ===

impl Stage {
    /// Makes a host of this name, for a daemon of this program.
    pub fn new(name: &str, program: PathBuf) -> Result<Self, Error> {
        let interrupted = Arc::new(AtomicBool::new(false));
        // From here on there is something to clean up.
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted))
                .map_err(Error::Signals)?;
        }
        let (lab, host) = contained(|| {
            let lab = Lab::new();
            let host = lab.host(name);
            (lab, host)
        })?;
        Ok(Self { daemon: None, engine: None, host, lab, program, interrupted })
    }

    /// Starts dockerd and waits until it answers.
    pub fn start_engine(&mut self) -> Result<(), Error> {
        self.go_on()?;
        self.engine = Some(contained(|| self.host.start_engine())?);
        Ok(())
    }

    /// Starts the daemon, which is to log this and has this configuration, and waits until
    /// Docker can use it.
    pub fn start_daemon(&mut self, log: &str, config: &str) -> Result<(), Error> {
        self.go_on()?;
        // /run is the host's own. State and config are not, and the machine may have its
        // own daemon.
        let daemon = contained(|| {
            let state = self.host.path_in_data_dir("wasmnet");
            let config = self.host.put("wasmnet.toml", config);
            let program = self.program.to_string_lossy();
            let (state, config) = (state.to_string_lossy(), config.to_string_lossy());
            let words = [&program, "serve", "--state-dir", &state, "--config", &config];
            self.host.exec(&words).env("WASMNET_LOG", log).spawn()
        })?;
        let daemon = self.daemon.insert(daemon);
        let socket = self.host.path_in_run(SOCKET);
        contained(|| {
            wait_for("the daemon's socket", LIMIT, || match socket.exists() {
                true => Some(Ok(())),
                false => (!daemon.is_running()).then_some(Err(Error::DaemonEnded)),
            })
        })?
    }

    /// Stops the daemon as a service manager does.
    pub fn stop_daemon(&mut self) -> Result<(), Error> {
        self.go_on()?;
        let Some(daemon) = self.daemon.as_mut() else { return Ok(()) };
        let status = contained(|| {
            daemon.signal(Signal::TERM);
            daemon.wait_exit(LIMIT)
        })?;
        if status.success() { Ok(()) } else { Err(Error::DaemonFailed(status)) }
    }

    /// Runs a command of plain words and returns what it prints.
    pub fn run(&self, command: &str) -> Result<String, Error> {
        self.go_on()?;
        let words: Vec<&str> = command.split_whitespace().collect();
        let output = contained(|| self.host.try_run(&words))?;
        if output.success() {
            return Ok(output.stdout.trim_end().to_owned());
        }
        // Some say on standard output what is wrong.
        let said = if output.stderr.is_empty() { output.stdout } else { output.stderr };
        Err(Error::Command { command: command.to_owned(), status: output.status, said })
    }

    /// Does something with the host. A panic of the lab becomes an error.
    pub fn on<T>(&self, act: impl FnOnce(&Host) -> T) -> Result<T, Error> {
        self.go_on()?;
        contained(|| act(&self.host))
    }

    /// Makes one more host, without an engine.
    pub fn another_host(&self, name: &str) -> Result<Host, Error> {
        self.go_on()?;
        contained(|| self.lab.host(name))
    }

    /// The daemon's program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The way from here to a file in the host's /run.
    pub fn path_in_run(&self, path: &str) -> PathBuf {
        self.host.path_in_run(path)
    }

    /// The host that is outside.
    pub fn outside_host(&self) -> &Host {
        self.lab.outside()
    }

    /// Somebody on the host's network who is not the host.
    pub fn outside(&self) -> Ipv4Addr {
        self.lab.outside().address()
    }

    /// All that the daemon logged, if it was started.
    pub fn daemon_log(&self) -> Option<String> {
        self.daemon.as_ref().map(Process::log)
    }

    /// The last bytes of it: all may be long, and whoever reads it has everybody else's data
    /// leave the processor's cache.
    pub fn daemon_log_end(&self, bytes: u64) -> String {
        self.daemon.as_ref().map(|daemon| daemon.log_end(bytes)).unwrap_or_default()
    }

    /// Removes the host with all that is on it.
    pub fn end(self) -> Result<(), Error> {
        contained(|| drop(self))
    }

    /// Whether the user has seen enough.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    fn go_on(&self) -> Result<(), Error> {
        if self.is_interrupted() { Err(Error::Interrupted) } else { Ok(()) }
    }
}

/// Makes a host, plays on it and removes it, whatever happened. Says whether all went well;
/// what did not has been told then.
pub fn on_stage(
    steps: &mut Steps,
    name: &str,
    daemon: PathBuf,
    play: impl FnOnce(&mut Steps, &mut Stage) -> Result<(), Failed>,
) -> Result<bool, Failed> {
    steps.heading("On a throw-away host");
    let make = "unshare --net --mount --uts --pid";
    let mut stage = steps.step("make the host", make, |_| Stage::new(name, daemon))?;
    let played = play(steps, &mut stage);
    if let Err(failed) = &played {
        if stage.is_interrupted() {
            terminal::error("interrupted");
        } else {
            terminal::error(&chain(failed));
            if let Some(log) = stage.daemon_log() {
                terminal::excerpt("the end of the daemon's log", &tail(&log));
            }
        }
    }
    steps.step("remove the host", "exit", |_| stage.end())?;
    Ok(played.is_ok())
}

/// Turns a panic into an error, without the usual printing.
pub fn contained<T>(act: impl FnOnce() -> T) -> Result<T, Error> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let done = panic::catch_unwind(AssertUnwindSafe(act));
    panic::set_hook(hook);
    done.map_err(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
        Error::Lab(text.unwrap_or("the lab panicked").to_owned())
    })
}
