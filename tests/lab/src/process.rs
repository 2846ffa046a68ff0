//! A program that keeps running on a host.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use crate::host::Core;
use crate::namespace::wait_for_child;
use crate::wait::readable;

/// Between two looks whether nsenter has stopped itself.
const NUDGE: Duration = Duration::from_millis(20);

/// A running program; killed when dropped. Made by
/// [`Host::spawn`](crate::Host::spawn).
#[must_use = "the program is killed when this is dropped"]
pub struct Process {
    /// Only held: the host lives as long as its programs.
    _core: Arc<Core>,
    what: String,
    /// `nsenter`, whose one child is the program and who ends as it ends.
    entry: Child,
    pid: u32,
    /// The program; does not become another when the pid is used again.
    pidfd: OwnedFd,
    log: PathBuf,
    status: Option<ExitStatus>,
}

impl Process {
    #[track_caller]
    pub(crate) fn spawn(core: &Arc<Core>, argv: &[String], env: &[(String, String)]) -> Self {
        let what = format!("host {}: `{}`", core.name(), argv.join(" "));
        let log = core.new_log(argv.first().expect("a program to run"));
        let file = File::options().create(true).append(true).open(&log).expect("open a log");
        let mut entry = core
            .command()
            // The program waits until its pid is known: it may be short-lived.
            .args(["sh", "-c", "read -r go && exec \"$@\" </dev/null", "sh"])
            .args(argv)
            .envs(env.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(file.try_clone().expect("a second handle of a file"))
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("{what} did not start: {error}"));
        let pid = wait_for_child(entry.id());
        let pidfd = pidfd_open(raw(pid), PidfdFlags::empty()).expect("a pidfd of a process");
        let mut gate = entry.stdin.take().expect("stdin is a pipe");
        gate.write_all(b"go\n").expect("write to a pipe");
        Self { _core: Arc::clone(core), what, entry, pid, pidfd, log, status: None }
    }

    /// The program's pid as the machine sees it (not its pid inside the host).
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal to the program; nothing happens when it has ended.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        match pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => panic!("{}: {signal:?} could not be sent: {error}", self.what),
        }
    }

    /// Whether it has not ended yet.
    pub fn is_running(&self) -> bool {
        !readable(&self.pidfd, Duration::ZERO)
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When `limit` passes, with the log's end.
    #[track_caller]
    pub fn wait_exit(&mut self, limit: Duration) -> ExitStatus {
        assert!(
            readable(&self.pidfd, limit),
            "{} did not end within {limit:?}; its log:\n{}",
            self.what,
            tail(&self.log())
        );
        self.reap()
    }

    /// Waits for nsenter once the program has ended.
    fn reap(&mut self) -> ExitStatus {
        let pidfd = pidfd_open(Pid::from_child(&self.entry), PidfdFlags::empty());
        while self.status.is_none() {
            // nsenter stops itself when the program is stopped, and would then
            // never tell how the program ended.
            let _ = kill_process(Pid::from_child(&self.entry), Signal::CONT);
            let _ = pidfd.as_ref().map(|pidfd| readable(pidfd, NUDGE));
            self.status = self.entry.try_wait().expect("wait for a child");
        }
        self.status.expect("the loop ends when it is set")
    }

    /// All it wrote to standard output and error so far.
    pub fn log(&self) -> String {
        self.log_end(u64::MAX)
    }

    /// The last bytes of it.
    pub fn log_end(&self, bytes: u64) -> String {
        let read = || {
            let (mut file, mut end) = (File::open(&self.log)?, Vec::new());
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
            file.read_to_end(&mut end).map(|_| end)
        };
        // Gone when the host is.
        read().map(|end: Vec<u8>| String::from_utf8_lossy(&end).into_owned()).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        // nsenter is not killed: the program's new parent would be the machine's
        // init, and the host's end would wait until that one reaps it.
        self.reap();
    }
}

/// The last lines of a log, which is where the reason is.
pub(crate) fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines.get(lines.len().saturating_sub(40)..).unwrap_or_default().join("\n")
}

/// A pid in the form that the system calls take.
pub(crate) fn raw(pid: u32) -> Pid {
    i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a pid")
}
