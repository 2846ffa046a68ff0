//! What the daemon shows of itself.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{
    cluster::{Node, Reach},
    grants::Grants,
    id::{DriverName, EndpointId, NetworkId},
    mac::Mac,
    model::{JoinInfo, PoolReport, Protocol},
};

/// The daemon as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its version.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// Seconds since it started.
    pub uptime: u64,
    /// Networks that stand.
    pub networks: usize,
    /// Endpoints that stand.
    pub endpoints: usize,
    /// Kernel objects in the ledger.
    pub objects: usize,
    /// Kernel objects that are still to be deleted.
    pub doomed: usize,
    /// Keys that drivers have in the store.
    pub keys: usize,
    /// Components that had to be compiled since the start.
    pub compiled: u64,
    /// The operator's file.
    pub config: PathBuf,
    /// What is shared with other nodes.
    pub cluster: Option<ClusterView>,
    /// The drivers.
    pub drivers: Vec<DriverView>,
}

/// This node's cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterView {
    /// What the nodes share: "embedded" (nothing), "etcd".
    pub store: String,
    /// Where it is.
    pub endpoints: Vec<String>,
    /// Whether it can be reached.
    #[serde(flatten)]
    pub reach: Reach,
    /// This node's id.
    pub node: String,
    /// The nodes that are there, this one included.
    pub nodes: Vec<Node>,
    /// Values that this node publishes.
    pub published: usize,
    /// Groups that networks here follow.
    pub followed: usize,
}

/// A driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverView {
    /// Its name in Docker.
    pub name: DriverName,
    /// Whether it can be called.
    pub ready: bool,
    /// Why not.
    pub reason: Option<String>,
    /// Why it is not called for a while, if it is in quarantine.
    #[serde(default)]
    pub quarantine: Option<QuarantineView>,
    /// What it is: "network", "ipam".
    pub roles: Vec<String>,
    /// The component's own version.
    pub version: String,
    /// What it says it is for.
    pub description: String,
    /// SHA-256 of the component, in hex.
    pub digest: String,
    /// The capabilities it imports.
    pub imports: Vec<String>,
    /// What its manifest asks for.
    pub wanted: Grants,
    /// What the operator grants.
    pub granted: Grants,
    /// Networks it serves.
    pub networks: usize,
}

/// A driver's quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineView {
    /// When it may be tried again, in seconds since 1970.
    pub until: u64,
    /// Failures in a row.
    pub failures: u32,
    /// The last one.
    pub reason: String,
}

/// What came of lifting a quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    /// The driver.
    pub driver: DriverName,
    /// Whether it was in quarantine.
    pub lifted: bool,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkView {
    /// The engine's id.
    pub id: NetworkId,
    /// The driver that serves it.
    pub driver: DriverName,
    /// Its subnets.
    pub subnets: Vec<IpNet>,
    /// Their gateways.
    pub gateways: Vec<IpAddr>,
    /// `--internal`.
    pub internal: bool,
    /// `-o` options.
    pub options: BTreeMap<String, String>,
    /// Seconds since 1970 when it was made.
    pub created: u64,
    /// Its endpoints.
    pub endpoints: Vec<EndpointView>,
    /// Its VTEPs.
    pub vteps: Vec<VtepView>,
    /// The nodes that publish something for it, this one included.
    pub peers: Vec<Node>,
    /// What the other nodes publish for it.
    pub remote: Vec<RemoteView>,
    /// Its kernel objects, in the order in which they were made.
    pub objects: Vec<ObjectView>,
}

/// A VXLAN tunnel endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VtepView {
    /// Its link.
    pub link: String,
    /// The VXLAN network identifier.
    pub vni: u32,
    /// The UDP port.
    pub port: u16,
    /// This host's address for the others.
    pub local: IpAddr,
    /// The largest packet inside, in bytes.
    pub mtu: Option<u32>,
    /// The VTEPs that it sends to, by the Ethernet addresses behind them.
    pub forwarding: BTreeMap<Mac, IpAddr>,
}

/// What another node publishes for a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteView {
    /// In which group.
    pub group: String,
    /// As what.
    pub key: String,
    /// Who does.
    pub node: String,
    /// Its address.
    pub address: IpAddr,
    /// The value, line by line; what is not text is shown as well as can be.
    pub value: Vec<String>,
}

/// A kernel object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectView {
    /// What it is, as in the ledger: "link wn0123456789ab".
    pub key: String,
    /// The endpoint it belongs to, if it is one's.
    pub endpoint: Option<EndpointId>,
}

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointView {
    /// The engine's id.
    pub id: EndpointId,
    /// Its network.
    pub network: NetworkId,
    /// The driver that serves it.
    pub driver: DriverName,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its MAC address.
    pub mac: Option<Mac>,
    /// The host's end of its link.
    pub link: Option<String>,
    /// The sandbox it is in.
    pub sandbox: Option<String>,
    /// What the engine was told at Join.
    pub join: Option<JoinInfo>,
    /// The ports it publishes, with the host's ports that were chosen.
    pub ports: Vec<PortView>,
    /// Seconds since 1970 when it was made.
    pub created: u64,
}

/// An IPAM driver's books.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpamView {
    /// The driver.
    pub driver: DriverName,
    /// Its address space for networks of one host.
    pub local: String,
    /// Its pools.
    pub pools: Vec<PoolReport>,
    /// Why it does not tell.
    pub error: Option<String>,
}

/// Which of a pool's leases are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeasesOf {
    /// The driver.
    pub driver: DriverName,
    /// The pool.
    pub pool: String,
    /// Those after this address.
    pub after: Option<IpAddr>,
}

/// A published port, on one address of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortView {
    /// The network.
    pub network: NetworkId,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// The protocol.
    pub protocol: Protocol,
    /// Where the host listens; none if the container is reached by its own address.
    pub host: Option<SocketAddr>,
    /// The container's address and port.
    pub container: SocketAddr,
}
