//! The engine's side of a plugin socket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wasmnet_lab::Host;

use super::Trouble;
use super::docker::milliseconds;
use crate::stage::Stage;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to a driver, kept open as the engine keeps it.
pub struct Plugin {
    stream: BufReader<UnixStream>,
}

/// An endpoint that we speak of: in a network of our own, with an address in it.
#[derive(Debug)]
pub struct Endpoint {
    /// The network's id.
    pub network: String,
    /// Its own id.
    pub id: String,
    /// The second and third byte of its address, 10.A.B.2.
    pub subnet: (u8, u8),
    /// Its first host port and how many it has.
    pub ports: (u16, u16),
}

// === impl Plugin ===

impl Plugin {
    /// Connects to a driver on the stage's host.
    pub fn connect(stage: &Stage, driver: &str) -> Result<Self, Trouble> {
        Self::open(&stage.path_in_run(&format!("docker/plugins/{driver}.sock")))
    }

    /// Connects to a driver on a host.
    pub fn connect_to(host: &Host, driver: &str) -> Result<Self, Trouble> {
        Self::open(&host.path_in_run(format!("docker/plugins/{driver}.sock")))
    }

    fn open(path: &Path) -> Result<Self, Trouble> {
        let connect = || {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(Self { stream: BufReader::new(stream) })
        };
        connect().map_err(|source| io_trouble(&format!("connect to {}", path.display()), source))
    }

    /// Calls a method of a network driver ("Join") as the engine does, and returns the
    /// milliseconds it took.
    pub fn call(&mut self, method: &str, body: &Value) -> Result<f64, Trouble> {
        Ok(self.request(&format!("NetworkDriver.{method}"), body)?.0)
    }

    /// Calls any method ("IpamDriver.RequestPool"), and returns the milliseconds it took and
    /// the answer.
    pub fn request(&mut self, method: &str, body: &Value) -> Result<(f64, Value), Trouble> {
        let started = Instant::now();
        let asked = self.ask(method, body);
        let time = milliseconds(started);
        match asked.map_err(|source| io_trouble(&format!("call {method}"), source))? {
            (200, answer) => Ok((time, serde_json::from_str(&answer).unwrap_or_default())),
            (_, said) => Err(Trouble::Refused { what: method.to_owned(), said }),
        }
    }

    /// Makes a network, 10.A.B.0/24.
    pub fn create_network(&mut self, id: &str, (a, b): (u8, u8)) -> Result<f64, Trouble> {
        let body = json!({
            "NetworkID": id,
            "Options": {
                "com.docker.network.enable_ipv6": false,
                "com.docker.network.generic": {},
            },
            "IPv4Data": [{
                "AddressSpace": "LocalDefault",
                "Pool": format!("10.{a}.{b}.0/24"),
                "Gateway": format!("10.{a}.{b}.1/24"),
            }],
            "IPv6Data": [],
        });
        self.call("CreateNetwork", &body)
    }

    pub fn delete_network(&mut self, id: &str) -> Result<f64, Trouble> {
        self.call("DeleteNetwork", &json!({ "NetworkID": id }))
    }

    /// The calls of a container that comes, each with its time.
    pub fn arrive(&mut self, endpoint: &Endpoint) -> Result<[(&'static str, f64); 3], Trouble> {
        let (a, b) = endpoint.subnet;
        let create = json!({
            "NetworkID": endpoint.network,
            "EndpointID": endpoint.id,
            "Interface": {
                "Address": format!("10.{a}.{b}.2/24"), "AddressIPv6": "", "MacAddress": "",
            },
            "Options": {},
        });
        let join = json!({
            "NetworkID": endpoint.network,
            "EndpointID": endpoint.id,
            "SandboxKey": format!("/var/run/docker/netns/{}", endpoint.id),
            "Options": {},
        });
        let (first, count) = endpoint.ports;
        let port = |number: u16| {
            json!({
                "Proto": 6, "IP": "", "Port": 8000 + number,
                "HostIP": "", "HostPort": first + number, "HostPortEnd": first + number,
            })
        };
        let program = json!({
            "NetworkID": endpoint.network,
            "EndpointID": endpoint.id,
            "Options": {
                "com.docker.network.portmap": (0..count).map(port).collect::<Vec<_>>(),
            },
        });
        Ok([
            ("CreateEndpoint", self.call("CreateEndpoint", &create)?),
            ("Join", self.call("Join", &join)?),
            ("Program", self.call("ProgramExternalConnectivity", &program)?),
        ])
    }

    /// The calls of a container that goes, each with its time.
    pub fn go(&mut self, endpoint: &Endpoint) -> Result<[(&'static str, f64); 3], Trouble> {
        let body = json!({ "NetworkID": endpoint.network, "EndpointID": endpoint.id });
        Ok([
            ("Revoke", self.call("RevokeExternalConnectivity", &body)?),
            ("Leave", self.call("Leave", &body)?),
            ("DeleteEndpoint", self.call("DeleteEndpoint", &body)?),
        ])
    }

    fn ask(&mut self, method: &str, body: &Value) -> io::Result<(u16, String)> {
        let body = format!("{body}\n");
        let request = format!(
            "POST /{method} HTTP/1.1\r\nHost: plugin.moby.localhost\r\n\
             User-Agent: Go-http-client/1.1\r\n\
             Accept: application/vnd.docker.plugins.v1.2+json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::Error::other("the connection was closed"));
            }
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_ascii_lowercase()),
            }
        }
        let broken = || io::Error::other("not an answer");
        let status = head.first().and_then(|first| first.split(' ').nth(1)?.parse().ok());
        let length = head.iter().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.and_then(|length| length.parse().ok()).ok_or_else(broken)?;
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer)?;
        Ok((status.ok_or_else(broken)?, String::from_utf8_lossy(&answer).into_owned()))
    }
}

/// An id as the engine makes them: 64 hexadecimal digits.
pub fn id(kind: u8, number: u32) -> String {
    format!("{kind:02x}{number:08x}{:054x}", 0)
}

fn io_trouble(what: &str, source: io::Error) -> Trouble {
    Trouble::Io { what: format!("cannot {what}"), source }
}
