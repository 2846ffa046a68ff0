//! The table of grants: the same in a manifest (JSON) and in the operator's file (TOML).

use std::collections::BTreeSet;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{FilePattern, HostPattern, Pattern, PortRange};

/// What a driver asks for, or is granted. The default is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Grants {
    /// Kinds of links it may make: "bridge", "veth", "vxlan", "macvlan", "ipvlan",
    /// "vlan".
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub links: BTreeSet<Kind>,
    /// Bridges of others that it may use for a network whose user names them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub adopt: Vec<Pattern>,
    /// Links of the host on which it may make others, for a network whose user names them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<Pattern>,
    /// Subnets from which its links may have addresses, beyond its networks' own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpNet>,
    /// Destinations to which its links may have routes, beyond its networks' own subnets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<IpNet>,
    /// Settings of its links that it may write: the last part of the name ("accept_ra").
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub sysctls: BTreeSet<String>,
    /// Whether packets that leave the host may get another source address.
    #[serde(skip_serializing_if = "is_false")]
    pub masquerade: bool,
    /// Ports of the host that it may publish.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<PortRange>,
    /// Whether its containers may be reached by their own addresses from elsewhere.
    #[serde(skip_serializing_if = "is_false")]
    pub direct_access: bool,
    /// Whether it may learn which networks the host itself uses.
    #[serde(skip_serializing_if = "is_false")]
    pub host_networks: bool,
    /// Whether it may share something with the other nodes of a cluster.
    #[serde(skip_serializing_if = "is_false")]
    pub cluster: bool,
    /// Servers to which it may send HTTP requests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<HostPattern>,
    /// Files of the host that it may read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FilePattern>,
}

/// A kind of link, as ip-link(8) spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A bridge.
    Bridge,
    /// A veth pair, for containers.
    Veth,
    /// A VXLAN tunnel endpoint.
    Vxlan,
    /// A macvlan link.
    Macvlan,
    /// An ipvlan link.
    Ipvlan,
    /// A VLAN link.
    Vlan,
}

fn is_false(flag: &bool) -> bool {
    !flag
}
