//! A driver that looks outside, and tells what it sees in the error it fails with.
//!
//! Options of the network: `get=URL` sends a request, with `method=METHOD` another than GET
//! and with `field=NAME:VALUE` a field in its header; `read=PATH` reads a file.

use wasmnet_sdk::{Error, Network, NetworkDriver, Options, files, http};

struct Curious;

wasmnet_sdk::network_driver! {
    driver: Curious,
    name: "curious",
    description: "Looks outside.",
    grants: {
        "http": ["*:*"],
        "files": ["/*/*", "/*/*/*", "/*/*/*/*", "/*/*/*/*/*"]
    },
}

// === impl Curious ===

impl NetworkDriver for Curious {
    fn create_network(network: &Network) -> Result<(), Error> {
        let options = Options::new(&network.options);
        if let Some(path) = options.get("read") {
            return saw("read", &files::read(path)?);
        }
        let Some(url) = options.get("get") else { return Ok(()) };
        let field = options.get("field").and_then(|field| field.split_once(':'));
        let field = field
            .map(|(name, value)| http::Field { name: name.to_owned(), value: value.to_owned() });
        let response = http::send(&http::Request {
            method: options.get("method").unwrap_or("GET").to_owned(),
            url: url.to_owned(),
            fields: field.into_iter().collect(),
            body: Vec::new(),
        })?;
        saw(&response.status.to_string(), &response.body)
    }
}

fn saw(what: &str, bytes: &[u8]) -> Result<(), Error> {
    Err(Error::invalid(format!("saw {what}: {}", String::from_utf8_lossy(bytes))))
}
