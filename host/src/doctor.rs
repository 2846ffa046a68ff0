//! `wasmnet doctor`: what is wrong on this host, and what to do about it.
//!
//! Three parties can disagree: the kernel, the daemon's ledger, and Docker's own list of
//! networks and containers. The daemon compares the first two ([`daemon`]); the command
//! line, off the way of any call, asks Docker and looks at the host's settings
//! ([`engine`], [`host`], [`neighbours`], [`peers`]). Each finding is one sentence with one of what to do; those that
//! the daemon can mend itself it mends when told to.

pub mod daemon;
pub(crate) mod engine;
pub(crate) mod host;
pub(crate) mod ipam;
pub(crate) mod neighbours;
pub(crate) mod peers;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::id::{DriverName, EndpointId, NetworkId};

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// A word for what kind of thing it is, which does not change.
    pub kind: Kind,
    /// What is wrong, in one sentence.
    pub wrong: String,
    /// What to do about it, in one sentence.
    pub advice: String,
    /// How the daemon mends it, if it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<Fix>,
}

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A driver that cannot be called.
    Driver,
    /// A kernel object is not as the ledger says.
    Drift,
    /// A kernel object that nobody knows, or that will not go.
    Leak,
    /// A network or endpoint that only one of Docker and the daemon knows.
    Ghost,
    /// Docker could not be asked.
    Engine,
    /// A setting of the host keeps traffic from passing.
    Forwarding,
    /// Packets of some sizes do not get through.
    Mtu,
    /// A table of the kernel's is too small for all the containers' neighbours.
    Neighbours,
    /// The cluster store cannot be reached.
    Cluster,
    /// What another host sends does not arrive, or something is sent to where no host is.
    Peer,
    /// Two networks claim the same addresses.
    Overlap,
    /// A program or a feature of the kernel is missing.
    Missing,
}

/// What the daemon can do about a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fix", rename_all = "kebab-case")]
pub enum Fix {
    /// Compare everything and put it back.
    Repair,
    /// Delete a network that Docker does not know.
    DeleteNetwork {
        /// The network.
        network: NetworkId,
    },
    /// Give an address back that no container has.
    ReleaseAddress {
        /// The IPAM driver.
        driver: DriverName,
        /// Its pool.
        pool: String,
        /// The address.
        address: IpAddr,
        /// Since when it was held, in nanoseconds since 1970: another lease is another's.
        since: u64,
    },
    /// Give a pool back that no network has.
    ReleasePool {
        /// The IPAM driver.
        driver: DriverName,
        /// The pool.
        pool: String,
    },
    /// Delete an endpoint that Docker does not know.
    DeleteEndpoint {
        /// Its network.
        network: NetworkId,
        /// The endpoint.
        endpoint: EndpointId,
    },
}

// === impl Finding ===

impl Finding {
    /// One that somebody has to see to.
    pub fn new(kind: Kind, wrong: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { kind, wrong: wrong.into(), advice: advice.into(), fix: None }
    }

    /// One that `wasmnet doctor --fix` mends.
    pub fn fixable(kind: Kind, wrong: impl Into<String>, fix: Fix) -> Self {
        let advice = "run \"wasmnet doctor --fix\"".to_owned();
        Self { kind, wrong: wrong.into(), advice, fix: Some(fix) }
    }
}
