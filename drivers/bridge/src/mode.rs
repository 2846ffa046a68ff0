//! Gateway modes.

use std::str::FromStr;

use wasmnet_sdk::firewall::{Access, SourceNat};

use crate::settings::Family;

/// How the outside and the containers of a network reach each other (Docker's
/// `gateway_mode_ipv4` and `gateway_mode_ipv6`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By the host's address, through published ports only.
    Nat,
    /// The same, and by the containers' own addresses without protection.
    NatUnprotected,
    /// By the containers' own addresses, published ports only.
    Routed,
    /// Not at all; the bridge has no address.
    Isolated,
}

// === impl Mode ===

impl FromStr for Mode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "nat" => Ok(Self::Nat),
            "nat-unprotected" => Ok(Self::NatUnprotected),
            "routed" => Ok(Self::Routed),
            "isolated" => Ok(Self::Isolated),
            _ => Err(()),
        }
    }
}

impl Mode {
    /// Who may open connections to the containers.
    pub fn access(self) -> Access {
        match self {
            Self::Nat | Self::Isolated => Access::Published,
            Self::NatUnprotected => Access::Unprotected,
            Self::Routed => Access::Routed,
        }
    }
}

// === impl Family ===

impl Family {
    /// What becomes of the containers' addresses in packets that leave the host.
    pub fn source_nat(&self, masquerade: bool) -> SourceNat {
        match self.mode {
            Mode::Nat | Mode::NatUnprotected if masquerade => match self.source {
                Some(address) => SourceNat::Address(address.into()),
                None => SourceNat::Masquerade,
            },
            _ => SourceNat::None,
        }
    }
}
