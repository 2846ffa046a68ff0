//! A stream of iperf3's.

use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::Value;

use crate::programs;

/// The end that receives, for one stream.
pub struct Server {
    child: Child,
}

// === impl Server ===

impl Server {
    /// Starts it in the calling thread's network and waits until it listens.
    pub fn start(port: u16) -> io::Result<Self> {
        let mut child = iperf()
            .args(["--server", "--one-off", "--forceflush", "--port", &port.to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take();
        let server = Self { child };
        let mut lines = BufReader::new(stdout.ok_or_else(|| io::Error::other("no output"))?);
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line)? == 0 {
                return Err(io::Error::other("iperf3 does not listen"));
            }
            if line.contains("listening") {
                break;
            }
        }
        // It must have somebody who reads what else it says.
        thread::spawn(move || io::copy(&mut lines, &mut io::sink()));
        Ok(server)
    }

    /// Waits for its end after the stream, unless that failed.
    pub fn end(mut self, stream: io::Result<f64>) -> io::Result<f64> {
        let stream = stream?;
        self.child.wait()?;
        Ok(stream)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already unless something failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends so many streams for a second, each end on its processor, and returns the Gbit/s that
/// arrived.
pub fn stream(to: SocketAddr, streams: u32, [client, server]: [usize; 2]) -> io::Result<f64> {
    let mut command = iperf();
    command.args(["--client", &to.ip().to_string(), "--port", &to.port().to_string()]);
    command.args(["--time", "1", "--json"]);
    command.args(["--parallel", &streams.to_string()]);
    if thread::available_parallelism()?.get() > client.max(server) {
        command.args(["--affinity", &format!("{client},{server}")]);
    }
    let output = command.output()?;
    let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let bits = said.pointer("/end/sum_received/bits_per_second").and_then(Value::as_f64);
    match bits {
        Some(bits) => Ok(bits / 1e9),
        None => Err(io::Error::other(format!(
            "iperf3 failed: {}",
            said.get("error").and_then(Value::as_str).unwrap_or("no result")
        ))),
    }
}

fn iperf() -> Command {
    let mut command = Command::new("iperf3");
    command.env("PATH", programs::path()).stdin(Stdio::null()).stderr(Stdio::null());
    command
}
