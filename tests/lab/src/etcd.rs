//! etcd, on hosts of its own.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustix::process::Signal;

use crate::exec::Output;
use crate::host::Host;
use crate::needs;
use crate::process::Process;
use crate::wait::wait_for;

/// How long a member may take to start, to stop, or to agree with the others.
const PATIENCE: Duration = Duration::from_secs(60);

/// An etcd cluster, each member on a host of its own. Made by [`Lab::etcd`](crate::Lab::etcd).
pub struct Etcd {
    members: Vec<Member>,
    options: EtcdOptions,
}

/// How etcd is started.
#[derive(Debug, Clone, Default)]
pub struct EtcdOptions {
    /// Files with its certificate, its key, and the CA that its clients are to be known to.
    pub tls: Option<[String; 3]>,
}

struct Member {
    host: Host,
    process: Option<Process>,
}

// === impl Etcd ===

impl Etcd {
    #[track_caller]
    pub(crate) fn new(hosts: Vec<Host>, options: EtcdOptions) -> Self {
        assert!(
            needs::find("etcd").is_some(),
            "the lab needs `etcd`, which is not here: run `cargo xtask test`, which installs what is missing"
        );
        let members = hosts.into_iter().map(|host| Member { host, process: None }).collect();
        let mut etcd = Self { members, options };
        (0..etcd.members.len()).for_each(|member| etcd.launch(member));
        etcd.wait_ready();
        etcd
    }

    /// Where its members are, for clients.
    pub fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(|member| self.client_url(&member.host)).collect()
    }

    /// The host of a member, from 0.
    pub fn host(&self, member: usize) -> &Host {
        &self.members[member].host
    }

    /// Kills a member.
    #[track_caller]
    pub fn kill(&mut self, member: usize) {
        if let Some(mut process) = self.members[member].process.take() {
            process.signal(Signal::KILL);
            process.wait_exit(PATIENCE);
        }
    }

    /// Has a member do nothing, or go on: its connections stay, and nobody answers.
    pub fn freeze(&self, member: usize, frozen: bool) {
        if let Some(process) = &self.members[member].process {
            process.signal(if frozen { Signal::STOP } else { Signal::CONT });
        }
    }

    /// Starts a member that was killed, with its data, and waits until it answers.
    #[track_caller]
    pub fn start(&mut self, member: usize) {
        self.launch(member);
        self.wait_ready();
    }

    /// Makes it forget what has changed so far.
    #[track_caller]
    pub fn compact(&self) {
        let answer = self.ask("kv/range", r#"{"key":"AA=="}"#);
        assert!(answer.success(), "etcd does not answer: {answer}");
        let revision = answer.stdout.split("\"revision\":\"").nth(1);
        let revision = revision.and_then(|rest| rest.split('"').next()).expect("a revision");
        let body = format!(r#"{{"revision":"{revision}","physical":true}}"#);
        let answer = self.ask("kv/compaction", &body);
        assert!(answer.success(), "etcd does not compact: {answer}");
    }

    /// Asks a running member by the JSON face of the API.
    #[track_caller]
    pub fn ask(&self, method: &str, body: &str) -> Output {
        let running = self.members.iter().find(|member| member.process.is_some());
        self.ask_at(&running.expect("a running member").host, method, body)
    }

    /// The value of a key, if there is one.
    #[track_caller]
    pub fn value(&self, key: &str) -> Option<Vec<u8>> {
        let answer =
            self.ask("kv/range", &format!(r#"{{"key":"{}"}}"#, BASE64_STANDARD.encode(key)));
        assert!(answer.success(), "etcd does not answer: {answer}");
        let answer: serde_json::Value = serde_json::from_str(&answer.stdout).expect("JSON");
        let row = answer["kvs"].get(0)?;
        // An empty one is left out.
        Some(BASE64_STANDARD.decode(row["value"].as_str().unwrap_or_default()).expect("base64"))
    }

    /// Writes a value.
    #[track_caller]
    pub fn put(&self, key: &str, value: &[u8]) {
        let (key, value) = (BASE64_STANDARD.encode(key), BASE64_STANDARD.encode(value));
        let answer = self.ask("kv/put", &format!(r#"{{"key":"{key}","value":"{value}"}}"#));
        assert!(answer.success(), "etcd does not answer: {answer}");
    }

    /// The keys in it that begin with `prefix`, sorted.
    #[track_caller]
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let mut end = prefix.as_bytes().to_vec();
        *end.last_mut().expect("a prefix") += 1;
        let (from, end) = (BASE64_STANDARD.encode(prefix), BASE64_STANDARD.encode(end));
        let body = format!(r#"{{"key":"{from}","range_end":"{end}","keys_only":true}}"#);
        let answer = self.ask("kv/range", &body);
        assert!(answer.success(), "etcd does not answer: {answer}");
        let answer: serde_json::Value = serde_json::from_str(&answer.stdout).expect("JSON");
        let rows = answer["kvs"].as_array().cloned().unwrap_or_default();
        let key = |row: &serde_json::Value| {
            let bytes = BASE64_STANDARD.decode(row["key"].as_str()?).ok()?;
            String::from_utf8(bytes).ok()
        };
        rows.iter().filter_map(key).collect()
    }

    fn ask_at(&self, host: &Host, method: &str, body: &str) -> Output {
        let url = format!("{}/v3/{method}", self.client_url(host));
        let mut argv = vec!["curl", "--silent", "--fail-with-body", "--max-time", "5"];
        if let Some([certificate, key, ca]) = &self.options.tls {
            argv.extend(["--cacert", ca, "--cert", certificate, "--key", key]);
        }
        host.try_run(&[&argv[..], &["--data", body, &url]].concat())
    }

    fn launch(&mut self, member: usize) {
        let cluster: Vec<String> = self
            .members
            .iter()
            .map(|member| format!("{}={}", member.host.name(), peer_url(&member.host)))
            .collect();
        let host = self.members[member].host.clone();
        let data = host.path_in_data_dir("etcd").display().to_string();
        let (client, peer) = (self.client_url(&host), peer_url(&host));
        let cluster = cluster.join(",");
        let mut argv = vec!["etcd", "--name", host.name(), "--data-dir", &data];
        argv.extend(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        argv.extend(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        argv.extend(["--initial-cluster", &cluster, "--initial-cluster-state", "new"]);
        if let Some([certificate, key, ca]) = &self.options.tls {
            argv.extend(["--cert-file", certificate, "--key-file", key]);
            argv.extend(["--trusted-ca-file", ca, "--client-cert-auth"]);
        }
        self.members[member].process = Some(host.spawn(&argv));
    }

    /// Waits until all running members answer, which they do when most of all agree.
    #[track_caller]
    fn wait_ready(&self) {
        for Member { host, process } in &self.members {
            let Some(process) = process else { continue };
            wait_for("etcd to answer", PATIENCE, || {
                assert!(process.is_running(), "etcd ended:\n{}", process.log());
                let answer = self.ask_at(host, "kv/range", r#"{"key":"AA=="}"#);
                // Who is asked for a name and a password has an answer, too.
                let refused = answer.stdout.contains("user name is empty");
                if answer.success() || refused { Ok(()) } else { Err(answer) }
            });
        }
    }

    fn client_url(&self, host: &Host) -> String {
        let scheme = if self.options.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}:2379", host.address())
    }
}

fn peer_url(host: &Host) -> String {
    format!("http://{}:2380", host.address())
}
