//! One test host.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::engine::{Engine, EngineOptions};
use crate::exec::{DEFAULT_LIMIT, Exec, Output};
use crate::namespace::Namespace;
use crate::process::{Process, tail};
use crate::switch::{self, Switch};
use crate::{Answer, api, cgroup, engine, janitor, state};

/// What a host has before its uplink. Its /run is fresh: sockets, locks and
/// state of engine and daemon are at their usual places and yet its own. So is
/// /etc/docker, where the engine writes a key and reads the machine's settings.
/// /sys stays: mounted again, it has no cgroups.
const SETUP: &str = "
mount -t tmpfs -o mode=755 lab-run /run
mkdir -p /run/lock /run/docker/plugins /etc/docker
mount -t tmpfs -o mode=755 lab-etc-docker /etc/docker
# As on a host with systemd: what an engine mounts reaches its plugins. unshare
# has cut the way to the machine before.
mount --make-rshared /
ip link set lo up
";

/// A machine of its own, as far as network, `/run`, processes and host name go;
/// all other files are the machine's. Made by [`Lab::host`](crate::Lab::host).
///
/// It ends when this, every clone, and every [`Process`] and [`Engine`] of it are dropped.
#[derive(Clone)]
pub struct Host {
    core: Arc<Core>,
}

impl Host {
    #[track_caller]
    pub(crate) fn new(switch: &Arc<Switch>, name: &str, number: u8) -> Self {
        let dir = switch.dir().join(name);
        fs::create_dir(&dir)
            .unwrap_or_else(|error| panic!("host {name} cannot be made here: {error}"));
        let (address, address6) = switch::addresses(number);
        let setup = format!("echo {name} >/proc/sys/kernel/hostname\n{SETUP}");
        let core = Core {
            name: name.to_owned(),
            cgroup: format!("{}-{name}", switch.name()),
            dir,
            address,
            address6,
            logs: AtomicU32::new(0),
            namespace: Namespace::new(&setup),
            _switch: Arc::clone(switch),
        };
        switch.attach(&core.namespace, number);
        Self { core: Arc::new(core) }
    }

    /// The name given to [`Lab::host`](crate::Lab::host); also its host name.
    pub fn name(&self) -> &str {
        &self.core.name
    }

    /// The address of its uplink `eth0`, in 198.51.100.0/24.
    pub fn address(&self) -> Ipv4Addr {
        self.core.address
    }

    /// The IPv6 address of its uplink `eth0`, in 2001:db8:51::/64.
    pub fn address6(&self) -> Ipv6Addr {
        self.core.address6
    }

    /// The pid, as the machine sees it, of a process that lives as long as the
    /// host: for `nsenter` by hand and `/proc/PID/ns`.
    pub fn init_pid(&self) -> u32 {
        self.core.namespace.init()
    }

    /// A command to run here, with settings of its own.
    pub fn exec(&self, argv: &[&str]) -> Exec<'_> {
        Exec::new(&self.core, argv)
    }

    /// Runs a command and returns its output, without the last line's end.
    ///
    /// # Panics
    /// When it fails or runs for more than 60 s, with all it said.
    #[track_caller]
    pub fn run(&self, argv: &[&str]) -> String {
        self.exec(argv).run()
    }

    /// Runs a command and returns how it ended.
    #[track_caller]
    pub fn try_run(&self, argv: &[&str]) -> Output {
        self.exec(argv).output()
    }

    /// [`run`](Self::run) with a shell script.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        self.run(&["sh", "-ec", script])
    }

    /// [`try_run`](Self::try_run) with a shell script.
    #[track_caller]
    pub fn try_sh(&self, script: &str) -> Output {
        self.try_run(&["sh", "-c", script])
    }

    /// Starts a program that keeps running.
    #[track_caller]
    pub fn spawn(&self, argv: &[&str]) -> Process {
        self.exec(argv).spawn()
    }

    /// Starts dockerd, waits until it answers and gives it an image `busybox`.
    #[track_caller]
    pub fn start_engine(&self) -> Engine {
        self.start_engine_with(EngineOptions::default())
    }

    /// [`start_engine`](Self::start_engine) with options.
    #[track_caller]
    pub fn start_engine_with(&self, options: EngineOptions) -> Engine {
        Engine::new(self, options)
    }

    /// Makes `iptables` and `ip6tables` the legacy ones, as `update-alternatives` would
    /// on a host of its own. Comes before the engine's start.
    #[track_caller]
    pub fn use_iptables_legacy(&self) {
        let alternatives = self.path_in_data_dir("alternatives");
        self.sh(&format!(
            "cp -a /etc/alternatives {here}
            cd {here}
            for name in iptables ip6tables; do
                for verb in '' -save -restore; do
                    ln -sf $(command -v $name-legacy$verb) $name$verb
                done
            done
            mount --bind {here} /etc/alternatives
            iptables --version | grep legacy",
            here = alternatives.display(),
        ));
    }

    /// Runs the `docker` client and returns its output.
    ///
    /// # Panics
    /// When it fails, with all it said.
    #[track_caller]
    pub fn docker(&self, args: &[&str]) -> String {
        self.run(&[&["docker"], args].concat())
    }

    /// Runs the `docker` client and returns how it ended.
    #[track_caller]
    pub fn try_docker(&self, args: &[&str]) -> Output {
        self.try_run(&[&["docker"], args].concat())
    }

    /// One request to the engine's API: what `docker` does, without a process.
    ///
    /// # Panics
    /// When there is no answer within 60 s; a failure's answer is returned.
    #[track_caller]
    pub fn docker_api(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let socket = self.core.path_in_run("docker.sock");
        api::request(&socket, method, path, body, DEFAULT_LIMIT)
            .unwrap_or_else(|error| panic!("host {}: {method} {path}: {error}", self.name()))
    }

    /// The same for a request that may get no answer within `limit`.
    pub fn try_docker_api(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        limit: Duration,
    ) -> io::Result<Answer> {
        api::request(&self.core.path_in_run("docker.sock"), method, path, body, limit)
    }

    /// A path in the host's own directory; the same inside and outside.
    pub fn path_in_data_dir(&self, path: impl AsRef<Path>) -> PathBuf {
        self.core.dir.join(path)
    }

    /// The way from outside to a file in the host's `/run` (a socket, say).
    pub fn path_in_run(&self, path: impl AsRef<Path>) -> PathBuf {
        self.core.path_in_run(path)
    }

    /// Writes a file in the host's own directory and returns its path.
    #[track_caller]
    pub fn put(&self, path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path_in_data_dir(path);
        fs::create_dir_all(path.parent().expect("below a directory")).expect("make directories");
        fs::write(&path, contents)
            .unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
        path
    }

    /// All network state that somebody configured, as lines that compare equal
    /// when the state is the same; see
    /// [`assert_same_state`](crate::assert_same_state).
    #[track_caller]
    pub fn netns_state(&self) -> String {
        state::normalise(&self.sh(state::SCRIPT))
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }
}

/// The host itself, shared by those who need it alive.
pub(crate) struct Core {
    name: String,
    cgroup: String,
    dir: PathBuf,
    address: Ipv4Addr,
    address6: Ipv6Addr,
    logs: AtomicU32,
    namespace: Namespace,
    /// Only held: the uplink's other end is there.
    _switch: Arc<Switch>,
}

impl Core {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The name of the cgroup that its containers are in.
    pub(crate) fn cgroup(&self) -> &str {
        &self.cgroup
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A command that runs inside, and whose `docker` talks to this host's
    /// engine whatever the caller's settings are.
    pub(crate) fn command(&self) -> Command {
        let mut command = self.namespace.command();
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("DOCKER_")) {
                command.env_remove(name);
            }
        }
        command.env("DOCKER_CONFIG", "/run/docker-client");
        command.env("DOCKER_HOST", "unix:///run/docker.sock");
        command
    }

    pub(crate) fn path_in_run(&self, path: impl AsRef<Path>) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root/run", self.namespace.init())).join(path)
    }

    /// A log file for the next run of a program.
    pub(crate) fn new_log(&self, program: &str) -> PathBuf {
        let dir = self.dir.join("logs");
        fs::create_dir_all(&dir).expect("make a directory for logs");
        let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
        dir.join(format!("{:03}-{name}", self.logs.fetch_add(1, Ordering::Relaxed)))
    }

    /// The logs' ends, for somebody who reads why a test failed.
    fn print_logs(&self) {
        let Ok(logs) = fs::read_dir(self.dir.join("logs")) else { return };
        let mut logs: Vec<PathBuf> = logs.flatten().map(|entry| entry.path()).collect();
        logs.sort();
        for log in logs {
            let text = fs::read(&log).unwrap_or_default();
            #[allow(clippy::print_stderr, reason = "only this way the test harness captures it")]
            {
                let name = log.file_name().unwrap_or_default().to_string_lossy();
                eprintln!(
                    "--- host {}, end of log {name}\n{}",
                    self.name,
                    tail(&String::from_utf8_lossy(&text))
                );
            }
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print_logs();
        }
        self.namespace.end();
        let plugins = cgroup::of_plugins(&engine::data_root(&self.dir));
        cgroup::remove(&|name| name == self.cgroup || plugins.iter().any(|id| id == name));
        janitor::remove_dir(&self.dir);
    }
}
