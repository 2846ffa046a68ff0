//! The options of a network: Docker's own keys, and `wasmnet.*` for what is more.

use wasmnet_sdk::{DriverOption, Error, Network, Options, common, links::MacvlanMode};

use crate::mode::{IPVLAN_FLAG, IPVLAN_MODE, MACVLAN_MODE, MODE, Mode};

const PARENT: &str = "parent";
const HOST_ACCESS: &str = "wasmnet.host_access";
const DEFAULT_ROUTE: &str = "wasmnet.default_route";
const KNOWN: [&str; 7] =
    [PARENT, MODE, MACVLAN_MODE, IPVLAN_MODE, IPVLAN_FLAG, HOST_ACCESS, DEFAULT_ROUTE];

/// A network's options, checked.
pub struct Settings {
    /// The link whose wire the containers are on; none keeps them for themselves.
    pub parent: Option<String>,
    /// How they are on it.
    pub mode: Mode,
    /// Whether the host reaches them, and they the host.
    pub host_access: bool,
    /// Whether the wire is the default route where there is no gateway. Engines since 26.1 ask
    /// a name server on the host's loopback only for containers that have a default route.
    pub default_route: bool,
    /// MTU of the containers in bytes; none takes the parent's.
    pub mtu: Option<u32>,
    /// What the interface in the container is called, before its number.
    pub interface_prefix: String,
}

// === impl Settings ===

impl Settings {
    /// Reads the options of a network.
    pub fn of(network: &Network) -> Result<Self, Error> {
        check_keys(&network.options)?;
        let options = Options::new(&network.options);
        let settings = Self {
            parent: options.get(PARENT).filter(|parent| !parent.is_empty()).map(str::to_owned),
            mode: Mode::of(&options)?,
            host_access: options.flag(HOST_ACCESS)?.unwrap_or(false),
            default_route: options.flag(DEFAULT_ROUTE)?.unwrap_or(false),
            mtu: common::mtu(network, &options)?,
            interface_prefix: common::interface_prefix(&options)?,
        };
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), Error> {
        if self.parent.as_deref() == Some("lo") {
            return Err(Error::invalid("option parent: \"lo\" has no wire; name another link"));
        }
        if self.host_access && self.mode != Mode::Macvlan(MacvlanMode::Bridge) {
            return Err(Error::invalid(
                "option wasmnet.host_access needs macvlan_mode=bridge: in the other modes the \
                 kernel lets links of one parent not talk to each other",
            ));
        }
        if self.host_access && self.parent.is_none() {
            return Err(Error::invalid(
                "option wasmnet.host_access needs a parent: without one nobody reaches the network",
            ));
        }
        Ok(())
    }
}

/// Refuses keys of this driver's that it does not know; other vendors' have a dot.
pub fn check_keys(options: &[DriverOption]) -> Result<(), Error> {
    for option in options {
        let key = option.key.as_str();
        let ours = !key.contains('.') || key.starts_with("wasmnet.");
        if ours && !KNOWN.contains(&key) {
            return Err(Error::invalid(format!(
                "option {key} is not known; known are {}",
                KNOWN.join(", ")
            )));
        }
    }
    Ok(())
}
