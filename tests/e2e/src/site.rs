//! A test host with an engine and the daemon, and what tests do on it.

use std::time::Duration;

use serde_json::json;
use wasmnet_lab::{Engine, EngineOptions, Host, Lab, Output, Process, transports, wait_for};

use crate::{BRIDGE, Daemon};

/// How long something may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(15);

/// A host with an engine and the daemon.
pub struct Site {
    // Dropped in this order: the daemon and the engine before their host.
    /// The daemon.
    pub daemon: Daemon,
    /// The engine.
    pub engine: Engine,
    /// The host.
    pub host: Host,
    /// The lab it is in.
    pub lab: Lab,
}

// === impl Site ===

impl Site {
    /// A host whose engine started with ip_forward=0, as on nearly every real host.
    pub fn new() -> Self {
        Self::with_daemon_arguments(&[])
    }

    /// The same, the daemon started with further arguments.
    pub fn with_daemon_arguments(arguments: &[&str]) -> Self {
        Self::prepared(arguments, |_| {})
    }

    /// The same, with something done on the host before the daemon starts.
    pub fn prepared(arguments: &[&str], prepare: impl FnOnce(&Host)) -> Self {
        let lab = Lab::new();
        let host = lab.host("a");
        let engine = host.start_engine();
        prepare(&host);
        let daemon = Daemon::start_with(&host, arguments);
        Self { daemon, engine, host, lab }
    }

    /// A host whose daemon has only these capabilities ("net_admin").
    pub fn with_capabilities(capabilities: &[&str]) -> Self {
        let lab = Lab::new();
        let host = lab.host("a");
        let engine = host.start_engine();
        let set = capabilities.iter().map(|name| format!(",+{name}")).collect::<String>();
        let bounding = format!("--bounding-set=-all{set}");
        let wrapper = ["setpriv", "--no-new-privs", "--inh-caps=-all", &bounding];
        let daemon = Daemon::start_by(&host, &wrapper, &[]);
        Self { daemon, engine, host, lab }
    }

    /// A host whose engine is started with options.
    pub fn with_engine(options: EngineOptions) -> Self {
        Self::with_engine_on(options, |_| {})
    }

    /// The same, with something done on the host before the engine starts.
    pub fn with_engine_on(options: EngineOptions, prepare: impl FnOnce(&Host)) -> Self {
        let lab = Lab::new();
        let host = lab.host("a");
        prepare(&host);
        let engine = host.start_engine_with(options);
        let daemon = Daemon::start(&host);
        Self { daemon, engine, host, lab }
    }

    /// A further host in a lab, the daemon with this config.
    pub fn in_lab(lab: &Lab, name: &str, config: &str) -> Self {
        Self::on(lab.host(name), lab, config)
    }

    /// The same on a host that is there.
    pub fn on(host: Host, lab: &Lab, config: &str) -> Self {
        let engine = host.start_engine();
        let config = host.put("config.toml", config);
        let daemon = Daemon::start_with(&host, &["--config", config.to_str().unwrap()]);
        Self { daemon, engine, host, lab: lab.clone() }
    }

    /// Whether the engine's version is this one or newer. For what engines do differently,
    /// and tests must expect.
    pub fn engine_since(&self, major: u32) -> bool {
        let version = self.host.docker_api("GET", "/version", None).body;
        let text = version["Version"].as_str().unwrap_or_default();
        let found = text.split('.').next().and_then(|number| number.parse::<u32>().ok());
        found.unwrap_or_else(|| panic!("an engine without a version: {version}")) >= major
    }

    /// Runs `docker` with words separated by spaces; fails the test if it fails.
    pub fn docker(&self, command: &str) -> String {
        self.host.docker(&words(command))
    }

    /// Runs `docker` with words separated by spaces.
    pub fn try_docker(&self, command: &str) -> Output {
        self.host.try_docker(&words(command))
    }

    /// Makes a wasm-bridge network; `options` go before its name.
    pub fn network(&self, name: &str, options: &str) {
        self.docker(&format!("network create --driver {BRIDGE} {options} {name}"));
    }

    /// Starts a container that does nothing; `options` go before its image.
    pub fn container(&self, name: &str, options: &str) {
        self.docker(&format!(
            "run --detach --name {name} --stop-signal KILL {options} busybox sleep 3600"
        ));
    }

    /// Starts a container with a MAC address, and perhaps with an address, of the user's:
    /// `docker run --mac-address`, which newer clients refuse to ask of older engines.
    pub fn container_with_mac(&self, name: &str, network: &str, ip: Option<&str>, mac: &str) {
        let endpoint = json!({ "IPAMConfig": { "IPv4Address": ip }, "MacAddress": mac });
        let container = json!({
            "Image": "busybox",
            "Cmd": ["sleep", "3600"],
            "StopSignal": "KILL",
            "MacAddress": mac,
            "HostConfig": { "NetworkMode": network },
            "NetworkingConfig": { "EndpointsConfig": { network: endpoint } },
        });
        let path = format!("/containers/create?name={name}");
        let answer = self.host.docker_api("POST", &path, Some(&container));
        assert_eq!(answer.code, 201, "{answer:?}");
        self.docker(&format!("start {name}"));
    }

    /// Runs a shell command in a container.
    pub fn exec(&self, container: &str, command: &str) -> Output {
        self.host.try_docker(&["exec", container, "sh", "-c", command])
    }

    /// Runs a shell command in a container; fails the test if it fails.
    pub fn in_container(&self, container: &str, command: &str) -> String {
        self.host.docker(&["exec", container, "sh", "-c", command])
    }

    /// Whether a container gets an answer from an address or name.
    pub fn pings(&self, container: &str, target: &str) -> bool {
        self.exec(container, &format!("ping -c 1 -W 2 {target}")).success()
    }

    /// Fails the test unless a container gets an answer.
    pub fn assert_pings(&self, container: &str, target: &str) {
        let output = self.exec(container, &format!("ping -c 1 -W 2 {target}"));
        assert!(output.success(), "{container} does not reach {target}: {output}");
    }

    /// Waits until a container gets an answer: a new IPv6 address is not usable at once.
    pub fn wait_pings(&self, container: &str, target: &str) {
        wait_for(&format!("{container} to reach {target}"), PATIENCE, || {
            let output = self.exec(container, &format!("ping -c 1 -W 1 {target}"));
            if output.success() { Ok(()) } else { Err(output) }
        });
    }

    /// Fails the test if a container gets an answer; `when` says what is special.
    pub fn assert_silent(&self, container: &str, target: &str, when: &str) {
        let output = self.exec(container, &format!("ping -c 1 -W 1 {target}"));
        assert!(!output.success(), "{container} reaches {target} {when}: {output}");
    }

    /// Starts a server outside that tells its clients their address.
    pub fn serve_outside(&self) -> Process {
        let outside = self.lab.outside();
        let script =
            "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n%s' \"$REMOTE_ADDR\"\n";
        let script = outside.put("www/cgi-bin/who", script);
        outside.run(&["chmod", "755", script.to_str().unwrap()]);
        let www = outside.path_in_data_dir("www");
        let www = www.to_str().unwrap();
        let server = outside.spawn(&["busybox", "httpd", "-f", "-p", "0.0.0.0:80", "-h", www]);
        wait_for("the server outside to answer", PATIENCE, || {
            outside.try_run(&["busybox", "wget", "-qO-", "http://127.0.0.1/cgi-bin/who"]).success()
        });
        server
    }

    /// The address from which a container's requests come to the server outside.
    pub fn seen_outside(&self, container: &str) -> String {
        // Not wget: it does not work in a static busybox without glibc's files.
        let outside = self.lab.outside().address();
        let request = "printf 'GET /cgi-bin/who HTTP/1.0\\r\\n\\r\\n'";
        let answer = self.in_container(container, &format!("{request} | nc -w 5 {outside} 80"));
        answer.lines().last().unwrap_or_default().to_owned()
    }

    /// The IPv6 address of a container on a network.
    pub fn address6(&self, container: &str, network: &str) -> String {
        let format =
            format!("{{{{(index .NetworkSettings.Networks \"{network}\").GlobalIPv6Address}}}}");
        self.host.docker(&["inspect", "--format", &format, container]).trim().to_owned()
    }

    /// The address of a container on a network.
    pub fn address(&self, container: &str, network: &str) -> String {
        let format = format!("{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}");
        self.host.docker(&["inspect", "--format", &format, container]).trim().to_owned()
    }

    /// Waits until the ledger holds this many networks, endpoints and nothing doomed.
    pub fn wait_ledger(&self, networks: u64, endpoints: u64) {
        wait_for("the ledger to settle", PATIENCE, || {
            let status = self.daemon.json(&["status"]);
            let is = |key: &str| status[key].as_u64().unwrap();
            let found = (is("networks"), is("endpoints"), is("doomed"));
            if found == (networks, endpoints, 0) { Ok(()) } else { Err(format!("{found:?}")) }
        });
    }

    /// Waits until the daemon's endpoints have these addresses, and no others are there.
    pub fn wait_endpoints(&self, addresses: &[&str]) {
        wait_for(&format!("endpoints {addresses:?} only"), PATIENCE, || {
            let endpoints = self.daemon.json(&["endpoint", "ls"]);
            let endpoints = endpoints.as_array().unwrap();
            let mut found: Vec<&str> =
                endpoints.iter().filter_map(|view| view["addresses"][0].as_str()).collect();
            found.sort_unstable();
            let same = found == addresses && endpoints.len() == addresses.len();
            if same { Ok(()) } else { Err(format!("{endpoints:?}")) }
        });
    }

    /// Fails the test unless the daemon knows nothing any more.
    pub fn assert_nothing_left(&self) {
        self.wait_ledger(0, 0);
        let status = self.daemon.json(&["status"]);
        assert_eq!(status["objects"], 0, "{status}");
        assert_eq!(status["keys"], 0, "{status}");
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

/// Options that publish a port (as in "8080:80") with every transport that this kernel has.
pub fn publish(port: &str) -> String {
    transports().iter().map(|transport| format!("--publish {port}/{transport} ")).collect()
}

/// Network state without the engine's jumps to DOCKER-USER: it looks for its jump
/// before it adds it, and so has several when networks are made at once.
pub fn without_jumps(state: &str) -> String {
    let is_jump = |line: &str| line.contains(" FORWARD: ") && line.ends_with(" DOCKER-USER");
    let lines: Vec<&str> = state.lines().filter(|line| !is_jump(line)).collect();
    lines.join("\n")
}

fn words(command: &str) -> Vec<&str> {
    command.split_whitespace().collect()
}
