//! Networks, endpoints and what engine and driver say about them, typed.
//!
//! The wire formats of Docker (`docker::wire`) and of the contract
//! (`runtime::convert`) both map to these; the ledger stores them.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::{
    id::{EndpointId, NetworkId},
    mac::Mac,
};

/// `-o key=value` options.
pub type Options = BTreeMap<String, String>;

/// Where a driver's networks exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// On one host.
    Local,
    /// On all hosts of a cluster.
    Global,
}

/// What the engine is told about a network driver before anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkCapabilities {
    /// Who allots addresses and ids.
    pub scope: Scope,
    /// How far containers of one network reach each other.
    pub connectivity: Scope,
    /// Whether the driver wants to be asked about gateways.
    pub gateway_allocation: bool,
}

/// What the engine is told about an IPAM driver before anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpamCapabilities {
    /// The engine makes up a MAC address for each request.
    pub requires_mac_address: bool,
    /// The engine repeats all requests when it starts.
    pub requires_request_replay: bool,
}

/// Names of the two address spaces of an IPAM driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressSpaces {
    /// For networks of one host.
    pub local: String,
    /// For networks of a cluster.
    pub global: String,
}

/// One `--subnet` of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// The IPAM driver's name for where it is from.
    pub address_space: String,
    /// The subnet, host bits zero.
    pub subnet: IpNet,
    /// The gateway with the subnet's prefix length.
    pub gateway: Option<IpNet>,
    /// `--aux-address` NAME=ADDRESS.
    pub auxiliary: BTreeMap<String, IpNet>,
}

/// A network as the user asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The engine's id.
    pub id: NetworkId,
    /// `-o` options.
    pub options: Options,
    /// `--internal`.
    pub internal: bool,
    /// IPv4 pools; empty without IPv4.
    pub ipv4: Vec<Pool>,
    /// IPv6 pools; empty without IPv6.
    pub ipv6: Vec<Pool>,
}

/// What the engine or the user wants of a new endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointRequest {
    /// The engine's id.
    pub id: EndpointId,
    /// The address the engine's IPAM gave it.
    pub ipv4: Option<Ipv4Net>,
    /// The IPv6 address the engine's IPAM gave it.
    pub ipv6: Option<Ipv6Net>,
    /// The MAC address the user asked for.
    pub mac: Option<Mac>,
    /// `--driver-opt` options.
    pub options: Options,
}

/// What the driver chose for a new endpoint, where the request left it open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointSettings {
    /// An address the driver allotted.
    pub ipv4: Option<Ipv4Net>,
    /// An IPv6 address the driver allotted.
    pub ipv6: Option<Ipv6Net>,
    /// The MAC address of the container's interface.
    pub mac: Option<Mac>,
}

/// The link that becomes the container's interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerInterface {
    /// A link in the host's namespace.
    pub source: String,
    /// The interface is called this plus a number.
    pub prefix: String,
}

/// A route in the container beside the default route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaticRoute {
    /// Where to.
    pub destination: IpNet,
    /// By which neighbour; none means directly connected.
    pub next_hop: Option<IpAddr>,
}

/// What the engine sets up in the container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinInfo {
    /// The interface; none gives the container none.
    pub interface: Option<ContainerInterface>,
    /// The IPv4 default gateway.
    pub gateway: Option<Ipv4Addr>,
    /// The IPv6 default gateway.
    pub gateway_ipv6: Option<Ipv6Addr>,
    /// Further routes.
    pub routes: Vec<StaticRoute>,
    /// Neither a gateway from this network nor the engine's own bridge.
    pub disable_gateway_service: bool,
}

/// A transport protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// One published port (`-p`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortBinding {
    /// Its protocol.
    pub protocol: Protocol,
    /// The port in the container.
    pub container_port: u16,
    /// The host address to listen on; none means all.
    pub host_address: Option<IpAddr>,
    /// First and last host port to choose from; (0, 0) means any ephemeral one.
    pub host_ports: (u16, u16),
}

/// What the engine says about a node of a Swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Its address.
    pub address: IpAddr,
    /// Whether it is this host.
    pub is_self: bool,
}

/// What a network's addresses should come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolRequest {
    /// One of the driver's address spaces.
    pub address_space: String,
    /// The family is IPv6.
    pub ipv6: bool,
    /// `--subnet`; none lets the driver choose.
    pub subnet: Option<IpNet>,
    /// `--ip-range`.
    pub sub_pool: Option<IpNet>,
    /// `--ipam-opt` options.
    pub options: Options,
}

/// A pool that an IPAM driver reserved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReservedPool {
    /// The driver's name for the reservation.
    pub id: String,
    /// Its subnet.
    pub subnet: IpNet,
    /// A gateway the driver wants used.
    pub gateway: Option<IpNet>,
}

/// A pool and its use, as its driver tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolReport {
    /// The driver's name for the reservation.
    pub id: String,
    /// One of the driver's address spaces.
    pub address_space: String,
    /// Its subnet.
    pub subnet: IpNet,
    /// The part that addresses are chosen from, if not all of it.
    pub range: Option<IpNet>,
    /// The operator's name for where it is from.
    pub name: Option<String>,
    /// Addresses that somebody has.
    pub held: u64,
    /// Addresses that were given back a short time ago.
    pub resting: u64,
    /// Addresses that can be chosen at once.
    pub free: u64,
    /// What other hosts have of it, if it is shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<SharedPool>,
}

/// What a pool that several hosts share looks like from this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedPool {
    /// What the hosts call it.
    pub name: String,
    /// The blocks of addresses that this host gives out.
    pub blocks: Vec<IpNet>,
    /// How many blocks other hosts have; none if that cannot be known now.
    pub others: Option<u64>,
    /// How many blocks there are.
    pub all: u64,
}

/// Whether somebody has an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaseState {
    /// Somebody has it.
    Held,
    /// It was given back a short time ago.
    Resting,
}

/// What an address is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeasePurpose {
    /// A container.
    Endpoint,
    /// A network's gateway.
    Gateway,
    /// `--aux-address`.
    Auxiliary,
}

/// An address that somebody has or had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The address.
    pub address: IpAddr,
    /// Whether somebody has it.
    pub state: LeaseState,
    /// What it is for.
    pub purpose: LeasePurpose,
    /// Whose it is.
    pub mac: Option<Mac>,
    /// What the engine calls the endpoint.
    pub name: String,
    /// Since when it is in this state, in nanoseconds since 1970.
    pub since: u64,
}

// === impl EndpointRequest ===

impl EndpointRequest {
    /// The endpoint's address of either family, the driver's where the engine gave none.
    pub fn addresses(&self, settings: &EndpointSettings) -> impl Iterator<Item = IpAddr> + use<> {
        let ipv4 = self.ipv4.or(settings.ipv4).map(|net| IpAddr::V4(net.addr()));
        let ipv6 = self.ipv6.or(settings.ipv6).map(|net| IpAddr::V6(net.addr()));
        ipv4.into_iter().chain(ipv6)
    }
}

// === impl Protocol ===

impl Protocol {
    /// The IP protocol's number (IANA).
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

// === impl Network ===

impl Network {
    /// Its pools, of both families.
    pub fn pools(&self) -> impl Iterator<Item = &Pool> {
        self.ipv4.iter().chain(&self.ipv6)
    }
}
