//! Running a command to its end, within a time limit.

use std::fmt;
use std::fs::File;
use std::io::{Seek, Write};
use std::os::unix::fs::FileExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open};

use crate::host::Core;
use crate::namespace::only_child;
use crate::process::{Process, raw};
use crate::wait::readable;

/// Every command's time limit unless it sets another.
pub(crate) const DEFAULT_LIMIT: Duration = Duration::from_secs(60);

/// How a command ended and what it said.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its exit status.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
}

impl Output {
    /// Whether it ended with 0.
    pub fn success(&self) -> bool {
        self.status.success()
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nstdout: {}\nstderr: {}", self.status, self.stdout, self.stderr)
    }
}

/// A command to run on a host; made by [`Host::exec`](crate::Host::exec).
#[must_use = "nothing runs before `run`, `output` or `spawn`"]
pub struct Exec<'h> {
    core: &'h Arc<Core>,
    argv: Vec<String>,
    env: Vec<(String, String)>,
    stdin: Option<Vec<u8>>,
    limit: Duration,
}

impl<'h> Exec<'h> {
    pub(crate) fn new(core: &'h Arc<Core>, argv: &[&str]) -> Self {
        Self {
            core,
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            env: Vec::new(),
            stdin: None,
            limit: DEFAULT_LIMIT,
        }
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Gives it these bytes to read; without, its input is empty.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// After this time [`run`](Self::run) and [`output`](Self::output) kill it
    /// and panic; 60 s unless set.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it and returns its output, without the last line's end.
    ///
    /// # Panics
    /// When it fails, with all it said.
    #[track_caller]
    pub fn run(self) -> String {
        let what = self.describe();
        let output = self.output();
        assert!(output.success(), "{what} failed: {output}");
        output.stdout.trim_end().to_owned()
    }

    /// Runs it and returns how it ended.
    ///
    /// # Panics
    /// When its time limit passes.
    #[track_caller]
    pub fn output(self) -> Output {
        let what = self.describe();
        let mut command = self.core.command();
        command.args(&self.argv).envs(self.env);
        bounded(command, self.stdin.as_deref(), self.limit, &what)
    }

    /// Starts it and lets it run. The time limit does not apply and it has no
    /// input.
    #[track_caller]
    pub fn spawn(self) -> Process {
        Process::spawn(self.core, &self.argv, &self.env)
    }

    fn describe(&self) -> String {
        format!("host {}: `{}`", self.core.name(), self.argv.join(" "))
    }
}

/// Runs a command that leads its own process group.
///
/// Its output goes to files, not pipes: a background process it leaves behind
/// keeps them open, and that must not keep us waiting.
#[track_caller]
pub(crate) fn bounded(
    mut command: Command,
    stdin: Option<&[u8]>,
    limit: Duration,
    what: &str,
) -> Output {
    let (stdout, stderr) = (file(b""), file(b""));
    let mut child = command
        .stdin(stdin.map_or_else(Stdio::null, |bytes| file(bytes).into()))
        .stdout(stdout.try_clone().expect("a second handle of a file"))
        .stderr(stderr.try_clone().expect("a second handle of a file"))
        .spawn()
        .unwrap_or_else(|error| panic!("{what} did not start: {error}"));
    let pid = Pid::from_child(&child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("a pidfd of a child");
    let in_time = readable(&pidfd, limit);
    if !in_time {
        // The program before nsenter, which is to reap it: the machine's init
        // may take its time, and the host's end would wait for that.
        if let Some(program) = only_child(child.id()) {
            let _ = kill_process(raw(program), Signal::KILL);
            readable(&pidfd, Duration::from_secs(1));
        }
        let _ = kill_process_group(pid, Signal::KILL);
    }
    let status = child.wait().expect("wait for a child");
    let output = Output { status, stdout: contents(&stdout), stderr: contents(&stderr) };
    assert!(in_time, "{what} was killed because it ran for more than {limit:?}: {output}");
    output
}

fn file(contents: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(contents).expect("write a temporary file");
    file.rewind().expect("rewind a file");
    file
}

/// Reads without moving the offset, which a process left behind may share.
fn contents(file: &File) -> String {
    let length = file.metadata().expect("the size of a file").len();
    let mut bytes = vec![0; usize::try_from(length).expect("an output that fits in memory")];
    file.read_exact_at(&mut bytes, 0).expect("read a temporary file");
    String::from_utf8_lossy(&bytes).into_owned()
}
