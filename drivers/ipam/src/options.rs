//! What users say with `--ipam-opt`, and engines with each address.

use wasmnet_sdk::{DriverOption, Error, LeasePurpose, MacAddress, Options};

use crate::store::World;

const POOL: &str = "pool";
const REST: &str = "rest";
const CLUSTER: &str = "cluster";
const GRACE: &str = "grace";
const KNOWN: [&str; 4] = [POOL, REST, CLUSTER, GRACE];

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
/// The longest name of a shared pool.
const CLUSTER_MAX: usize = 64;
/// How long a host may be away until its blocks are others', in seconds.
const GRACE_DEFAULT: u32 = 300;
/// Less than a few leases of a host would make it dead too soon.
const GRACE_RANGE: std::ops::RangeInclusive<u32> = 5..=REST_MAX;
/// The beginning of an endpoint's name that is kept.
const NAME_MAX: usize = 64;

/// The options of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolOptions {
    /// The named pool it is to be from.
    pub name: Option<String>,
    /// How long its addresses rest, in seconds.
    pub rest: u32,
    /// What other hosts call it, if it is shared with them.
    pub cluster: Option<Cluster>,
    /// What was asked for, to be compared.
    pub text: String,
}

/// The options of a pool that several hosts share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// How long a host may be away until its blocks are others', in seconds, if the user says.
    pub grace: Option<u32>,
    /// The same if nobody says.
    pub grace_default: u32,
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
        let (asked, config) = seconds(&values, world, REST, 0..=REST_MAX)?;
        let rest = asked.or(config).unwrap_or(REST_DEFAULT);
        let (grace, config) = seconds(&values, world, GRACE, GRACE_RANGE)?;
        let grace_default = config.unwrap_or(GRACE_DEFAULT);
        let cluster = match values.get(CLUSTER) {
            Some(name) => Some(Cluster { name: cluster_name(name)?, grace, grace_default }),
            None if grace.is_some() => {
                return Err(Error::invalid(format!("option {GRACE} is for option {CLUSTER} only")));
            }
            None => None,
        };
        let ours = KNOWN.iter().filter_map(|key| Some(format!("{key}={}", values.get(key)?)));
        Ok(Self {
            name: values.get(POOL).map(str::to_owned),
            rest,
            cluster,
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

/// What the user and what the operator say of a time.
fn seconds(
    values: &Options<'_>,
    world: &impl World,
    key: &str,
    range: std::ops::RangeInclusive<u32>,
) -> Result<(Option<u32>, Option<u32>), Error> {
    let read = |of: &str, text: &str| {
        let seconds = text.parse().ok().filter(|seconds| range.contains(seconds));
        seconds.ok_or_else(|| {
            let (first, last) = (range.start(), range.end());
            Error::invalid(format!("{of} {key}: \"{text}\" must be seconds from {first} to {last}"))
        })
    };
    let asked = values.get(key).map(|text| read("option", text)).transpose()?;
    let config = match asked {
        Some(_) => None,
        None => world.config(key).map(|text| read("config", &text)).transpose()?,
    };
    Ok((asked, config))
}

fn cluster_name(name: &str) -> Result<String, Error> {
    let fits = (1..=CLUSTER_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if fits {
        return Ok(name.to_owned());
    }
    Err(Error::invalid(format!(
        "option {CLUSTER}: \"{name}\" must be 1 to {CLUSTER_MAX} letters, digits, dots, dashes or \
         underscores"
    )))
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
