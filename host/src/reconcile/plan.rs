//! What has to be done, from what should be and what is.

use std::collections::BTreeSet;

use crate::{
    events::Wrong,
    id::{EndpointId, NetworkId},
    kernel::{
        Beside, Event, Link, LinkName, Object, ObjectKey, ObservedLink, SharedLink, Snapshot,
    },
    ledger::{ALIAS_PREFIX, Changes, EndpointKey, Entry, Scope, State},
};

/// The kinds of links that calls make.
const KINDS: [&str; 6] = ["bridge", "veth", "vxlan", "macvlan", "ipvlan", "vlan"];

/// What a network needs to be as the ledger says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// What is to be put back, in order.
    pub(super) repairs: Vec<Repair>,
    /// Endpoints whose link is gone, and so is their container's namespace.
    pub(super) dead: BTreeSet<EndpointId>,
}

/// An object that is to be put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Repair {
    /// Whose it is.
    pub(super) scope: Scope,
    /// As it should be.
    pub(super) object: Object,
    /// As it is, where it has to be turned into what it should be; otherwise it is made.
    pub(super) is: Option<Object>,
    /// What is wrong with it.
    pub(super) wrong: Wrong,
    /// In what it was changed.
    pub(super) fields: BTreeSet<&'static str>,
}

/// What to look at beside links and addresses to compare a network, or all of them.
pub(super) fn beside(state: &State, network: Option<&NetworkId>) -> Beside {
    let standing = |(_, entry): (&ObjectKey, &'_ Entry)| !entry.doomed;
    match network {
        Some(network) => {
            let objects = state.objects.of_network(network).filter(|row| standing(*row));
            Beside::of(objects.map(|(_, entry)| &entry.object))
        }
        None => Beside::of(state.objects.standing().into_iter().map(|(_, entry)| &entry.object)),
    }
}

/// The networks that have to be looked at after an event, since it says that an object of
/// theirs may be another than it should, or can be put back now.
pub(super) fn concerned(state: &State, event: &Event) -> BTreeSet<NetworkId> {
    let standing = |key: &ObjectKey| state.objects.get(key).filter(|entry| !entry.doomed);
    let link = |name: &LinkName| match standing(&ObjectKey::link(name)) {
        Some(Entry { object: Object::Link(link), scope, .. }) => Some((&scope.network, link)),
        _ => None,
    };
    let on_link = |name: &LinkName, is: &dyn Fn(&Object) -> bool| {
        let on_link = state.objects.on_link(name).map(|(_, entry)| entry);
        let concerned = on_link.filter(|entry| !entry.doomed && is(&entry.object));
        concerned.map(|entry| entry.scope.network.clone()).collect()
    };
    match event {
        Event::Object(key) => {
            // What has been moved into a container is not ours to put back.
            let is_ours = |object: &Object| !matches!(object, Object::Link(link) if link.moves);
            let mut networks: BTreeSet<_> =
                key.as_link().map(|name| on_link(&name, &is_ours)).unwrap_or_default();
            networks.extend(standing(key).map(|entry| entry.scope.network.clone()));
            networks
        }
        Event::Link(name, is) => match link(name) {
            Some((network, link)) => {
                differs(link, is).map(|_| network.clone()).into_iter().collect()
            }
            None => on_link(name, &|object| match object {
                Object::Shared(of) => of.link.name == *name && differs(&of.link, is).is_some(),
                _ => false,
            }),
        },
        Event::Addresses(name) => {
            on_link(name, &|object| matches!(object, Object::Proxy(_) | Object::Route(_)))
        }
        Event::Port { link: name, hairpin, isolated } => {
            let differs = |(_, link): &(&NetworkId, &Link)| {
                link.master.is_some() && (link.hairpin, link.isolated) != (*hairpin, *isolated)
            };
            let network = link(name).filter(differs).map(|(network, _)| network.clone());
            network.into_iter().collect()
        }
        Event::Firewall | Event::Overrun => BTreeSet::new(),
    }
}

/// Whether one of these still says that something may be wrong with a network.
pub(super) fn still_concern(state: &State, events: &[Event], network: &NetworkId) -> bool {
    events.iter().any(|event| concerned(state, event).contains(network))
}

/// What a network needs to be as the ledger says.
pub(super) fn plan(state: &State, snapshot: &Snapshot, network: &NetworkId) -> Plan {
    let mut entries: Vec<_> =
        state.objects.of_network(network).filter(|(_, entry)| !entry.doomed).collect();
    // What has been moved into a container is not ours to look at.
    entries.retain(|(_, entry)| !matches!(&entry.object, Object::Link(link) if link.moves));
    entries.sort_by_key(|(_, entry)| entry.sequence);

    // Not those with something on a lost link of their network's: that link comes back.
    let is_lost = |entry: &Entry| matches!(&entry.object, Object::Link(link) if !snapshot.links.contains_key(&link.name));
    let dead: BTreeSet<&EndpointId> = entries
        .iter()
        .filter(|(_, entry)| is_lost(entry))
        .filter_map(|(_, entry)| entry.scope.endpoint.as_ref())
        .collect();

    let mut plan = Plan::default();
    for (_, entry) in &entries {
        if entry.scope.endpoint.as_ref().is_some_and(|endpoint| dead.contains(endpoint)) {
            continue;
        }
        plan.repairs.extend(repair(entry, snapshot));
    }
    plan.dead = dead.into_iter().cloned().collect();
    plan
}

/// What puts an object back, if it is not as it should be.
fn repair(entry: &Entry, snapshot: &Snapshot) -> Option<Repair> {
    let mut repair = Repair {
        scope: entry.scope.clone(),
        object: entry.object.clone(),
        is: None,
        wrong: Wrong::Missing,
        fields: BTreeSet::new(),
    };
    match &entry.object {
        // The firewall is brought back as a whole; sockets are this process's own.
        Object::Firewall(_) | Object::Port(_) => return None,
        Object::Link(link) => {
            if let Some(is) = snapshot.links.get(&link.name) {
                let (is, link) = differs(link, is)?;
                repair.fields = fields(&link, &is);
                (repair.is, repair.object) = (Some(Object::Link(is)), Object::Link(link));
                repair.wrong = Wrong::Changed;
            }
        }
        Object::Shared(shared) => {
            if let Some(is) = snapshot.links.get(&shared.link.name) {
                // The kernel sets a VLAN up and down with its parent.
                let parent = shared.link.kind.parent().and_then(|name| snapshot.links.get(name));
                let up = shared.link.up && parent.is_none_or(|parent| parent.up);
                let (is, link) = differs(&Link { up, ..shared.link.clone() }, is)?;
                repair.fields = fields(&link, &is);
                let shared = |link| Object::Shared(SharedLink { link, ..shared.clone() });
                (repair.is, repair.object) = (Some(shared(is)), shared(link));
                repair.wrong = Wrong::Changed;
            }
        }
        object if snapshot.holds(object) => return None,
        Object::Proxy(proxy) if snapshot.links.contains_key(&proxy.link) => {
            repair.wrong = Wrong::Changed;
        }
        Object::Sysctl(setting) if snapshot.links.contains_key(&setting.link) => {
            repair.wrong = Wrong::Changed;
        }
        _ => {}
    }
    Some(repair)
}

/// The link as it is and as it should be, if that is not the same.
fn differs(link: &Link, is: &ObservedLink) -> Option<(Link, Link)> {
    // Of somebody else's bridge only this is ours to say.
    if link.adopted {
        return (is.up != link.up).then(|| (Link { up: is.up, ..link.clone() }, link.clone()));
    }
    if link.moves {
        return None;
    }
    let mtu = link.mtu.or(link.kind.default_mtu()).unwrap_or(is.mtu);
    let link = Link { mtu: Some(mtu), ..link.clone() };
    let is_port = link.master.is_some();
    let is = Link {
        mtu: Some(is.mtu),
        mac: link.mac.and(is.mac),
        master: is.master.clone(),
        up: is.up,
        hairpin: if is_port { is.hairpin } else { link.hairpin },
        isolated: if is_port { is.isolated } else { link.isolated },
        alias: is.alias.clone(),
        ..link.clone()
    };
    (is != link).then_some((is, link))
}

/// In what two links differ, as ip-link(8) names it.
fn fields(one: &Link, other: &Link) -> BTreeSet<&'static str> {
    [
        ("mtu", one.mtu != other.mtu),
        ("address", one.mac != other.mac),
        ("master", one.master != other.master),
        ("up", one.up != other.up),
        ("hairpin", one.hairpin != other.hairpin),
        ("isolated", one.isolated != other.isolated),
        ("alias", one.alias != other.alias),
    ]
    .into_iter()
    .filter_map(|(name, differs)| differs.then_some(name))
    .collect()
}

/// Links that a call made and did not live to record: they have our tag, or a name
/// that only the host picks, and the ledger does not know them.
pub(super) fn orphans(state: &State, snapshot: &Snapshot) -> Vec<LinkName> {
    let mut known: BTreeSet<&LinkName> = BTreeSet::new();
    for (_, entry) in state.objects.standing() {
        if let Object::Link(link) | Object::Shared(SharedLink { link, .. }) = &entry.object {
            known.insert(&link.name);
            known.extend(link.kind.peer());
        }
    }
    let ours = |name: &LinkName, link: &ObservedLink| {
        let tagged = link.alias.starts_with(ALIAS_PREFIX);
        let picked = name.is_picked() && link.alias.is_empty();
        tagged || (picked && KINDS.contains(&link.kind.as_str()))
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
    let networks = state.networks.keys();
    let published = networks.flat_map(|network| state.shares.published_for(network));
    for key in published.filter(|key| key.endpoint.is_some()) {
        changes.published.insert(key.clone(), None);
    }
    changes
}

/// A link known by nothing but its name: enough to delete it.
pub(super) fn stub(name: &LinkName) -> Object {
    Object::Link(Link::bridge(name.clone()))
}
