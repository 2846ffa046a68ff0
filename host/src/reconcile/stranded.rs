//! Endpoints that the engine has forgotten without a word.
//!
//! If the daemon dies while the engine asks it to delete an endpoint, the engine repeats
//! the request without its body, is refused, and lets the matter rest. Where the container
//! goes, its link goes with it, and that is announced. Where the container goes on, the
//! engine puts its end of the link back on the host. There it is otherwise only for the
//! moment between the making of an endpoint and its container, and between its leaving and
//! its end; so who stays there is nobody's.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use crate::{
    kernel::{Object, Snapshot},
    ledger::{EndpointKey, State},
};

/// How long a container's end may be on the host. An engine that does not find a plugin
/// asks for up to half a minute.
const PATIENCE: Duration = Duration::from_secs(60);

/// The endpoints whose container's end is on the host, and since when that is known.
#[derive(Debug, Default)]
pub(super) struct Stranded(BTreeMap<EndpointKey, Instant>);

// === impl Stranded ===

impl Stranded {
    /// Takes a look, and returns those who have been there for too long.
    pub(super) fn look(
        &mut self,
        state: &State,
        snapshot: &Snapshot,
        now: Instant,
    ) -> Vec<EndpointKey> {
        let before = std::mem::take(&mut self.0);
        for (_, entry) in state.objects.standing() {
            let (Object::Link(link), Some(endpoint)) = (&entry.object, &entry.scope.endpoint)
            else {
                continue;
            };
            let Some(peer) = link.container_end() else { continue };
            if entry.doomed || !snapshot.links.contains_key(peer) {
                continue;
            }
            let (network, endpoint) = (entry.scope.network.clone(), endpoint.clone());
            let key = EndpointKey { network, endpoint };
            let since = before.get(&key).copied().unwrap_or(now);
            self.0.insert(key, since);
        }
        let late = |(_, since): &(&EndpointKey, &Instant)| now.duration_since(**since) >= PATIENCE;
        self.0.iter().filter(late).map(|(key, _)| key.clone()).collect()
    }
}
