//! Whether a call may do something.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use ipnet::IpNet;

use super::{Code, Denial, Grants, Reason, table::Kind};
use crate::{
    kernel::{LinkName, SourceNat},
    model::Network,
};

/// What one driver asks for and what it is granted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Permits {
    /// What the component's manifest asks for.
    pub wanted: Grants,
    /// What the operator grants.
    pub granted: Grants,
}

/// What is a call's own, without any grant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The network's subnets.
    subnets: Vec<IpNet>,
    /// What the user wrote into the network's options.
    values: BTreeSet<String>,
}

/// What one call may do.
#[derive(Debug, Clone, Default)]
pub struct Authority {
    permits: Arc<Permits>,
    about: About,
}

/// What a driver wants to do.
#[derive(Debug, Clone, Copy)]
pub enum Request<'a> {
    /// Make a link.
    Link(Kind),
    /// Give it this name.
    Name(&'a LinkName),
    /// Use somebody else's bridge.
    Adopt(&'a LinkName),
    /// Make a link on another one of the host's.
    Parent(&'a LinkName),
    /// Make a VLAN link on another one of the host's; that it is what the network's user has
    /// named is asked as its [`Name`](Self::Name).
    Vlan(&'a LinkName),
    /// Put an address, or a whole subnet, on a link.
    Address(IpNet),
    /// Route something through a link.
    Route(IpNet),
    /// Write a setting of a link.
    Sysctl(&'a str),
    /// Change the source address of what leaves the host.
    SourceNat(SourceNat),
    /// Publish this port of the host.
    Publish(u16),
    /// Publish whatever port of the host is free.
    PublishAny,
    /// Publish a port of the container with this address, `true` if it is the endpoint's.
    Target(IpAddr, bool),
    /// Open the containers' own addresses.
    DirectAccess,
    /// Learn which networks the host itself uses.
    HostNetworks,
    /// Share something with the other nodes of a cluster.
    Cluster,
    /// Send an HTTP request to this port of a server.
    Http(&'a str, u16),
    /// Read a file of the host.
    File(&'a str),
}

// === impl Authority ===

impl Authority {
    /// What a driver with these permits may do in a call about this network.
    pub fn new(permits: Arc<Permits>, about: About) -> Self {
        Self { permits, about }
    }

    /// Allows it or says why not.
    pub fn check(&self, request: Request<'_>) -> Result<(), Denial> {
        if self.about.owns(request) {
            return Ok(());
        }
        let (code, what) = request.describe();
        let reason = if code.grant().is_none() || self.about.forbids(request) {
            Reason::Never
        } else if !self.permits.wanted.allow(request) {
            Reason::NotAsked
        } else if !self.permits.granted.allow(request) {
            Reason::NotGranted
        } else {
            return Ok(());
        };
        Err(Denial { code, what, reason })
    }
}

// === impl About ===

impl About {
    fn owns(&self, request: Request<'_>) -> bool {
        match request {
            Request::Name(name) => self.values.contains(name.as_str()),
            Request::Address(net) | Request::Route(net) => {
                self.subnets.iter().any(|own| own.contains(&net))
            }
            Request::SourceNat(SourceNat::None) => true,
            Request::Target(_, own) => own,
            _ => false,
        }
    }
}

impl About {
    /// Whether only the network's user could ask for it, and has not.
    fn forbids(&self, request: Request<'_>) -> bool {
        matches!(request, Request::Parent(name) if !self.values.contains(name.as_str()))
    }
}

impl From<&Network> for About {
    fn from(network: &Network) -> Self {
        let pools = network.ipv4.iter().chain(&network.ipv6);
        Self {
            // Docker's null IPAM driver hands out "0.0.0.0/0": no subnet of anybody's.
            subnets: pools.map(|pool| pool.subnet).filter(|net| net.prefix_len() != 0).collect(),
            values: network.options.values().cloned().collect(),
        }
    }
}

// === impl Grants ===

impl Grants {
    /// Whether it is in the table.
    fn allow(&self, request: Request<'_>) -> bool {
        let within = |nets: &[IpNet], net: IpNet| nets.iter().any(|granted| granted.contains(&net));
        match request {
            Request::Link(kind) => self.links.contains(&kind),
            Request::Adopt(name) => self.adopt.iter().any(|pattern| pattern.matches(name)),
            Request::Parent(name) | Request::Vlan(name) => {
                self.parents.iter().any(|pattern| pattern.matches(name))
            }
            Request::Address(net) => within(&self.addresses, net),
            Request::Route(net) => within(&self.routes, net),
            Request::Sysctl(key) => self.sysctls.contains(key),
            Request::SourceNat(_) => self.masquerade,
            Request::Publish(port) => self.publish.iter().any(|range| range.contains(port)),
            Request::PublishAny => !self.publish.is_empty(),
            Request::DirectAccess => self.direct_access,
            Request::HostNetworks => self.host_networks,
            Request::Cluster => self.cluster,
            Request::Http(host, port) => self.http.iter().any(|server| server.matches(host, port)),
            Request::File(path) => self.files.iter().any(|pattern| pattern.matches(path)),
            Request::Name(_) | Request::Target(..) => false,
        }
    }
}

// === impl Request ===

impl Request<'_> {
    fn describe(self) -> (Code, String) {
        match self {
            Self::Link(kind) => (Code::DeniedLinkKind, format!("make {}", kind.words())),
            Self::Name(name) => (
                Code::DeniedLinkName,
                format!("call a link {name}, a name that no option of the network has"),
            ),
            Self::Adopt(name) => (Code::DeniedAdopt, format!("use bridge {name}, made by others")),
            Self::Parent(name) => (Code::DeniedParent, format!("make links on {name}")),
            Self::Vlan(name) => (Code::DeniedParent, format!("make VLAN links on {name}")),
            Self::Address(net) => {
                (Code::DeniedAddress, format!("use {net}, outside the network's subnets"))
            }
            Self::Route(net) => {
                (Code::DeniedRoute, format!("route {net}, outside the network's subnets"))
            }
            Self::Sysctl(key) => {
                (Code::DeniedSysctl, format!("set {} of its links", key.escape_default()))
            }
            Self::SourceNat(_) => (
                Code::DeniedMasquerade,
                "change the source address of what leaves the host".to_owned(),
            ),
            Self::Publish(port) => (Code::DeniedPublish, format!("publish the host's port {port}")),
            Self::PublishAny => (Code::DeniedPublish, "publish ports".to_owned()),
            Self::Target(ip, _) => {
                (Code::DeniedPublishTarget, format!("publish ports for {ip}, not its endpoint's"))
            }
            Self::DirectAccess => (
                Code::DeniedDirectAccess,
                "let others reach its containers' own addresses".to_owned(),
            ),
            Self::HostNetworks => {
                (Code::DeniedHostNetworks, "learn which networks the host itself uses".to_owned())
            }
            Self::Cluster => (
                Code::DeniedCluster,
                "share something with the other nodes of a cluster".to_owned(),
            ),
            Self::Http(host, port) => {
                (Code::DeniedHttp, format!("send requests to {}:{port}", host.escape_default()))
            }
            Self::File(path) => (Code::DeniedFile, format!("read {}", path.escape_default())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(text: &str) -> Grants {
        toml::from_str(text).unwrap()
    }

    fn authority(wanted: &str, granted: &str) -> Authority {
        let permits = Permits { wanted: grants(wanted), granted: grants(granted) };
        let about = About {
            subnets: vec!["10.1.0.0/16".parse().unwrap()],
            values: BTreeSet::from(["acme0".to_owned()]),
        };
        Authority::new(Arc::new(permits), about)
    }

    /// Each request with the grants that just allow it; none: nothing does.
    fn cases() -> Vec<(Request<'static>, Code, Option<&'static str>)> {
        let name: &'static LinkName = Box::leak(Box::new("br9".parse().unwrap()));
        let own: &'static LinkName = Box::leak(Box::new("acme0".parse().unwrap()));
        let net = |text: &str| text.parse().unwrap();
        vec![
            (Request::Link(Kind::Bridge), Code::DeniedLinkKind, Some("links = [\"bridge\"]")),
            (Request::Link(Kind::Veth), Code::DeniedLinkKind, Some("links = [\"veth\"]")),
            (Request::Link(Kind::Vxlan), Code::DeniedLinkKind, Some("links = [\"vxlan\"]")),
            (Request::Link(Kind::Macvlan), Code::DeniedLinkKind, Some("links = [\"macvlan\"]")),
            (Request::Link(Kind::Ipvlan), Code::DeniedLinkKind, Some("links = [\"ipvlan\"]")),
            (Request::Link(Kind::Vlan), Code::DeniedLinkKind, Some("links = [\"vlan\"]")),
            (Request::Vlan(name), Code::DeniedParent, Some("parents = [\"br*\"]")),
            (Request::Name(name), Code::DeniedLinkName, None),
            (Request::Parent(own), Code::DeniedParent, Some("parents = [\"acme*\"]")),
            (Request::Adopt(name), Code::DeniedAdopt, Some("adopt = [\"br*\"]")),
            (
                Request::Address(net("192.0.2.7/24")),
                Code::DeniedAddress,
                Some("addresses = [\"192.0.2.0/24\"]"),
            ),
            (
                Request::Route(net("192.0.2.0/25")),
                Code::DeniedRoute,
                Some("routes = [\"192.0.2.0/24\"]"),
            ),
            (Request::Sysctl("accept_ra"), Code::DeniedSysctl, Some("sysctls = [\"accept_ra\"]")),
            (
                Request::SourceNat(SourceNat::Masquerade),
                Code::DeniedMasquerade,
                Some("masquerade = true"),
            ),
            (Request::Publish(8080), Code::DeniedPublish, Some("publish = [\"8080\"]")),
            (Request::PublishAny, Code::DeniedPublish, Some("publish = [\"8080\"]")),
            (Request::Target("10.1.0.9".parse().unwrap(), false), Code::DeniedPublishTarget, None),
            (Request::DirectAccess, Code::DeniedDirectAccess, Some("direct-access = true")),
            (Request::HostNetworks, Code::DeniedHostNetworks, Some("host-networks = true")),
            (Request::Cluster, Code::DeniedCluster, Some("cluster = true")),
            (
                Request::Http("ipam.example", 443),
                Code::DeniedHttp,
                Some("http = [\"*.example:443\"]"),
            ),
            (Request::File("/etc/acme/a"), Code::DeniedFile, Some("files = [\"/etc/acme/*\"]")),
        ]
    }

    #[test]
    fn only_what_is_asked_for_and_granted_is_allowed() {
        for (request, code, grant) in cases() {
            let denial = authority("", "").check(request).unwrap_err();
            assert_eq!(denial.code, code, "{denial}");
            assert!(denial.to_string().contains(code.as_str()), "{denial}");
            let Some(grant) = grant else {
                assert_eq!(denial.reason, Reason::Never);
                continue;
            };
            assert_eq!(denial.reason, Reason::NotAsked);
            let reason = |wanted, granted| {
                authority(wanted, granted).check(request).map_err(|denial| denial.reason)
            };
            assert_eq!(reason("", grant), Err(Reason::NotAsked), "{request:?}");
            assert_eq!(reason(grant, ""), Err(Reason::NotGranted), "{request:?}");
            assert_eq!(reason(grant, grant), Ok(()), "{request:?}");
        }
    }

    #[test]
    fn nobody_builds_on_a_link_that_the_networks_user_has_not_named() {
        let other: LinkName = "eth0".parse().unwrap();
        let all = "parents = [\"*\"]";
        let denial = authority(all, all).check(Request::Parent(&other)).unwrap_err();
        assert_eq!((denial.code, denial.reason), (Code::DeniedParent, Reason::Never));
    }

    #[test]
    fn what_is_the_networks_own_needs_no_grant() {
        let own: LinkName = "acme0".parse().unwrap();
        for request in [
            Request::Name(&own),
            Request::Address("10.1.0.1/16".parse().unwrap()),
            Request::Address("10.1.2.0/24".parse().unwrap()),
            Request::Route("10.1.2.0/24".parse().unwrap()),
            Request::SourceNat(SourceNat::None),
            Request::Target("10.1.0.9".parse().unwrap(), true),
        ] {
            assert_eq!(authority("", "").check(request), Ok(()), "{request:?}");
        }
        // A shorter prefix is more than the subnet.
        for wide in ["10.0.0.1/8", "0.0.0.0/0"] {
            assert!(authority("", "").check(Request::Address(wide.parse().unwrap())).is_err());
            assert!(authority("", "").check(Request::Route(wide.parse().unwrap())).is_err());
        }
    }

    #[test]
    fn every_code_is_explained_and_its_example_is_a_grant() {
        for code in Code::ALL {
            assert!(code.meaning().ends_with('.'), "{code}");
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
            if let Some(example) = code.grant() {
                assert_ne!(grants(example), Grants::default(), "{code}");
            }
        }
    }
}
