//! A real Docker engine on a host.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::host::{Core, Host};
use crate::process::{Process, tail};
use crate::wait::wait_for;
use crate::{Exec, Signal, api, image, needs};

/// A machine may be busy with other tests and a compiler.
const LIMIT: Duration = Duration::from_secs(60);

/// How an engine is started.
#[derive(Debug, Clone, Default)]
pub struct EngineOptions {
    /// What net.ipv4.ip_forward is before the engine's first start. With false
    /// (the default, and as on nearly every real host) the engine turns it on
    /// itself and then drops what it does not know in the FORWARD chain.
    pub ip_forward: bool,
    /// More arguments for dockerd.
    pub args: Vec<String>,
}

/// A host's dockerd, killed when dropped. Made by
/// [`Host::start_engine`](crate::Host::start_engine).
#[must_use = "the engine is killed when this is dropped"]
pub struct Engine {
    core: Arc<Core>,
    options: EngineOptions,
    process: Process,
}

impl Engine {
    #[track_caller]
    pub(crate) fn new(host: &Host, options: EngineOptions) -> Self {
        let core = Arc::clone(host.core());
        let forward = u8::from(options.ip_forward);
        host.sh(&format!("echo {forward} >/proc/sys/net/ipv4/ip_forward"));
        let had_data = data_root(core.dir()).exists();
        let process = launch(&core, &options);
        if !had_data || !host.try_docker(&["image", "inspect", "busybox"]).success() {
            host.exec(&["docker", "import", "--change", r#"CMD ["sh"]"#, "-", "busybox"])
                .stdin(image::busybox())
                .run();
        }
        Self { core, options, process }
    }

    /// dockerd's pid as the machine sees it.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What this run of dockerd logged so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Whether dockerd has not ended yet.
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// Sends dockerd a signal (`Signal::STOP` makes it hang).
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Kills dockerd as a crash does: nothing is cleaned up, containers live on.
    #[track_caller]
    pub fn kill(&mut self) {
        self.process.signal(Signal::KILL);
        self.process.wait_exit(LIMIT);
    }

    /// Stops dockerd in order, with its containers.
    #[track_caller]
    pub fn stop(&mut self) {
        self.process.signal(Signal::TERM);
        self.process.wait_exit(LIMIT);
    }

    /// Starts it after [`kill`](Self::kill) or [`stop`](Self::stop), on the
    /// same data.
    #[track_caller]
    pub fn start(&mut self) {
        assert!(!self.is_running(), "host {}: the engine runs already", self.core.name());
        self.process = launch(&self.core, &self.options);
    }

    /// Stops it in order, unless it has ended, and starts it.
    #[track_caller]
    pub fn restart(&mut self) {
        self.stop();
        self.start();
    }
}

/// Where the engine of the host with this directory has its data.
pub(crate) fn data_root(host: &Path) -> PathBuf {
    host.join("engine")
}

/// Starts dockerd and waits until its API answers.
///
/// Everything but the data is at its usual place: the host's /run is its own.
/// So plugins' sockets, namespaces and short unix socket paths are as on a real
/// host.
#[track_caller]
fn launch(core: &Arc<Core>, options: &EngineOptions) -> Process {
    let (dockerd, data_root) = (needs::dockerd(), data_root(core.dir()));
    let cgroup = format!("/{}", core.cgroup());
    let mut argv = vec![
        dockerd.as_str(),
        "--data-root",
        data_root.to_str().expect("a path of plain letters"),
        // Always plain cgroups below a name of ours: a systemd of the machine
        // must not see them, and we must find them afterwards.
        "--exec-opt",
        "native.cgroupdriver=cgroupfs",
        "--cgroup-parent",
        &cgroup,
    ];
    argv.extend(options.args.iter().map(String::as_str));
    let process = Exec::new(core, &argv).spawn();
    let socket = core.path_in_run("docker.sock");
    wait_for("the engine's API", LIMIT, || {
        assert!(process.is_running(), "dockerd ended; its log:\n{}", tail(&process.log()));
        match api::request(&socket, "GET", "/_ping", None, Duration::from_secs(2)) {
            Ok(answer) if answer.code == 200 => Ok(()),
            Ok(answer) => Err(format!("{answer:?}")),
            Err(error) => Err(format!("{error}; its log:\n{}", tail(&process.log()))),
        }
    });
    process
}
