//! The floor: a remote driver that does as little as a bridge can be made with.
//!
//! Whatever a driver does, the engine asks for it over a socket and sets up the container
//! itself; this shows what of the time that is. A bridge for a network, a link for an
//! endpoint, by netlink from this process: no firewall, no ports, nothing on disk, no
//! checks, no sandbox. Like most drivers it answers when what was asked for is done, so a
//! deletion takes as long as the kernel's.
//!
//! Below it is only what answers and makes nothing: what the engine takes by itself.

mod link;

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Mutex, PoisonError};
use std::thread;

use serde_json::{Value, json};
use wasmnet_lab::Place;

use self::link::Links;
use super::Trouble;
use crate::stage::Stage;

/// Its name in Docker.
pub const NAME: &str = "bench-floor";
/// The name of what only answers.
pub const NOTHING: &str = "bench-nothing";

/// The bridges' gateways, with the subnet's length, by network.
type Gateways = Mutex<HashMap<String, String>>;

/// Starts both drivers. They end with this process.
pub fn start(stage: &Stage) -> Result<(), Trouble> {
    [NAME, NOTHING].into_iter().try_for_each(|name| listen(stage, name))
}

fn listen(stage: &Stage, name: &'static str) -> Result<(), Trouble> {
    let socket = stage.path_in_run(&format!("docker/plugins/{name}.sock"));
    let listener = UnixListener::bind(&socket).map_err(|source| Trouble::Io {
        what: format!("cannot listen at {}", socket.display()),
        source,
    })?;
    let place = stage.on(Place::host)?;
    // Its threads are in the host's network, as it is itself.
    thread::spawn(move || place.within(|| accept(&listener, name)));
    Ok(())
}

fn accept(listener: &UnixListener, name: &str) {
    let gateways = Gateways::default();
    thread::scope(|scope| {
        for stream in listener.incoming().flatten() {
            // A connection that breaks is the engine's to open again.
            scope.spawn(|| serve(stream, name, &gateways));
        }
    });
}

/// Answers calls until the engine closes the connection. Each connection has a thread and
/// a netlink socket of its own, so calls that come in parallel wait in the kernel only.
fn serve(stream: UnixStream, name: &str, gateways: &Gateways) -> io::Result<()> {
    let links = Links::open()?;
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
        let method = called(&method);
        let answer = match name {
            NOTHING => Ok(idle(method)),
            _ => answer(method, &body, gateways, &links),
        };
        let (status, answer) = match answer {
            Ok(answer) => ("200 OK", answer),
            Err(error) => ("500 Error", json!({ "Err": error.to_string() })),
        };
        let answer = answer.to_string();
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{answer}",
            answer.len()
        );
        stream.get_mut().write_all(answer.as_bytes())?;
    }
}

/// What a request calls, from its first line in lower case.
fn called(first: &str) -> &str {
    let path = first.split(' ').nth(1).unwrap_or_default();
    path.rsplit('.').next().unwrap_or_default()
}

/// Makes nothing.
fn idle(method: &str) -> Value {
    match method {
        "activate" => json!({ "Implements": ["NetworkDriver"] }),
        "getcapabilities" => json!({ "Scope": "local", "ConnectivityScope": "local" }),
        "createendpoint" => json!({ "Interface": {} }),
        _ => json!({}),
    }
}

fn answer(method: &str, body: &Value, gateways: &Gateways, links: &Links) -> io::Result<Value> {
    // Never held while the kernel works: endpoints come in parallel.
    let gateways = || gateways.lock().unwrap_or_else(PoisonError::into_inner);
    let text = |path: &str| body.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let short = |path| text(path).get(..10).unwrap_or_default().to_owned();
    let bridge = format!("fl{}", short("/NetworkID"));
    let [port, peer] = ["fe", "fp"].map(|prefix| format!("{prefix}{}", short("/EndpointID")));
    match method {
        "createnetwork" => {
            let gateway = text("/IPv4Data/0/Gateway");
            gateways().insert(bridge.clone(), gateway.to_owned());
            links.add_bridge(&bridge, gateway)?;
        }
        "deletenetwork" => {
            gateways().remove(&bridge);
            links.delete(&bridge)?;
        }
        "createendpoint" => {
            links.add_veth(&port, &peer, &bridge)?;
        }
        "deleteendpoint" => links.delete(&port)?,
        "join" => {
            let gateway = gateways().get(&bridge).cloned().unwrap_or_default();
            let gateway = gateway.split('/').next();
            return Ok(json!({
                "InterfaceName": { "SrcName": peer, "DstPrefix": "eth" },
                "Gateway": gateway,
            }));
        }
        _ => {}
    }
    Ok(idle(method))
}
