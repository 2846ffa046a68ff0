//! Why something is denied, for people and for programs.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is denied. Its text never changes: programs and people look for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// A kind of link.
    DeniedLinkKind,
    /// A link name that the user did not choose.
    DeniedLinkName,
    /// A bridge of somebody else.
    DeniedAdopt,
    /// A link of the host to make others on.
    DeniedParent,
    /// An address outside the network's subnets.
    DeniedAddress,
    /// A route to outside the network's subnets.
    DeniedRoute,
    /// A setting of a link.
    DeniedSysctl,
    /// Another source address for what leaves the host.
    DeniedMasquerade,
    /// A port of the host.
    DeniedPublish,
    /// A port published for somebody else's address.
    DeniedPublishTarget,
    /// Access to the containers' own addresses.
    DeniedDirectAccess,
    /// The host's own networks.
    DeniedHostNetworks,
    /// What the nodes of a cluster share.
    DeniedCluster,
    /// A server on the network.
    DeniedHttp,
    /// A file of the host.
    DeniedFile,
}

/// Who says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The component's manifest does not ask for it.
    NotAsked,
    /// The operator has not granted it.
    NotGranted,
    /// Nobody can grant it.
    Never,
}

/// Something that a driver may not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("denied: the driver may not {what}; {}", self.hint())]
pub struct Denial {
    /// What kind of thing.
    pub code: Code,
    /// What exactly, to follow "may not".
    pub what: String,
    /// Who says no.
    pub reason: Reason,
}

// === impl Denial ===

impl Denial {
    fn hint(&self) -> String {
        let code = self.code;
        let why = match self.reason {
            Reason::NotAsked => "its manifest does not ask for that",
            Reason::NotGranted => "the operator has not granted that",
            Reason::Never => "no driver may",
        };
        format!("{why} ({code}, see `wasmnet explain {code}`)")
    }
}

// === impl Code ===

impl Code {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::DeniedLinkKind,
        Self::DeniedLinkName,
        Self::DeniedAdopt,
        Self::DeniedParent,
        Self::DeniedAddress,
        Self::DeniedRoute,
        Self::DeniedSysctl,
        Self::DeniedMasquerade,
        Self::DeniedPublish,
        Self::DeniedPublishTarget,
        Self::DeniedDirectAccess,
        Self::DeniedHostNetworks,
        Self::DeniedCluster,
        Self::DeniedHttp,
        Self::DeniedFile,
    ];

    /// Its text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DeniedLinkKind => "denied-link-kind",
            Self::DeniedLinkName => "denied-link-name",
            Self::DeniedAdopt => "denied-adopt",
            Self::DeniedParent => "denied-parent",
            Self::DeniedAddress => "denied-address",
            Self::DeniedRoute => "denied-route",
            Self::DeniedSysctl => "denied-sysctl",
            Self::DeniedMasquerade => "denied-masquerade",
            Self::DeniedPublish => "denied-publish",
            Self::DeniedPublishTarget => "denied-publish-target",
            Self::DeniedDirectAccess => "denied-direct-access",
            Self::DeniedHostNetworks => "denied-host-networks",
            Self::DeniedCluster => "denied-cluster",
            Self::DeniedHttp => "denied-http",
            Self::DeniedFile => "denied-file",
        }
    }

    /// What it means.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::DeniedLinkKind => "The driver tried to make a kind of link that it may not make.",
            Self::DeniedLinkName => {
                "The driver tried to give a link a name. Names are the host's to pick, unless the \
                 user gave one with an option of the network."
            }
            Self::DeniedAdopt => {
                "The driver tried to use a bridge that somebody else made, as the network's user \
                 asked."
            }
            Self::DeniedParent => {
                "The driver tried to make a link on one of the host's, which gives it frames of \
                 that wire. The network's user must name the link in an option, too."
            }
            Self::DeniedAddress => {
                "The driver tried to use an address outside its network's subnets. It could take \
                 traffic that is meant for others."
            }
            Self::DeniedRoute => {
                "The driver tried to route a destination outside its network's subnets through \
                 a link of its own. It could take traffic that is meant for others."
            }
            Self::DeniedSysctl => "The driver tried to write a setting of one of its links.",
            Self::DeniedMasquerade => {
                "The driver tried to give traffic that leaves the host another source address."
            }
            Self::DeniedPublish => "The driver tried to publish a port of the host.",
            Self::DeniedPublishTarget => {
                "The driver tried to publish a port for an address that is not its endpoint's. \
                 It could lead traffic to anybody."
            }
            Self::DeniedDirectAccess => {
                "The driver tried to open its containers' own addresses to others, and not only \
                 published ports."
            }
            Self::DeniedHostNetworks => {
                "The driver tried to learn which networks the host's routes, addresses and name \
                 servers are in. It needs that to choose subnets that collide with none."
            }
            Self::DeniedCluster => {
                "The driver tried to share something with itself on the other nodes of a cluster, \
                 or to learn which nodes there are."
            }
            Self::DeniedHttp => {
                "The driver tried to send an HTTP request to a server. It could carry away what \
                 it knows, or reach services that only this host may."
            }
            Self::DeniedFile => "The driver tried to read a file of the host.",
        }
    }

    /// What to write under `[driver.grants]` to allow it, as an example; none if nobody can.
    pub fn grant(self) -> Option<&'static str> {
        match self {
            Self::DeniedLinkKind => Some("links = [\"bridge\", \"veth\"]"),
            Self::DeniedAdopt => Some("adopt = [\"lan*\"]"),
            Self::DeniedParent => Some("parents = [\"eth*\"]"),
            Self::DeniedAddress => Some("addresses = [\"192.0.2.0/24\"]"),
            Self::DeniedRoute => Some("routes = [\"192.0.2.0/24\"]"),
            Self::DeniedSysctl => Some("sysctls = [\"accept_ra\"]"),
            Self::DeniedMasquerade => Some("masquerade = true"),
            Self::DeniedPublish => Some("publish = [\"1024-65535\"]"),
            Self::DeniedDirectAccess => Some("direct-access = true"),
            Self::DeniedHostNetworks => Some("host-networks = true"),
            Self::DeniedCluster => Some("cluster = true"),
            Self::DeniedHttp => Some("http = [\"ipam.example.org:443\"]"),
            Self::DeniedFile => Some("files = [\"/etc/acme/*.toml\"]"),
            Self::DeniedLinkName | Self::DeniedPublishTarget => None,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
