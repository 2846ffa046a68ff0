//! The options of a network: Docker's own keys, and `wasmnet.*` for what is more.

use std::str::FromStr;

use wasmnet_sdk::{DriverOption, Error, Network, Options, common, links::MacvlanMode};

const PARENT: &str = "parent";
const MODE: &str = "macvlan_mode";
const HOST_ACCESS: &str = "wasmnet.host_access";
const KNOWN: [&str; 3] = [PARENT, MODE, HOST_ACCESS];

/// A network's options, checked.
pub struct Settings {
    /// The link whose wire the containers are on; none keeps them for themselves.
    pub parent: Option<String>,
    /// With whom they may talk there.
    pub mode: MacvlanMode,
    /// Whether the host reaches them, and they the host.
    pub host_access: bool,
    /// MTU of the containers in bytes; none takes the parent's.
    pub mtu: Option<u32>,
    /// What the interface in the container is called, before its number.
    pub interface_prefix: String,
}

/// A mode as the user spells it.
struct Mode(MacvlanMode);

// === impl Settings ===

impl Settings {
    /// Reads the options of a network.
    pub fn of(network: &Network) -> Result<Self, Error> {
        check_keys(&network.options)?;
        let options = Options::new(&network.options);
        let mode = options.parse::<Mode>(MODE, "bridge, private, vepa or passthru")?;
        let parent = options.get(PARENT).filter(|parent| !parent.is_empty()).map(str::to_owned);
        let settings = Self {
            parent,
            mode: mode.map_or(MacvlanMode::Bridge, |mode| mode.0),
            host_access: options.flag(HOST_ACCESS)?.unwrap_or(false),
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
        if self.host_access && self.mode != MacvlanMode::Bridge {
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

// === impl Mode ===

impl FromStr for Mode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(Self(match text {
            "" | "bridge" => MacvlanMode::Bridge,
            "private" => MacvlanMode::Private,
            "vepa" => MacvlanMode::Vepa,
            "passthru" => MacvlanMode::Passthru,
            _ => return Err(()),
        }))
    }
}
