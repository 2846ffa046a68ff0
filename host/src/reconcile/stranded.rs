//! Endpoints that the engine has forgotten without a word.
//!
//! If the daemon dies while the engine asks it to delete an endpoint, the engine repeats
//! the request without its body, is refused, and lets the matter rest. Where the container
//! goes, its link goes with it, and that is announced. Where the container goes on, the
//! engine puts its end of the link back on the host. There it is otherwise only for the
//! moment between the making of an endpoint and its container, and between its leaving and
//! its end; so who stays there is nobody's.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    kernel::{Object, Snapshot},
    ledger::{EndpointKey, State},
    since_boot::SinceBoot,
};

/// How long a container's end may be on the host. An engine that does not find a plugin
/// asks for up to half a minute.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is new about an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// Its container's end is on the host.
    Stranded,
    /// It was, and is not any more.
    Fetched,
    /// It has been for too long.
    Lost,
}

/// Looks for containers' ends on the host, and tells what is new since it was last noted.
pub(super) fn look(
    state: &State,
    snapshot: &Snapshot,
    now: SinceBoot,
) -> Vec<(EndpointKey, Sight)> {
    let on_host: BTreeSet<EndpointKey> = state
        .objects
        .standing()
        .into_iter()
        .filter(|(_, entry)| !entry.doomed)
        .filter_map(|(_, entry)| {
            let Object::Link(link) = &entry.object else { return None };
            let (network, endpoint) = (entry.scope.network.clone(), entry.scope.endpoint.clone()?);
            let is_here = snapshot.links.contains_key(link.container_end()?);
            is_here.then_some(EndpointKey { network, endpoint })
        })
        .collect();
    let endpoints = state.endpoints.iter().flat_map(|(network, endpoints)| {
        endpoints.iter().map(move |(endpoint, record)| {
            (EndpointKey { network: network.clone(), endpoint: endpoint.clone() }, record)
        })
    });
    let sights = endpoints.filter_map(|(key, record)| {
        let sight = match (record.stranded, on_host.contains(&key)) {
            (None, true) => Sight::Stranded,
            (Some(_), false) => Sight::Fetched,
            (Some(since), true) if now.after(since) >= PATIENCE => Sight::Lost,
            (None, false) | (Some(_), true) => return None,
        };
        Some((key, sight))
    });
    sights.collect()
}
