//! The rows of the ledger.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{
    id::{DriverName, EndpointId, NetworkId},
    kernel::Object,
    model::{EndpointRequest, EndpointSettings, JoinInfo, Network, PortBinding},
    since_boot::SinceBoot,
};

/// What something belongs to: a network, or an endpoint of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// The driver that serves the network.
    pub driver: DriverName,
    /// The network.
    pub network: NetworkId,
    /// The endpoint, if it is one's.
    pub endpoint: Option<EndpointId>,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRecord {
    /// The driver that serves it.
    pub driver: DriverName,
    /// What the user asked for.
    pub network: Network,
    /// Seconds since 1970 when it was made.
    pub created: u64,
}

/// An endpoint and how far its life has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointRecord {
    /// What the engine asked for.
    pub request: EndpointRequest,
    /// What the driver chose.
    pub settings: EndpointSettings,
    /// The sandbox it joined, and what the engine was told.
    pub joined: Option<Joined>,
    /// The ports it publishes while it is its container's way out.
    pub programmed: Option<Vec<PortBinding>>,
    /// Seconds since 1970 when it was made.
    pub created: u64,
    /// Since when a link of its container's is seen on the host, where no container has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stranded: Option<SinceBoot>,
}

/// A sandbox that an endpoint joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// The sandbox's key: the path its namespace has, or will have.
    pub sandbox: String,
    /// What the engine was told to set up.
    pub info: JoinInfo,
}

/// A kernel object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Objects made later have greater numbers.
    pub sequence: u64,
    /// What it belongs to.
    pub scope: Scope,
    /// The driver's word for it, if it is a link.
    pub label: Option<String>,
    /// All that is needed to make it again.
    pub object: Object,
    /// It is to be deleted from the kernel and forgotten.
    pub doomed: bool,
}

/// What tells two endpoints apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndpointKey {
    /// Its network.
    pub network: NetworkId,
    /// Its id.
    pub endpoint: EndpointId,
}

// === impl Scope ===

impl Scope {
    /// A network's scope.
    pub fn network(driver: DriverName, network: NetworkId) -> Self {
        Self { driver, network, endpoint: None }
    }

    /// The tag (IFLA_IFALIAS) of links in this scope: whose they are, for people
    /// and for finding orphans. The kernel takes 255 bytes; ids are cut to fit.
    pub fn alias(&self) -> String {
        let short = |id: &str| id.chars().take(64).collect::<String>();
        let mut alias = format!("{ALIAS_PREFIX}{}/{}", self.driver, short(self.network.as_str()));
        if let Some(endpoint) = &self.endpoint {
            alias.push('/');
            alias.push_str(&short(endpoint.as_str()));
        }
        alias
    }

    /// Whether something in `other` goes when this scope goes.
    pub fn contains(&self, other: &Self) -> bool {
        self.network == other.network
            && (self.endpoint.is_none() || self.endpoint == other.endpoint)
    }
}

/// What every tag of ours begins with.
pub const ALIAS_PREFIX: &str = "wasmnet:";

// === impl EndpointKey ===

impl EndpointKey {
    /// As it stands in the store. Ids are printable, so NUL separates them.
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.network.as_str(), "\0", self.endpoint.as_str()].concat().into_bytes()
    }

    /// Reads it back.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (network, endpoint) = std::str::from_utf8(bytes).ok()?.split_once('\0')?;
        Some(Self { network: network.parse().ok()?, endpoint: endpoint.parse().ok()? })
    }
}

// === impl EndpointRecord ===

impl EndpointRecord {
    /// Its addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        self.request.addresses(&self.settings)
    }
}
