//! The network options of Docker's bridge driver.
//!
//! Keys and values are Docker's (`docker network create --help`, bridge driver
//! reference). A key of Docker's bridge that is not known here is refused, since
//! silence would promise what is not done; other vendors' keys are not ours to judge.

use wasmnet_sdk::{Error, Network, Options};

const NAME: &str = "com.docker.network.bridge.name";
const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
const ICC: &str = "com.docker.network.bridge.enable_icc";
const MTU: &str = "com.docker.network.driver.mtu";
const IFACE_PREFIX: &str = "com.docker.network.container_iface_prefix";

const BRIDGE_KEYS: &str = "com.docker.network.bridge.";
const KNOWN_BRIDGE_KEYS: [&str; 3] = [NAME, MASQUERADE, ICC];

/// IPv4 needs 68 bytes (RFC 791); the kernel takes up to 65535 on a bridge.
const MTU_RANGE: std::ops::RangeInclusive<u32> = 68..=65535;
/// IPv6 works on links of at least 1280 bytes (RFC 8200).
const MTU_MIN_IPV6: u32 = 1280;
/// The kernel's names have 15 bytes; a few are left for the number.
const IFACE_PREFIX_MAX: usize = 12;

/// A network's options, checked.
pub struct Settings {
    /// The bridge's name, if the user chose one.
    pub name: Option<String>,
    /// MTU of bridge and containers, in bytes.
    pub mtu: Option<u32>,
    /// Whether traffic leaving the host takes the host's address.
    pub masquerade: bool,
    /// Whether containers of the network may talk to each other.
    pub inter_container: bool,
    /// What the interface in the container is called, before its number.
    pub interface_prefix: String,
}

// === impl Settings ===

impl Settings {
    /// Reads the options of a network.
    pub fn of(network: &Network) -> Result<Self, Error> {
        for option in &network.options {
            let key = option.key.as_str();
            if key.starts_with(BRIDGE_KEYS) && !KNOWN_BRIDGE_KEYS.contains(&key) {
                return Err(Error::invalid(format!(
                    "option {key} is not known; known are {}",
                    KNOWN_BRIDGE_KEYS.join(", ")
                )));
            }
        }
        let options = Options::new(&network.options);
        Ok(Self {
            name: options.get(NAME).filter(|name| !name.is_empty()).map(str::to_owned),
            mtu: mtu(network, &options)?,
            masquerade: options.flag(MASQUERADE)?.unwrap_or(true),
            inter_container: options.flag(ICC)?.unwrap_or(true),
            interface_prefix: interface_prefix(&options)?,
        })
    }
}

fn mtu(network: &Network, options: &Options<'_>) -> Result<Option<u32>, Error> {
    let expected = "a number of bytes from 68 to 65535";
    // 0 is how Docker spells "the default".
    let Some(mtu) = options.parse::<u32>(MTU, expected)?.filter(|mtu| *mtu != 0) else {
        return Ok(None);
    };
    if !MTU_RANGE.contains(&mtu) {
        return Err(Error::invalid(format!("option {MTU}: \"{mtu}\" must be {expected}")));
    }
    if mtu < MTU_MIN_IPV6 && !network.ipv6.is_empty() {
        return Err(Error::invalid(format!(
            "option {MTU}: \"{mtu}\" must be at least {MTU_MIN_IPV6} on a network with IPv6"
        )));
    }
    Ok(Some(mtu))
}

fn interface_prefix(options: &Options<'_>) -> Result<String, Error> {
    let prefix = options.get(IFACE_PREFIX).unwrap_or("eth");
    let fits = !prefix.is_empty()
        && prefix.len() <= IFACE_PREFIX_MAX
        && prefix.bytes().all(|byte| byte.is_ascii_graphic() && !b"/:%".contains(&byte));
    if !fits {
        return Err(Error::invalid(format!(
            "option {IFACE_PREFIX}: \"{prefix}\" must be 1 to {IFACE_PREFIX_MAX} letters, digits, dots, dashes or underscores"
        )));
    }
    Ok(prefix.to_owned())
}
