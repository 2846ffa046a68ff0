//! Events in words.

use std::fmt;

use super::{PublishedPort, What, Wrong};

// === impl What ===

impl What {
    /// Its name, as in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NetworkCreated => "network-created",
            Self::NetworkRestored => "network-restored",
            Self::NetworkDeleted => "network-deleted",
            Self::EndpointCreated { .. } => "endpoint-created",
            Self::EndpointJoined { .. } => "endpoint-joined",
            Self::EndpointLeft => "endpoint-left",
            Self::EndpointDeleted => "endpoint-deleted",
            Self::EndpointEvicted { .. } => "endpoint-evicted",
            Self::PortPublished(_) => "port-published",
            Self::PortReleased(_) => "port-released",
            Self::Repaired { .. } => "repaired",
            Self::RepairFailed { .. } => "repair-failed",
            Self::FirewallRepaired { .. } => "firewall-repaired",
            Self::DriverLoaded { .. } => "driver-loaded",
            Self::DriverFailed { .. } => "driver-failed",
            Self::DriverQuarantined { .. } => "driver-quarantined",
            Self::DriverReset => "driver-reset",
            Self::DriverRemoved => "driver-removed",
            Self::CallFailed { .. } => "call-failed",
            Self::Denied { .. } => "denied",
            Self::ClusterLost { .. } => "cluster-lost",
            Self::ClusterBack => "cluster-back",
            Self::NodeAppeared { .. } => "node-appeared",
            Self::NodeGone { .. } => "node-gone",
            Self::Lost { .. } => "lost",
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NetworkCreated => f.write_str("the network was made"),
            Self::NetworkRestored => f.write_str("the network was made again after a reboot"),
            Self::NetworkDeleted => f.write_str("the network was deleted"),
            Self::EndpointCreated { addresses } => {
                write!(f, "an endpoint was made: {}", list(addresses))
            }
            Self::EndpointJoined { sandbox } => write!(f, "the endpoint went into {sandbox}"),
            Self::EndpointLeft => f.write_str("the endpoint left its sandbox"),
            Self::EndpointDeleted => f.write_str("the endpoint was deleted"),
            Self::EndpointEvicted { why } => write!(f, "a stale endpoint was removed: {why}"),
            Self::PortPublished(port) => write!(f, "published {port}"),
            Self::PortReleased(port) => write!(f, "no longer published: {port}"),
            Self::Repaired { object, wrong: Wrong::Missing, .. } => {
                write!(f, "{object} was missing; made again")
            }
            Self::Repaired { object, wrong: Wrong::Changed, fields } if fields.is_empty() => {
                write!(f, "{object} had been changed; put back")
            }
            Self::Repaired { object, wrong: Wrong::Changed, fields } => {
                write!(f, "{object} had been changed ({}); put back", list(fields))
            }
            Self::RepairFailed { object, reason } => {
                write!(f, "{object} cannot be put back: {reason}")
            }
            Self::FirewallRepaired { what } => write!(f, "{what}; put back"),
            Self::DriverLoaded { version, digest } => {
                write!(f, "version {version}, SHA-256 {digest}")
            }
            Self::DriverFailed { reason } => write!(f, "the driver cannot be loaded: {reason}"),
            Self::DriverQuarantined { reason } => {
                write!(f, "the driver is not called any more: {reason}")
            }
            Self::DriverReset => f.write_str("the driver is called again"),
            Self::DriverRemoved => f.write_str("the driver was removed"),
            Self::CallFailed { method, sentence, .. } => write!(f, "{method}: {sentence}"),
            Self::Denied { wanted, grant: Some(grant), .. } => {
                write!(f, "refused: {wanted} (needs the grant {grant})")
            }
            Self::Denied { wanted, grant: None, .. } => write!(f, "refused: {wanted}"),
            Self::ClusterLost { reason } => {
                write!(f, "the cluster store cannot be reached: {reason}; what is known stays")
            }
            Self::ClusterBack => f.write_str("the cluster store can be reached again"),
            Self::NodeAppeared { node } => write!(f, "node {node} is there"),
            Self::NodeGone { node } => write!(f, "node {node} is gone"),
            Self::Lost { events } => write!(f, "{events} older events are lost"),
        }
    }
}

// === impl PublishedPort ===

impl fmt::Display for PublishedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, host, container } = self;
        match host {
            Some(host) => write!(f, "{host} to {container}/{protocol}"),
            None => write!(f, "{container}/{protocol} (routed)"),
        }
    }
}

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}
