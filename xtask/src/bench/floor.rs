//! The floor: a remote driver that does as little as a bridge can be made with.
//!
//! Whatever a driver does, the engine asks for it over a socket and sets up the container
//! itself; this shows what of the time that is. No firewall, no records, no checks, no
//! sandbox: a bridge for a network, a link for an endpoint, by `ip`.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::{Value, json};
use wasmnet_lab::Place;

use super::Trouble;
use crate::programs;
use crate::stage::Stage;

/// Its name in Docker.
pub const NAME: &str = "bench-floor";

/// The bridges' gateways, with the subnet's length.
type Gateways = Arc<Mutex<HashMap<String, String>>>;

/// Starts the driver. It ends with this process.
pub fn start(stage: &Stage) -> Result<(), Trouble> {
    let socket = stage.path_in_run(&format!("docker/plugins/{NAME}.sock"));
    let listener = UnixListener::bind(&socket).map_err(|source| Trouble::Io {
        what: format!("cannot listen at {}", socket.display()),
        source,
    })?;
    let place = stage.on(Place::host)?;
    // What it starts is in the host's network, as it is itself.
    thread::spawn(move || place.within(|| accept(&listener)));
    Ok(())
}

fn accept(listener: &UnixListener) {
    let gateways = Gateways::default();
    thread::scope(|scope| {
        for stream in listener.incoming().flatten() {
            let gateways = Arc::clone(&gateways);
            // A connection that breaks is the engine's to open again.
            scope.spawn(move || serve(stream, &gateways));
        }
    });
}

/// Answers calls until the engine closes the connection.
fn serve(stream: UnixStream, gateways: &Gateways) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut method, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_ascii_lowercase();
            match line.strip_prefix("content-length: ") {
                Some(digits) => length = digits.parse().unwrap_or_default(),
                None if line.is_empty() => break,
                None if method.is_empty() => method = line,
                None => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        let body = serde_json::from_slice(&body).unwrap_or_default();
        let (status, answer) = match answer(&method, &body, gateways) {
            Ok(answer) => ("200 OK", answer),
            Err(error) => ("500 Error", json!({ "Err": error.to_string() })),
        };
        let answer = answer.to_string();
        write!(
            stream.get_mut(),
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{answer}",
            answer.len()
        )?;
    }
}

/// `first` is the request's first line, in lower case.
fn answer(first: &str, body: &Value, gateways: &Gateways) -> io::Result<Value> {
    // Never held while `ip` runs: endpoints come in parallel.
    let gateways = || gateways.lock().unwrap_or_else(PoisonError::into_inner);
    let text = |path: &str| body.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let short = |path| text(path).get(..10).unwrap_or_default().to_owned();
    let (bridge, link) = (format!("fl{}", short("/NetworkID")), short("/EndpointID"));
    let method = first.split(' ').nth(1).and_then(|path| path.rsplit('.').next());
    match method.unwrap_or_default() {
        "activate" => return Ok(json!({ "Implements": ["NetworkDriver"] })),
        "getcapabilities" => {
            return Ok(json!({ "Scope": "local", "ConnectivityScope": "local" }));
        }
        "createnetwork" => {
            let gateway = text("/IPv4Data/0/Gateway");
            gateways().insert(bridge.clone(), gateway.to_owned());
            ip(&format!(
                "link add {bridge} type bridge\naddr add {gateway} dev {bridge}\n\
                 link set {bridge} up\n"
            ))?;
        }
        "deletenetwork" => {
            gateways().remove(&bridge);
            ip(&format!("link del {bridge}\n"))?;
        }
        "createendpoint" => {
            ip(&format!("link add fe{link} up master {bridge} type veth peer name fp{link}\n"))?;
            return Ok(json!({ "Interface": {} }));
        }
        "deleteendpoint" => ip(&format!("link del fe{link}\n"))?,
        "join" => {
            let gateway = gateways().get(&bridge).cloned().unwrap_or_default();
            let gateway = gateway.split('/').next();
            return Ok(json!({
                "InterfaceName": { "SrcName": format!("fp{link}"), "DstPrefix": "eth" },
                "Gateway": gateway,
            }));
        }
        _ => {}
    }
    Ok(json!({}))
}

/// Does these commands of ip(8).
fn ip(batch: &str) -> io::Result<()> {
    let mut child = Command::new("ip")
        .args(["-batch", "-"])
        .env("PATH", programs::path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(batch.as_bytes())?;
    }
    match child.wait()?.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!("ip failed: {}", batch.trim()))),
    }
}
