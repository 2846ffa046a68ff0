//! The floor: a remote driver that does as little as a bridge can be made with.
//!
//! Whatever a driver does, the engine asks for it over a socket and sets up the container
//! itself; this shows what of the time that is. A bridge for a network, a link for an
//! endpoint, by netlink from this process: no firewall, no ports, nothing on disk, no
//! checks, no sandbox. Like most drivers it answers when what was asked for is done, so a
//! deletion takes as long as the kernel's.

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

/// The bridges' gateways, with the subnet's length, by network.
type Gateways = Mutex<HashMap<String, String>>;

/// Starts the driver. It ends with this process.
pub fn start(stage: &Stage) -> Result<(), Trouble> {
    let socket = stage.path_in_run(&format!("docker/plugins/{NAME}.sock"));
    let listener = UnixListener::bind(&socket).map_err(|source| Trouble::Io {
        what: format!("cannot listen at {}", socket.display()),
        source,
    })?;
    let place = stage.on(Place::host)?;
    // Its threads are in the host's network, as it is itself.
    thread::spawn(move || place.within(|| accept(&listener)));
    Ok(())
}

fn accept(listener: &UnixListener) {
    let gateways = Gateways::default();
    thread::scope(|scope| {
        for stream in listener.incoming().flatten() {
            // A connection that breaks is the engine's to open again.
            scope.spawn(|| serve(stream, &gateways));
        }
    });
}

/// Answers calls until the engine closes the connection. Each connection has a thread and
/// a netlink socket of its own, so calls that come in parallel wait in the kernel only.
fn serve(stream: UnixStream, gateways: &Gateways) -> io::Result<()> {
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
        let (status, answer) = match answer(&method, &body, gateways, &links) {
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

/// `first` is the request's first line, in lower case.
fn answer(first: &str, body: &Value, gateways: &Gateways, links: &Links) -> io::Result<Value> {
    // Never held while the kernel works: endpoints come in parallel.
    let gateways = || gateways.lock().unwrap_or_else(PoisonError::into_inner);
    let text = |path: &str| body.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let short = |path| text(path).get(..10).unwrap_or_default().to_owned();
    let bridge = format!("fl{}", short("/NetworkID"));
    let [port, peer] = ["fe", "fp"].map(|prefix| format!("{prefix}{}", short("/EndpointID")));
    let method = first.split(' ').nth(1).and_then(|path| path.rsplit('.').next());
    match method.unwrap_or_default() {
        "activate" => return Ok(json!({ "Implements": ["NetworkDriver"] })),
        "getcapabilities" => {
            return Ok(json!({ "Scope": "local", "ConnectivityScope": "local" }));
        }
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
            return Ok(json!({ "Interface": {} }));
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
    Ok(json!({}))
}
