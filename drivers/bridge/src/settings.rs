//! The network options of Docker's bridge driver.
//!
//! Keys and values are Docker's (`docker network create --help`, bridge driver
//! reference). A key of Docker's bridge that is not known here is refused, since
//! silence would promise what is not done; other vendors' keys are not ours to judge.

use std::net::IpAddr;

use wasmnet_sdk::{DriverOption, Error, GatewaySkip, IpNetwork, Network, Options, Pool, common};

use crate::mode::Mode;

const NAME: &str = "com.docker.network.bridge.name";
const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
const ICC: &str = "com.docker.network.bridge.enable_icc";
const MODE_IPV4: &str = "com.docker.network.bridge.gateway_mode_ipv4";
const MODE_IPV6: &str = "com.docker.network.bridge.gateway_mode_ipv6";
const INHIBIT_IPV4: &str = "com.docker.network.bridge.inhibit_ipv4";
const HOST_BINDING: &str = "com.docker.network.bridge.host_binding_ipv4";
const TRUSTED: &str = "com.docker.network.bridge.trusted_host_interfaces";
const HOST_IPV4: &str = "com.docker.network.host_ipv4";
const HOST_IPV6: &str = "com.docker.network.host_ipv6";

const BRIDGE_KEYS: &str = "com.docker.network.bridge.";
const KNOWN_BRIDGE_KEYS: [&str; 8] =
    [NAME, MASQUERADE, ICC, MODE_IPV4, MODE_IPV6, INHIBIT_IPV4, HOST_BINDING, TRUSTED];

/// `--aux-address` names that say which gateway containers get instead of the bridge.
const GATEWAY_IPV4: &str = "DefaultGatewayIPv4";
const GATEWAY_IPV6: &str = "DefaultGatewayIPv6";

/// The kernel's link names have 15 bytes.
const LINK_NAME_MAX: usize = 15;

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
    /// How the outside and the containers reach each other, for each family.
    pub ipv4: Family,
    /// The same for IPv6.
    pub ipv6: Family,
    /// Where ports are published if the user does not say.
    pub host_binding: Option<IpAddr>,
    /// Links of the host behind which everybody may reach containers' addresses.
    pub trusted: Vec<String>,
    /// What the interface in the container is called, before its number.
    pub interface_prefix: String,
}

/// What holds for one family.
pub struct Family {
    /// The gateway mode.
    pub mode: Mode,
    /// The address that traffic leaving the host takes, instead of the link's.
    pub source: Option<IpAddr>,
    /// Whether the bridge has an address.
    pub bridge_address: bool,
    /// The gateway that containers get instead of the bridge.
    pub gateway: Option<IpNetwork>,
}

// === impl Settings ===

impl Settings {
    /// Reads the options of a network.
    pub fn of(network: &Network) -> Result<Self, Error> {
        let options = Options::new(&network.options);
        check_keys(&network.options)?;
        let mode_ipv4 = mode(&options, MODE_IPV4)?;
        let mode_ipv6 = mode(&options, MODE_IPV6)?;
        for (key, mode) in [(MODE_IPV4, mode_ipv4), (MODE_IPV6, mode_ipv6)] {
            if mode == Mode::Isolated && !network.internal {
                return Err(Error::invalid(format!(
                    "option {key}: \"isolated\" is for internal networks only; add --internal"
                )));
            }
        }
        let inhibit = options.flag(INHIBIT_IPV4)?.unwrap_or(false);
        Ok(Self {
            name: options.get(NAME).filter(|name| !name.is_empty()).map(str::to_owned),
            mtu: common::mtu(network, &options)?,
            masquerade: options.flag(MASQUERADE)?.unwrap_or(true),
            inter_container: options.flag(ICC)?.unwrap_or(true),
            ipv4: Family {
                mode: mode_ipv4,
                source: address(&options, HOST_IPV4, true)?,
                bridge_address: mode_ipv4 != Mode::Isolated && !inhibit,
                gateway: auxiliary(&network.ipv4, GATEWAY_IPV4),
            },
            ipv6: Family {
                mode: mode_ipv6,
                source: address(&options, HOST_IPV6, false)?,
                bridge_address: mode_ipv6 != Mode::Isolated,
                gateway: auxiliary(&network.ipv6, GATEWAY_IPV6),
            },
            host_binding: options.parse(HOST_BINDING, "an address of the host")?,
            trusted: trusted(&options)?,
            interface_prefix: common::interface_prefix(&options)?,
        })
    }

    /// An error of making the bridge, with the option that chose its name.
    pub fn name_error(&self, error: Error) -> Error {
        match self.name {
            Some(_) => Error { message: format!("option {NAME}: {}", error.message), ..error },
            None => error,
        }
    }
}

/// Which families need no gateway: those whose bridge has no address to be one. As in
/// Docker's driver the address is kept where it may stand on another device.
pub fn gateway_skip(options: &[DriverOption]) -> Result<GatewaySkip, Error> {
    check_keys(options)?;
    let options = Options::new(options);
    Ok(GatewaySkip {
        ipv4: mode(&options, MODE_IPV4)? == Mode::Isolated,
        ipv6: mode(&options, MODE_IPV6)? == Mode::Isolated,
    })
}

fn check_keys(options: &[DriverOption]) -> Result<(), Error> {
    for option in options {
        let key = option.key.as_str();
        if key.starts_with(BRIDGE_KEYS) && !KNOWN_BRIDGE_KEYS.contains(&key) {
            return Err(Error::invalid(format!(
                "option {key} is not known; known are {}",
                KNOWN_BRIDGE_KEYS.join(", ")
            )));
        }
    }
    Ok(())
}

fn mode(options: &Options<'_>, key: &str) -> Result<Mode, Error> {
    let mode = options.parse(key, "nat, nat-unprotected, routed or isolated")?;
    Ok(mode.unwrap_or(Mode::Nat))
}

fn address(options: &Options<'_>, key: &str, ipv4: bool) -> Result<Option<IpAddr>, Error> {
    let expected = if ipv4 { "an IPv4 address of the host" } else { "an IPv6 address of the host" };
    let Some(address) = options.parse::<IpAddr>(key, expected)? else { return Ok(None) };
    if address.is_ipv4() != ipv4 {
        return Err(Error::invalid(format!("option {key}: \"{address}\" must be {expected}")));
    }
    Ok(Some(address))
}

fn auxiliary(pools: &[Pool], name: &str) -> Option<IpNetwork> {
    let mut all = pools.iter().flat_map(|pool| &pool.auxiliary);
    all.find(|(key, _)| key == name).map(|(_, address)| *address)
}

fn trusted(options: &Options<'_>) -> Result<Vec<String>, Error> {
    let Some(text) = options.get(TRUSTED) else { return Ok(Vec::new()) };
    let is_name = |name: &str| {
        (1..=LINK_NAME_MAX).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    if !text.split(':').all(is_name) {
        return Err(Error::invalid(format!(
            "option {TRUSTED}: \"{text}\" must be names of links with colons between them, as in eth1:wg0"
        )));
    }
    Ok(text.split(':').map(str::to_owned).collect())
}
