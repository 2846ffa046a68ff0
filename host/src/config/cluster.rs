//! What the operator says of this node and of its cluster.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use serde::Deserialize;
use toml::Spanned;

use super::InvalidValue;
use crate::cluster::{self, EtcdOptions, InvalidPrefix, Prefix};

/// How long a node may be away until what it published is gone.
const LEASE: Duration = Duration::from_secs(15);

/// `[node]` of the config file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeConfig {
    name: Option<NodeName>,
    address: Option<NodeAddress>,
}

/// `[cluster]` of the config file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ClusterConfig {
    store: Option<Spanned<StoreKind>>,
    endpoints: Option<Spanned<Vec<Endpoint>>>,
    prefix: Option<PrefixText>,
    lease: Option<Lease>,
    ca: Option<Spanned<PathBuf>>,
    cert: Option<Spanned<PathBuf>>,
    key: Option<Spanned<PathBuf>>,
    user: Option<Spanned<String>>,
    password_file: Option<Spanned<PathBuf>>,
}

/// What the nodes share.
#[derive(Debug, Clone)]
pub enum StoreOptions {
    /// Nothing: there is one node.
    Embedded,
    /// An etcd cluster.
    Etcd(EtcdOptions),
}

/// This node and its cluster.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// What people call this node.
    pub name: String,
    /// Where the others reach it; none: where its default route leads out.
    pub address: Option<IpAddr>,
    /// The store.
    pub store: StoreOptions,
    /// How it is used.
    pub settings: cluster::Settings,
}

/// Two values that do not fit each other.
#[derive(Debug)]
pub(super) struct Mismatch {
    /// Where in the file, in bytes.
    pub(super) at: usize,
    /// What is wrong.
    pub(super) message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoreKind {
    Embedded,
    Etcd,
}

/// What people call a node.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct NodeName(String);

/// An address that others can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct NodeAddress(IpAddr);

/// Where a member of an etcd cluster is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct Endpoint(String);

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct PrefixText(Prefix);

/// Seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
struct Lease(Duration);

// === impl ClusterOptions ===

impl Default for ClusterOptions {
    fn default() -> Self {
        let settings = cluster::Settings { prefix: Prefix::default(), lease: LEASE };
        Self { name: host_name(), address: None, store: StoreOptions::Embedded, settings }
    }
}

impl ClusterOptions {
    pub(super) fn new(node: NodeConfig, cluster: ClusterConfig) -> Result<Self, Mismatch> {
        let default = Self::default();
        Ok(Self {
            name: node.name.map_or(default.name, |name| name.0),
            address: node.address.map(|address| address.0),
            settings: cluster::Settings {
                prefix: cluster.prefix.clone().map_or(default.settings.prefix, |prefix| prefix.0),
                lease: cluster.lease.map_or(default.settings.lease, |lease| lease.0),
            },
            store: cluster.store()?,
        })
    }
}

// === impl ClusterConfig ===

impl ClusterConfig {
    fn store(self) -> Result<StoreOptions, Mismatch> {
        let etcd = matches!(self.store.as_ref().map(Spanned::get_ref), Some(StoreKind::Etcd));
        let without = |what: &Spanned<PathBuf>, other: &str| Mismatch {
            at: what.span().start,
            message: format!("this needs {other}, too"),
        };
        if !etcd {
            let only = |at: usize| Mismatch {
                at,
                message: "this is for store = \"etcd\" only".to_owned(),
            };
            let files = [&self.ca, &self.cert, &self.key, &self.password_file];
            let start = files.into_iter().flatten().map(|value| value.span().start);
            let start = start.chain(self.endpoints.iter().map(|value| value.span().start));
            let start = start.chain(self.user.iter().map(|value| value.span().start));
            return start.min().map_or(Ok(StoreOptions::Embedded), |at| Err(only(at)));
        }
        let at = self.store.as_ref().map_or(0, |store| store.span().start);
        let endpoints = self.endpoints.map(Spanned::into_inner).unwrap_or_default();
        if endpoints.is_empty() {
            let message = "store = \"etcd\" needs endpoints = [\"http://…:2379\"], too".to_owned();
            return Err(Mismatch { at, message });
        }
        let certificate = match (self.cert, self.key) {
            (Some(cert), Some(key)) => Some((cert.into_inner(), key.into_inner())),
            (Some(cert), None) => return Err(without(&cert, "key")),
            (None, Some(key)) => return Err(without(&key, "cert")),
            (None, None) => None,
        };
        let user = match (self.user, self.password_file) {
            (Some(user), Some(file)) => Some((user.into_inner(), file.into_inner())),
            (Some(user), None) => {
                let message = "this needs password-file, too".to_owned();
                return Err(Mismatch { at: user.span().start, message });
            }
            (None, Some(file)) => return Err(without(&file, "user")),
            (None, None) => None,
        };
        Ok(StoreOptions::Etcd(EtcdOptions {
            endpoints: endpoints.into_iter().map(|endpoint| endpoint.0).collect(),
            ca: self.ca.map(Spanned::into_inner),
            certificate,
            user,
        }))
    }
}

// === impl NodeName ===

impl TryFrom<String> for NodeName {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        let fits = (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if fits { Ok(Self(text)) } else { Err(InvalidValue::NodeName(text)) }
    }
}

// === impl NodeAddress ===

impl TryFrom<String> for NodeAddress {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        let address = text.parse::<IpAddr>().ok();
        let address = address.filter(|ip| !ip.is_unspecified() && !ip.is_multicast());
        address.map(Self).ok_or(InvalidValue::NodeAddress(text))
    }
}

// === impl Endpoint ===

impl TryFrom<String> for Endpoint {
    type Error = cluster::InvalidEndpoint;

    fn try_from(text: String) -> Result<Self, cluster::InvalidEndpoint> {
        cluster::check_endpoint(&text)?;
        Ok(Self(text))
    }
}

// === impl PrefixText ===

impl TryFrom<String> for PrefixText {
    type Error = InvalidPrefix;

    fn try_from(text: String) -> Result<Self, InvalidPrefix> {
        Prefix::try_from(text).map(Self)
    }
}

// === impl Lease ===

impl TryFrom<i64> for Lease {
    type Error = InvalidValue;

    fn try_from(seconds: i64) -> Result<Self, InvalidValue> {
        let seconds = u64::try_from(seconds).ok().filter(|seconds| (2..=3600).contains(seconds));
        seconds.map(|seconds| Self(Duration::from_secs(seconds))).ok_or(InvalidValue::Lease)
    }
}

/// The host's name (uname(2)).
fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    NodeName::try_from(name).map_or_else(|_| "localhost".to_owned(), |name| name.0)
}
