//! A set of namespaces that lives exactly as long as its owner.

use std::fs;
use std::io::{BufRead, BufReader, Read, Seek};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::needs;
use crate::wait::{readable, wait_for};

const LIMIT: Duration = Duration::from_secs(30);

/// Network, mount, process and host name namespaces, held by one "init" process.
///
/// Init is a `cat` that reads from a pipe whose other end only this process
/// has. When this process ends, however it does, `cat` sees the end of its
/// input and exits, and the kernel kills everything in init's pid namespace.
/// No network namespace has a name, so nothing keeps it after that.
pub(crate) struct Namespace {
    init: u32,
    /// `unshare`, init's parent; taken by the first `end`.
    keeper: Mutex<Option<(Child, ChildStdin)>>,
    /// Init's standard output; open, so that `cat` has no reason to fail.
    _stdout: ChildStdout,
}

impl Namespace {
    /// Makes the namespaces and runs `setup`, a shell script, in them.
    #[track_caller]
    pub(crate) fn new(setup: &str) -> Self {
        // Ignoring SIGCHLD survives exec and makes the kernel reap the orphans
        // that init inherits; `cat` would leave them as zombies, and an engine
        // takes a zombie containerd for a living one.
        let script = format!("set -e\n{setup}\necho ready\nexec env --ignore-signal=CHLD cat\n");
        let mut errors = tempfile::tempfile().expect("a temporary file");
        let mut keeper = Command::new("unshare")
            .args(["--net", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .args(["sh", "-c", &script])
            .env("PATH", needs::path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors.try_clone().expect("a second handle of a file"))
            .spawn()
            .expect("run unshare");
        let stdin = keeper.stdin.take().expect("stdin is a pipe");
        let mut stdout = BufReader::new(keeper.stdout.take().expect("stdout is a pipe"));
        let mut line = String::new();
        if readable(stdout.get_ref(), LIMIT) {
            stdout.read_line(&mut line).expect("read from a pipe");
        }
        if line != "ready\n" {
            let _ = keeper.kill();
            let _ = keeper.wait();
            let mut text = String::new();
            errors.rewind().expect("rewind a file");
            errors.read_to_string(&mut text).expect("read a file");
            panic!("the lab could not set up a namespace: {text}");
        }
        let init = only_child(keeper.id()).expect("unshare has one child");
        Self { init, keeper: Mutex::new(Some((keeper, stdin))), _stdout: stdout.into_inner() }
    }

    /// Init's pid as the machine sees it.
    pub(crate) fn init(&self) -> u32 {
        self.init
    }

    /// A command that will run inside. Its process group is its own, so that
    /// it can be killed with its children.
    pub(crate) fn command(&self) -> Command {
        let mut command = self.enter(&["--net", "--mount", "--uts", "--pid"]);
        command.arg("--");
        command
    }

    /// A command that will run with the machine's files and pids, but this
    /// network.
    pub(crate) fn network_command(&self) -> Command {
        let mut command = self.enter(&["--net"]);
        command.arg("--");
        command
    }

    fn enter(&self, namespaces: &[&str]) -> Command {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.init.to_string()]).args(namespaces);
        command.env("PATH", needs::path()).process_group(0);
        command
    }

    /// Ends every process in it and returns when they are gone.
    pub(crate) fn end(&self) {
        let taken = self.keeper.lock().unwrap_or_else(|poison| poison.into_inner()).take();
        let Some((mut keeper, stdin)) = taken else { return };
        drop(stdin);
        // Init is reaped only after the rest of its pid namespace.
        let ended = pidfd_open(Pid::from_child(&keeper), PidfdFlags::empty())
            .is_ok_and(|fd| readable(fd, LIMIT));
        if !ended {
            // Takes init with it (--kill-child).
            let _ = keeper.kill();
        }
        let _ = keeper.wait();
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.end();
    }
}

/// The one child of a process of one thread, once it is there.
#[track_caller]
pub(crate) fn wait_for_child(pid: u32) -> u32 {
    wait_for("a child process", LIMIT, || only_child(pid))
}

/// The first child of a process of one thread.
pub(crate) fn only_child(pid: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}
