//! From what a transaction changes in the ledger to what is told about it.

use super::{About, PublishedPort, What};
use crate::{
    kernel::Object,
    ledger::{Changes, EndpointRecord, Entry, Scope, State},
};

/// The events of changes that are about to be made to a state.
pub fn of_changes(state: &State, changes: &Changes) -> Vec<(About, What)> {
    let mut events = Vec::new();
    for (id, record) in &changes.networks {
        if let (None, Some(record)) = (state.networks.get(id), record) {
            let scope = Scope::network(record.driver.clone(), id.clone());
            events.push((scope.into(), What::NetworkCreated));
        }
    }
    // What is released is so before its endpoint goes.
    for (key, row) in &changes.objects {
        let before = state.objects.get(key).and_then(port);
        let after = row.as_ref().and_then(port);
        if before == after {
            continue;
        }
        events.extend(before.map(|(about, port)| (about, What::PortReleased(port))));
        events.extend(after.map(|(about, port)| (about, What::PortPublished(port))));
    }
    for (key, record) in &changes.endpoints {
        let networks = changes.networks.get(&key.network).and_then(Option::as_ref);
        let Some(of) = state.networks.get(&key.network).or(networks) else { continue };
        let before = state.endpoint(&key.network, &key.endpoint);
        let about = About::endpoint(&of.driver, key);
        let steps = of_endpoint(before, record.as_ref());
        events.extend(steps.into_iter().map(|what| (about.clone(), what)));
    }
    for (id, record) in &changes.networks {
        if let (Some(before), None) = (state.networks.get(id), record) {
            let scope = Scope::network(before.driver.clone(), id.clone());
            events.push((scope.into(), What::NetworkDeleted));
        }
    }
    events
}

fn of_endpoint(before: Option<&EndpointRecord>, after: Option<&EndpointRecord>) -> Vec<What> {
    let sandbox = |record: Option<&EndpointRecord>| Some(record?.joined.as_ref()?.sandbox.clone());
    let (was_in, is_in) = (sandbox(before), sandbox(after));
    let mut events = Vec::new();
    if let (None, Some(record)) = (before, after) {
        events.push(What::EndpointCreated { addresses: record.addresses().collect() });
    }
    if was_in != is_in {
        events.extend(was_in.map(|_| What::EndpointLeft));
        events.extend(is_in.map(|sandbox| What::EndpointJoined { sandbox }));
    }
    if let (Some(_), None) = (before, after) {
        events.push(What::EndpointDeleted);
    }
    events
}

/// The port that an object publishes, and for whom.
fn port(entry: &Entry) -> Option<(About, PublishedPort)> {
    match &entry.object {
        Object::Port(port) if !entry.doomed => {
            let (protocol, host, container) = (port.protocol, port.host, port.container);
            Some((entry.scope.clone().into(), PublishedPort { protocol, host, container }))
        }
        _ => None,
    }
}
