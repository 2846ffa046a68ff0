//! What has to be done, from what should be and what is.

use std::collections::BTreeSet;

use crate::{
    id::{EndpointId, NetworkId},
    kernel::{Link, LinkKind, LinkName, Object, ObservedLink, Snapshot},
    ledger::{ALIAS_PREFIX, Changes, EndpointKey, State},
};

/// One step of a repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Repair {
    /// Make a missing object.
    Create(Object),
    /// Turn the first into the second.
    Replace(Object, Object),
    /// The endpoint's link is gone, and so is its container's namespace.
    Evict(EndpointId),
}

/// What a network needs to be as the ledger says, in order.
pub(super) fn repairs(state: &State, snapshot: &Snapshot, network: &NetworkId) -> Vec<Repair> {
    let mut entries: Vec<_> =
        state.objects.of_network(network).filter(|(_, entry)| !entry.doomed).collect();
    entries.sort_by_key(|(_, entry)| entry.sequence);

    let lost_links: BTreeSet<&LinkName> = entries
        .iter()
        .filter(|(_, entry)| matches!(entry.object, Object::Link(_)))
        .map(|(_, entry)| entry.object.link())
        .filter(|name| !snapshot.links.contains_key(*name))
        .collect();
    let dead: BTreeSet<&EndpointId> = entries
        .iter()
        .filter(|(_, entry)| lost_links.contains(entry.object.link()))
        .filter_map(|(_, entry)| entry.scope.endpoint.as_ref())
        .collect();

    let mut repairs = Vec::new();
    for (_, entry) in &entries {
        if entry.scope.endpoint.as_ref().is_some_and(|endpoint| dead.contains(endpoint)) {
            continue;
        }
        match &entry.object {
            // The firewall is brought back as a whole; sockets are this process's own.
            Object::Firewall(_) | Object::Port(_) => {}
            object if lost_links.contains(object.link()) || !snapshot.holds(object) => {
                repairs.push(Repair::Create(object.clone()));
            }
            Object::Link(link) => {
                if let Some(is) = snapshot.links.get(&link.name).and_then(|is| differs(link, is)) {
                    let object = Object::Link(link.clone());
                    repairs.push(Repair::Replace(Object::Link(is), object));
                }
            }
            _ => {}
        }
    }
    repairs.extend(dead.into_iter().cloned().map(Repair::Evict));
    repairs
}

/// The link as it is, if that is not as it should be.
fn differs(link: &Link, is: &ObservedLink) -> Option<Link> {
    let is = Link {
        mtu: link.mtu.map(|_| is.mtu),
        mac: link.mac.and(is.mac),
        master: is.master.clone(),
        up: is.up,
        alias: is.alias.clone(),
        ..link.clone()
    };
    (is != *link).then_some(is)
}

/// Links that a call made and did not live to record: they have our tag, or a name
/// that only the host picks, and the ledger does not know them.
pub(super) fn orphans(state: &State, snapshot: &Snapshot) -> Vec<LinkName> {
    let mut known: BTreeSet<&LinkName> = BTreeSet::new();
    for (_, entry) in state.objects.standing() {
        if let Object::Link(link) = &entry.object {
            known.insert(&link.name);
            if let LinkKind::Veth { peer, .. } = &link.kind {
                known.insert(peer);
            }
        }
    }
    let ours = |name: &LinkName, link: &ObservedLink| {
        let tagged = link.alias.starts_with(ALIAS_PREFIX);
        let picked = name.is_picked() && link.alias.is_empty();
        tagged || (picked && matches!(link.kind.as_str(), "bridge" | "veth"))
    };
    let lost =
        |(name, link): &(&LinkName, &ObservedLink)| !known.contains(*name) && ours(name, link);
    snapshot.links.iter().filter(lost).map(|(name, _)| name.clone()).collect()
}

/// The changes that forget all endpoints and what is theirs, without touching the kernel.
pub(super) fn without_endpoints(state: &State) -> Changes {
    let mut changes = Changes::default();
    for (network, endpoints) in &state.endpoints {
        for endpoint in endpoints.keys() {
            let key = EndpointKey { network: network.clone(), endpoint: endpoint.clone() };
            changes.endpoints.insert(key, None);
            state.for_keys_of(network, Some(endpoint), |key| drop(changes.keys.insert(key, None)));
        }
    }
    for (key, entry) in state.objects.standing() {
        if entry.scope.endpoint.is_some() {
            changes.objects.insert(key.clone(), None);
        }
    }
    for (key, _) in state.objects.doomed() {
        changes.objects.insert(key, None);
    }
    changes
}

/// A link known by nothing but its name: enough to delete it.
pub(super) fn stub(name: &LinkName) -> Object {
    Object::Link(Link {
        name: name.clone(),
        kind: LinkKind::Bridge,
        mtu: None,
        mac: None,
        master: None,
        up: false,
        hairpin: false,
        isolated: false,
        adopted: false,
        alias: String::new(),
    })
}
