//! How this host stands with the others: whether they can have missed it.

use std::time::Duration;

use tokio::sync::watch;

use crate::since_boot::SinceBoot;

/// How a host stands with the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Another one after each time in which the others may have missed this host.
    pub term: u64,
    /// How long ago it was last certain that the others can see it.
    pub age: Duration,
}

/// When the others last saw this host for certain.
#[derive(Debug, Default)]
pub(super) struct Presence(watch::Sender<Option<Seen>>);

#[derive(Debug, Clone, Copy)]
struct Seen {
    term: u64,
    at: SinceBoot,
}

// === impl Presence ===

impl Presence {
    /// Notes that the others could see this host at a moment, without a break in this term.
    pub(super) fn seen(&self, term: u64, at: SinceBoot) {
        self.0.send_replace(Some(Seen { term, at }));
    }

    /// Notes that they may have missed it.
    pub(super) fn missed(&self) {
        self.0.send_replace(None);
    }

    /// How this host stands, if they can see it.
    pub(super) fn now(&self) -> Option<Standing> {
        let Seen { term, at } = (*self.0.borrow())?;
        Some(Standing { term, age: SinceBoot::now().after(at) })
    }

    /// The same as soon as they can see it.
    pub(super) async fn wait(&self) -> Standing {
        let mut seen = self.0.subscribe();
        loop {
            if let Some(standing) = self.now() {
                return standing;
            }
            // The sender lives as long as `self`.
            let _ = seen.changed().await;
        }
    }
}
