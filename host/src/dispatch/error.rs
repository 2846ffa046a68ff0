//! Why a call is refused.

use crate::{
    id::{DriverName, EndpointId, NetworkId},
    ledger::TxError,
    runtime::CallError,
};

/// Why a call is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The driver call did not work.
    #[error(transparent)]
    Call(#[from] CallError),
    /// What it did could not be made durable.
    #[error(transparent)]
    Commit(#[from] TxError),
    /// A network of this id stands, and it is another.
    #[error("network {0} exists with other settings; remove it first")]
    NetworkExists(NetworkId),
    /// The engine knows a network that the host does not.
    #[error(
        "network {network} is not known to {driver} (was the daemon's state removed?); remove the network and create it again"
    )]
    NoNetwork {
        /// The driver that was asked.
        driver: DriverName,
        /// The network.
        network: NetworkId,
    },
    /// An endpoint of this id stands, and it is another.
    #[error("endpoint {0} exists with other settings")]
    EndpointExists(EndpointId),
    /// The engine knows an endpoint that the host does not.
    #[error("endpoint {0} is not known; stop the container and start it again")]
    NoEndpoint(EndpointId),
    /// An endpoint is in a sandbox and is asked to join another.
    #[error("endpoint {0} is in another sandbox already")]
    Joined(EndpointId),
    /// A call that had to happen did, but the driver failed in it.
    #[error("{driver} failed in {method}; the host removed what was left without it")]
    Forced {
        /// The driver.
        driver: DriverName,
        /// The method.
        method: &'static str,
        /// How it failed.
        #[source]
        source: Box<Error>,
    },
}

// === impl Error ===

impl Error {
    /// What kind of failure it is, in a word that does not change.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Call(error) => error.code(),
            Self::Commit(_) => "commit",
            Self::NetworkExists(_) => "network-exists",
            Self::NoNetwork { .. } => "no-network",
            Self::EndpointExists(_) => "endpoint-exists",
            Self::NoEndpoint(_) => "no-endpoint",
            Self::Joined(_) => "joined",
            Self::Forced { source, .. } => source.code(),
        }
    }

    /// The sentence for Docker's user.
    pub fn external(&self) -> String {
        match self {
            // The user wonders what half of it may have been done.
            Self::Call(error @ (CallError::Trap { .. } | CallError::Deadline { .. })) => {
                format!("{}; nothing was changed", error.external())
            }
            Self::Call(error) => error.external(),
            Self::Forced { source, .. } => match &**source {
                Self::Call(error) => format!("{self}: {}", error.external()),
                error => format!("{self}: {}", error.external()),
            },
            _ => crate::error::chain(self),
        }
    }
}
