//! What users say with `--ipam-opt`, and engines with each address.

use wasmnet_sdk::{DriverOption, Error, LeasePurpose, MacAddress, Options};

use crate::store::World;

const POOL: &str = "pool";
const REST: &str = "rest";
const KNOWN: [&str; 2] = [POOL, REST];

/// The engine's word for a gateway's address.
const TYPE: &str = "RequestAddressType";
const GATEWAY: &str = "com.docker.network.gateway";
const MAC: &str = "com.docker.network.endpoint.macaddress";
const NAME: &str = "com.docker.network.endpoint.name";
const SERIAL: &str = "com.docker.network.ipam.serial";

/// How long an address rests if nobody says otherwise, in seconds.
const REST_DEFAULT: u32 = 30;
/// A day.
const REST_MAX: u32 = 24 * 60 * 60;
/// The beginning of an endpoint's name that is kept.
const NAME_MAX: usize = 64;

/// The options of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolOptions {
    /// The named pool it is to be from.
    pub name: Option<String>,
    /// How long its addresses rest, in seconds.
    pub rest: u32,
    /// What was asked for, to be compared.
    pub text: String,
}

/// The options of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressOptions {
    /// What it is for.
    pub purpose: LeasePurpose,
    /// Whose it is to be.
    pub mac: Option<MacAddress>,
    /// What the engine calls the endpoint.
    pub name: String,
    /// Whether it is to be the one after the last.
    pub serial: bool,
}

// === impl PoolOptions ===

impl PoolOptions {
    /// Reads the options of a pool. Keys with a dot are other vendors'.
    pub fn read(options: &[DriverOption], world: &impl World) -> Result<Self, Error> {
        for option in options {
            let key = option.key.as_str();
            if !key.contains('.') && !KNOWN.contains(&key) {
                let known = KNOWN.join(", ");
                return Err(Error::invalid(format!(
                    "option {key} is not known; known are {known}"
                )));
            }
        }
        let values = Options::new(options);
        let expected = format!("seconds from 0 to {REST_MAX}");
        let rest = match values.parse::<u32>(REST, &expected)? {
            Some(rest) => Some((format!("option {REST}"), rest)),
            None => match world.config(REST) {
                Some(text) => {
                    let wrong = |_| wrong(&format!("config {REST}"), &text);
                    Some((format!("config {REST}"), text.parse().map_err(wrong)?))
                }
                None => None,
            },
        };
        let rest = match rest {
            Some((key, rest)) if rest > REST_MAX => return Err(wrong(&key, &rest.to_string())),
            Some((_, rest)) => rest,
            None => REST_DEFAULT,
        };
        let ours = KNOWN.iter().filter_map(|key| Some(format!("{key}={}", values.get(key)?)));
        Ok(Self {
            name: values.get(POOL).map(str::to_owned),
            rest,
            text: ours.collect::<Vec<_>>().join(" "),
        })
    }
}

// === impl AddressOptions ===

impl AddressOptions {
    /// Reads the options of an address, which the engine has `chosen` or leaves open.
    pub fn read(options: &[DriverOption], chosen: bool) -> Self {
        let values = Options::new(options);
        let mac = values.get(MAC).and_then(mac);
        let purpose = if values.get(TYPE) == Some(GATEWAY) {
            LeasePurpose::Gateway
        } else if chosen && mac.is_none() {
            // Endpoints come with a MAC address, as the driver's capabilities want it.
            LeasePurpose::Auxiliary
        } else {
            LeasePurpose::Endpoint
        };
        Self {
            purpose,
            mac,
            name: values.get(NAME).unwrap_or_default().chars().take(NAME_MAX).collect(),
            serial: values.get(SERIAL) == Some("true"),
        }
    }
}

fn wrong(key: &str, value: &str) -> Error {
    Error::invalid(format!("{key}: \"{value}\" must be seconds from 0 to {REST_MAX}"))
}

/// Six octets in hexadecimal with colons between them.
fn mac(text: &str) -> Option<MacAddress> {
    let mut octets = [0; 6];
    let mut words = text.split(':');
    for octet in &mut octets {
        *octet = u8::from_str_radix(words.next()?, 16).ok()?;
    }
    words.next().is_none().then(|| octets.into())
}
