//! Who makes a call, how much it may do, and the one place where it is told no.

use std::sync::Arc;

use super::{Inner, Shared, TxError};
use crate::{
    cluster::Cluster,
    events::{About, Bus, What},
    grants::{Authority, Denial, Request},
    id::DriverName,
    ledger::Scope,
};

/// How much one call may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Kernel operations in one call.
    pub operations: u32,
    /// Links it may make. The kernel takes tens of milliseconds to take one back, and in
    /// that time changes no other link of the machine.
    pub links: u32,
    /// Bytes of keys and values a driver may have in the store.
    pub store_bytes: usize,
}

/// Who makes a call, and what it may do.
pub struct Caller {
    /// The driver.
    pub driver: DriverName,
    /// What the call's objects belong to; none for calls about no network.
    pub scope: Option<Scope>,
    /// How much it may do.
    pub limits: Limits,
    /// What it may do.
    pub authority: Authority,
    /// Who is told of what it may not.
    pub events: Option<Arc<Bus>>,
    /// What it shares with other nodes.
    pub cluster: Option<Arc<Cluster>>,
    /// Whether nothing that it does is to count: it must change nothing beyond the host either.
    pub rehearsed: bool,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self { operations: 1024, links: 8, store_bytes: 16 << 20 }
    }
}

// === impl Shared ===

impl Shared {
    /// Counts an operation of the driver's and asks whether it may do this: the one place
    /// where anything is denied.
    pub(super) fn permit(&self, inner: &mut Inner, request: Request<'_>) -> Result<(), TxError> {
        inner.count(&self.limits)?;
        self.authority.check(request).map_err(|denial| {
            tracing::warn!(driver = %self.driver, code = %denial.code, "{denial}");
            self.tell(&denial);
            TxError::Denied(denial)
        })
    }

    fn tell(&self, denial: &Denial) {
        let about = self.scope.clone().map_or_else(|| About::driver(&self.driver), About::from);
        let what = What::Denied {
            code: denial.code.to_string(),
            wanted: denial.what.clone(),
            grant: denial.code.grant().map(str::to_owned),
        };
        if let Some(events) = &self.events {
            events.send(about, what);
        }
    }
}

// === impl Inner ===

impl Inner {
    pub(super) fn count_link(&mut self, limits: &Limits) -> Result<(), TxError> {
        self.links += 1;
        if self.links > limits.links {
            return Err(TxError::TooManyLinks(limits.links));
        }
        Ok(())
    }

    pub(super) fn count(&mut self, limits: &Limits) -> Result<(), TxError> {
        self.operations += 1;
        if self.operations > limits.operations {
            return Err(TxError::TooManyOperations(limits.operations));
        }
        Ok(())
    }
}
