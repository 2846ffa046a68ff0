//! The options of a network.
//!
//! Docker's own keys where its overlay driver has one, `wasmnet.overlay.*` for the rest. A
//! key of either that is not known is refused, since silence would promise what is not
//! done; above all `encrypted`, which must never be ignored.

use wasmnet_sdk::{
    DriverOption, Error, GatewaySkip, IpNetwork, Network, Options, Pool, common, ipnet::IpNet,
};

const ID: &str = "wasmnet.overlay.id";
const PORT: &str = "wasmnet.overlay.port";
const GATEWAY: &str = "wasmnet.overlay.gateway";
const VNI: &str = "com.docker.network.driver.overlay.vxlanid_list";
const ENCRYPTED: &str = "encrypted";

const OUR_KEYS: &str = "wasmnet.overlay.";
const DOCKERS_KEYS: &str = "com.docker.network.driver.overlay.";
const KNOWN: [&str; 4] = [ID, PORT, GATEWAY, VNI];

/// The UDP port that IANA has given to VXLAN.
const VXLAN_PORT: u16 = 4789;
/// A group's name may have 128 bytes; some are left for what stands before it.
const ID_MAX: usize = 64;
/// VXLAN network identifiers have 24 bits (RFC 7348, section 5).
const VNIS: std::ops::RangeInclusive<u32> = 1..=0xff_ffff;

/// A network's options, checked.
pub struct Settings {
    /// What the network is called on all its hosts.
    pub group: String,
    /// The identifier that the user chose.
    pub vni: Option<u32>,
    /// The UDP port of all VTEPs.
    pub port: u16,
    /// MTU of the containers, in bytes.
    pub mtu: Option<u32>,
    /// The way out of the network.
    pub gateway: Gateway,
    /// What the interface in the container is called, before its number.
    pub interface_prefix: String,
}

/// The containers' way out of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gateway {
    /// The engine's own bridge, docker_gwbridge, as with Docker's overlay driver.
    Engine,
    /// This network's bridge, which has the gateway's address on every host.
    Host,
}

// === impl Settings ===

impl Settings {
    /// Reads the options of a network.
    pub fn of(network: &Network) -> Result<Self, Error> {
        check_keys(&network.options)?;
        let options = Options::new(&network.options);
        Ok(Self {
            group: group(network, &options)?,
            vni: vni(&options)?,
            port: port(&options)?,
            mtu: common::mtu(network, &options)?,
            gateway: gateway(&options)?,
            interface_prefix: common::interface_prefix(&options)?,
        })
    }
}

/// Without a bridge that has its address nobody needs a gateway.
pub fn gateway_skip(options: &[DriverOption]) -> Result<GatewaySkip, Error> {
    check_keys(options)?;
    let skip = gateway(&Options::new(options))? == Gateway::Engine;
    Ok(GatewaySkip { ipv4: skip, ipv6: skip })
}

fn check_keys(options: &[DriverOption]) -> Result<(), Error> {
    for option in options {
        let key = option.key.as_str();
        if key == ENCRYPTED {
            return Err(Error::invalid(
                "option encrypted: this driver cannot encrypt yet; without the option traffic \
                 between hosts goes in the clear",
            ));
        }
        let ours = key.starts_with(OUR_KEYS) || key.starts_with(DOCKERS_KEYS);
        if ours && !KNOWN.contains(&key) {
            return Err(Error::invalid(format!(
                "option {key} is not known; known are {}",
                KNOWN.join(", ")
            )));
        }
    }
    Ok(())
}

/// The id that the user gave, or else the subnets: the engine does not tell a driver what
/// the network is called.
fn group(network: &Network, options: &Options<'_>) -> Result<String, Error> {
    let Some(id) = options.get(ID) else {
        let mut subnets: Vec<String> = subnets(network).map(|net| net.to_string()).collect();
        subnets.sort_unstable();
        return Ok(format!("subnet:{}", subnets.join(",")));
    };
    let fits = (1..=ID_MAX).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if !fits {
        return Err(Error::invalid(format!(
            "option {ID}: \"{id}\" must be 1 to {ID_MAX} letters, digits, dots, dashes or underscores"
        )));
    }
    Ok(format!("id:{id}"))
}

fn vni(options: &Options<'_>) -> Result<Option<u32>, Error> {
    let expected = "one number from 1 to 16777215: all subnets of a network have the same";
    let vni = options.parse::<u32>(VNI, expected)?;
    match vni {
        Some(vni) if !VNIS.contains(&vni) => {
            Err(Error::invalid(format!("option {VNI}: \"{vni}\" must be {expected}")))
        }
        vni => Ok(vni),
    }
}

fn port(options: &Options<'_>) -> Result<u16, Error> {
    let expected = "a UDP port from 1 to 65535";
    match options.parse::<u16>(PORT, expected)? {
        Some(0) => Err(Error::invalid(format!("option {PORT}: \"0\" must be {expected}"))),
        port => Ok(port.unwrap_or(VXLAN_PORT)),
    }
}

fn gateway(options: &Options<'_>) -> Result<Gateway, Error> {
    match options.get(GATEWAY) {
        None | Some("engine") => Ok(Gateway::Engine),
        Some("host") => Ok(Gateway::Host),
        Some(other) => Err(Error::invalid(format!(
            "option {GATEWAY}: \"{other}\" must be engine (docker_gwbridge) or host"
        ))),
    }
}

/// All subnets of a network.
pub fn subnets(network: &Network) -> impl Iterator<Item = IpNet> {
    pools(network).filter_map(|pool| net(pool.subnet))
}

/// All pools of a network.
pub fn pools(network: &Network) -> impl Iterator<Item = &Pool> {
    network.ipv4.iter().chain(&network.ipv6)
}

fn net(network: IpNetwork) -> Option<IpNet> {
    IpNet::new(network.address.into(), network.prefix_length).ok()
}
