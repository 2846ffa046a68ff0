//! How containers are on their parent's wire.

use std::{fmt, str::FromStr};

use wasmnet_sdk::{
    Error, Options,
    links::{IpvlanFlag, IpvlanMode, MacvlanMode},
};

/// Ours, for all of them; the others are Docker's.
pub const MODE: &str = "mode";
pub const MACVLAN_MODE: &str = "macvlan_mode";
pub const IPVLAN_MODE: &str = "ipvlan_mode";
pub const IPVLAN_FLAG: &str = "ipvlan_flag";

/// What container links are, and with whom they may talk.
#[derive(Clone, Copy, PartialEq)]
pub enum Mode {
    /// They have Ethernet addresses of their own.
    Macvlan(MacvlanMode),
    /// They have the parent's.
    Ipvlan(IpvlanMode, IpvlanFlag),
}

/// Modes as the user spells them.
struct Any(Mode);
struct Macvlan(MacvlanMode);
struct Ipvlan(IpvlanMode);
struct Flag(IpvlanFlag);

// === impl Mode ===

impl Mode {
    /// Reads the options of a network.
    pub fn of(options: &Options<'_>) -> Result<Self, Error> {
        let keys = [MODE, MACVLAN_MODE, IPVLAN_MODE];
        let given: Vec<&str> = keys.into_iter().filter(|key| options.get(key).is_some()).collect();
        if let [one, other, ..] = given[..] {
            let message = format!("options {one} and {other} both say the mode; give one of them");
            return Err(Error::invalid(message));
        }
        let any = "bridge, private, vepa, passthru, ipvlan-l2, ipvlan-l3 or ipvlan-l3s";
        let any = options.parse::<Any>(MODE, any)?.map(|mode| mode.0);
        let macvlan =
            options.parse::<Macvlan>(MACVLAN_MODE, "bridge, private, vepa or passthru")?;
        let ipvlan = options.parse::<Ipvlan>(IPVLAN_MODE, "l2, l3 or l3s")?;
        let flag = options.parse::<Flag>(IPVLAN_FLAG, "bridge, private or vepa")?;
        let mode = any
            .or(macvlan.map(|mode| Self::Macvlan(mode.0)))
            .or(ipvlan.map(|mode| Self::Ipvlan(mode.0, IpvlanFlag::Bridge)))
            .unwrap_or(Self::Macvlan(MacvlanMode::Bridge));
        match (mode, flag) {
            (Self::Ipvlan(mode, _), Some(flag)) => Ok(Self::Ipvlan(mode, flag.0)),
            (Self::Macvlan(_), Some(_)) => Err(Error::invalid(format!(
                "option {IPVLAN_FLAG} needs an ipvlan mode, as in mode=ipvlan-l2"
            ))),
            (mode, None) => Ok(mode),
        }
    }

    /// Whether nobody else may be on the parent.
    pub fn is_alone(self) -> bool {
        self == Self::Macvlan(MacvlanMode::Passthru)
    }

    /// Whether packets go by routes, and nobody is asked for an Ethernet address.
    pub fn is_routed(self) -> bool {
        matches!(self, Self::Ipvlan(IpvlanMode::L3 | IpvlanMode::L3s, _))
    }

    /// Whether containers of one host talk to each other directly.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Macvlan(MacvlanMode::Bridge) | Self::Ipvlan(_, IpvlanFlag::Bridge))
    }
}

/// What networks on one parent must have in common.
impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Macvlan(MacvlanMode::Passthru) => f.write_str("macvlan in mode passthru"),
            Self::Macvlan(_) => f.write_str("macvlan"),
            Self::Ipvlan(mode, flag) => {
                let mode = match mode {
                    IpvlanMode::L2 => "l2",
                    IpvlanMode::L3 => "l3",
                    IpvlanMode::L3s => "l3s",
                };
                let flag = match flag {
                    IpvlanFlag::Bridge => "bridge",
                    IpvlanFlag::Private => "private",
                    IpvlanFlag::Vepa => "vepa",
                };
                write!(f, "ipvlan in mode {mode} with flag {flag}")
            }
        }
    }
}

// === impl FromStr ===

impl FromStr for Any {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(Self(match text.strip_prefix("ipvlan-") {
            Some("") | None => Mode::Macvlan(text.parse::<Macvlan>()?.0),
            Some(mode) => Mode::Ipvlan(mode.parse::<Ipvlan>()?.0, IpvlanFlag::Bridge),
        }))
    }
}

// Docker takes an empty value for the default.
impl FromStr for Macvlan {
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

impl FromStr for Ipvlan {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(Self(match text {
            "" | "l2" => IpvlanMode::L2,
            "l3" => IpvlanMode::L3,
            "l3s" => IpvlanMode::L3s,
            _ => return Err(()),
        }))
    }
}

impl FromStr for Flag {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(Self(match text {
            "" | "bridge" => IpvlanFlag::Bridge,
            "private" => IpvlanFlag::Private,
            "vepa" => IpvlanFlag::Vepa,
            _ => return Err(()),
        }))
    }
}
