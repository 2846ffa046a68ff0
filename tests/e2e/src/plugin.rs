//! The engine's side of a plugin socket, for tests that say themselves what is asked.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    time::Duration,
};

use serde_json::Value;
use wasmnet_lab::{Host, Lab, wait_for};

use crate::Daemon;

/// How long an answer may take: longer than any call's deadline.
const PATIENCE: Duration = Duration::from_secs(30);

/// The headers an engine sends, the length left out. It sends no Content-Type.
const HEADERS: [(&str, &str); 3] = [
    ("Host", "plugin.moby.localhost"),
    ("User-Agent", "Go-http-client/1.1"),
    ("Accept", "application/vnd.docker.plugins.v1.2+json"),
];

/// A connection to a driver's socket, kept open as the engine keeps it.
pub struct Plugin {
    stream: BufReader<UnixStream>,
}

/// What a driver's socket answered.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The HTTP status code.
    pub status: u16,
    /// The head's lines after the first, in lower case.
    pub headers: Vec<String>,
    /// The body.
    pub text: String,
}

/// A host with the daemon and no engine: the test plays the engine.
pub struct Bench {
    // Dropped in this order.
    /// The daemon.
    pub daemon: Daemon,
    /// The host.
    pub host: Host,
    /// The lab it is in.
    pub lab: Lab,
}

// === impl Plugin ===

impl Plugin {
    /// Connects to a driver's socket on a host.
    pub fn connect(host: &Host, driver: &str) -> Self {
        let path = host.path_in_run(format!("docker/plugins/{driver}.sock"));
        let stream = UnixStream::connect(&path)
            .unwrap_or_else(|error| panic!("cannot connect to {}: {error}", path.display()));
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// Calls a method ("NetworkDriver.Join") as the engine does.
    pub fn call(&mut self, method: &str, body: &Value) -> Reply {
        self.send(method, body);
        self.receive()
    }

    /// The same where the daemon may end meanwhile: then there is no answer.
    pub fn try_call(&mut self, method: &str, body: &Value) -> Option<Reply> {
        let body = format!("{body}\n");
        self.try_send_raw("POST", method, &HEADERS, body.as_bytes()).ok()?;
        self.try_receive().ok()
    }

    /// Calls a method that the engine calls without a body.
    pub fn ask(&mut self, method: &str) -> Reply {
        self.send_raw("POST", method, &HEADERS, b"");
        self.receive()
    }

    /// The first half of [`call`](Self::call).
    pub fn send(&mut self, method: &str, body: &Value) {
        self.send_raw("POST", method, &HEADERS, format!("{body}\n").as_bytes());
    }

    /// Sends a request with exactly these headers and its length.
    pub fn send_raw(&mut self, verb: &str, method: &str, headers: &[(&str, &str)], body: &[u8]) {
        self.try_send_raw(verb, method, headers, body).expect("send a request");
    }

    /// The same for a request that the daemon may refuse before it has read it.
    pub fn try_send_raw(
        &mut self,
        verb: &str,
        method: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<()> {
        let mut request = format!("{verb} /{method} HTTP/1.1\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        self.stream.get_mut().write_all(&[request.as_bytes(), body].concat())
    }

    /// Sends a request of which only the first `cut` bytes of the body arrive.
    pub fn send_cut(&mut self, method: &str, body: &[u8], cut: usize) {
        let head =
            format!("POST /{method} HTTP/1.1\r\nHost: \r\nContent-Length: {}\r\n\r\n", body.len());
        let bytes = [head.as_bytes(), &body[..cut]].concat();
        self.stream.get_mut().write_all(&bytes).expect("send a part of a request");
    }

    /// Waits for the answer to what was sent.
    pub fn receive(&mut self) -> Reply {
        self.try_receive().unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    fn try_receive(&mut self) -> std::io::Result<Reply> {
        let mut line = || {
            let mut line = String::new();
            match self.stream.read_line(&mut line)? {
                0 => Err(std::io::Error::other("the connection was closed")),
                _ => Ok(line.trim_end().to_owned()),
            }
        };
        let first = line()?;
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| std::io::Error::other(format!("not HTTP: {first}")))?;
        let mut headers = Vec::new();
        loop {
            match line()?.as_str() {
                "" => break,
                header => headers.push(header.to_ascii_lowercase()),
            }
        }
        let length = headers.iter().find_map(|header| header.strip_prefix("content-length: "));
        let length = length.and_then(|length| length.parse().ok());
        let length: usize =
            length.ok_or_else(|| std::io::Error::other(format!("no length: {headers:?}")))?;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        let text = String::from_utf8(body).map_err(std::io::Error::other)?;
        Ok(Reply { status, headers, text })
    }
}

// === impl Reply ===

impl Reply {
    /// The body of a success.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "not a success: {self:?}");
        let body = self.json();
        assert!(body.is_object(), "the engine takes objects only: {self:?}");
        for key in ["Err", "Error"] {
            let error = body.get(key).and_then(Value::as_str).unwrap_or_default();
            assert_eq!(error, "", "a success with an error: {self:?}");
        }
        body
    }

    /// The sentence of a failure, which must be understood by every engine, whichever
    /// of the two protocols it speaks.
    #[track_caller]
    pub fn error(&self) -> String {
        assert!(self.status >= 400, "not a failure: {self:?}");
        let body = self.json();
        let sentence = body["Err"].as_str().unwrap_or_default();
        assert_eq!(body["Error"].as_str(), Some(sentence), "Err and Error differ: {self:?}");
        assert!(!sentence.is_empty(), "a failure without a sentence: {self:?}");
        assert!(!sentence.contains('\n'), "more than one line: {self:?}");
        sentence.to_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        let text = &self.text;
        serde_json::from_str(text).unwrap_or_else(|error| panic!("not JSON ({error}): {text}"))
    }
}

// === impl Bench ===

impl Bench {
    /// A host with the daemon and these drivers (name and component) beside the built-in ones.
    pub fn new(drivers: &[(&str, &str)]) -> Self {
        let lab = Lab::new();
        let host = lab.host("a");
        let config = host.put("config.toml", driver_config(drivers));
        let daemon = Daemon::start_with(&host, &["--config", config.to_str().unwrap()]);
        Self { daemon, host, lab }
    }

    /// A new connection to a driver.
    pub fn plugin(&self, driver: &str) -> Plugin {
        Plugin::connect(&self.host, driver)
    }

    /// Networks, endpoints, kernel objects and stored keys that the daemon knows.
    pub fn ledger(&self) -> [u64; 4] {
        let status = self.daemon.json(&["status"]);
        ["networks", "endpoints", "objects", "keys"].map(|key| status[key].as_u64().unwrap())
    }

    /// Waits until the daemon knows nothing and has nothing left to delete.
    pub fn wait_nothing_left(&self) {
        wait_for("an empty ledger", PATIENCE, || {
            let status = self.daemon.json(&["status"]);
            let keys = ["networks", "endpoints", "objects", "doomed", "keys"];
            if keys.iter().all(|key| status[key] == 0) { Ok(()) } else { Err(status.to_string()) }
        });
    }
}

/// A config file with these drivers: name and component. They are granted all that test
/// programs and built-in drivers ask for.
pub fn driver_config(drivers: &[(&str, &str)]) -> String {
    const GRANTS: &str = r#"grants = { links = ["bridge", "veth"], adopt = ["*"], sysctls = ["accept_ra", "disable_ipv6", "route_localnet"], masquerade = true, publish = ["1-65535"], direct-access = true, cluster = true }"#;
    let driver = |(name, file): &(&str, &str)| {
        format!("[[driver]]\nname = \"{name}\"\ncomponent = \"{file}\"\n{GRANTS}\n")
    };
    drivers.iter().map(driver).collect()
}

/// The bodies of the engine's calls.
pub mod calls {
    use serde_json::{Value, json};

    /// CreateNetwork: the subnet is 10.NUMBER.0.0/24.
    pub fn network(id: &str, number: u8, options: &Value) -> Value {
        json!({
            "NetworkID": id,
            "Options": {
                "com.docker.network.enable_ipv4": true,
                "com.docker.network.enable_ipv6": false,
                "com.docker.network.generic": options,
            },
            "IPv4Data": [{
                "AddressSpace": "LocalDefault",
                "Pool": format!("10.{number}.0.0/24"),
                "Gateway": format!("10.{number}.0.1/24"),
            }],
            "IPv6Data": [],
        })
    }

    /// CreateEndpoint: the address is `address`/24, MAC address and IPv6 are left open.
    pub fn endpoint(network: &str, id: &str, address: &str) -> Value {
        json!({
            "NetworkID": network,
            "EndpointID": id,
            "Interface": {
                "Address": format!("{address}/24"), "AddressIPv6": "", "MacAddress": "",
            },
            "Options": {},
        })
    }

    /// Join.
    pub fn join(network: &str, endpoint: &str, sandbox: &str) -> Value {
        json!({
            "NetworkID": network,
            "EndpointID": endpoint,
            "SandboxKey": format!("/var/run/docker/netns/{sandbox}"),
            "Options": {
                "com.docker.network.endpoint.exposedports": [],
                "com.docker.network.portmap": [],
            },
        })
    }

    /// Whatever needs only a network and an endpoint.
    pub fn ids(network: &str, endpoint: &str) -> Value {
        json!({ "NetworkID": network, "EndpointID": endpoint })
    }
}
