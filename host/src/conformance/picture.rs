//! What stands, to be compared.

use std::collections::BTreeMap;

use super::bench::Bench;
use crate::{
    kernel::{FirewallEntry, Link, LinkKind, Object, Shortcut, Simulated},
    ledger::KeyScope,
};

/// Everything that the ledger knows, and what a kernel in memory has, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Picture {
    ledger: BTreeMap<String, String>,
    kernel: Option<BTreeMap<String, String>>,
}

// === impl Picture ===

impl Picture {
    /// Takes one.
    pub(super) fn of(bench: &Bench, kernel: Option<&Simulated>) -> Self {
        let state = bench.dispatcher.ledger().read();
        let mut ledger: BTreeMap<String, String> =
            state.objects.standing().into_iter().map(|(_, entry)| row(&entry.object)).collect();
        for (_, scope) in state.keys.keys().filter(|(_, scope)| *scope != KeyScope::Driver) {
            ledger.insert(format!("keys of {scope:?}"), String::new());
        }
        ledger.extend(
            state
                .objects
                .doomed()
                .into_iter()
                .map(|(key, _)| (format!("{key}, which could not be deleted"), String::new())),
        );
        for (network, endpoints) in &state.endpoints {
            for (id, record) in endpoints {
                let joined = format!("joined: {}", record.joined.is_some());
                ledger.insert(format!("endpoint {network}/{id}"), joined);
            }
        }
        ledger.extend(state.networks.keys().map(|id| (format!("network {id}"), String::new())));
        let kernel = kernel.map(|kernel| {
            let entries = kernel.firewall_entries().into_iter().map(Object::Firewall);
            kernel.objects().into_iter().chain(entries).map(|object| row(&object)).collect()
        });
        Self { ledger, kernel }
    }

    /// What is otherwise here than there, in a sentence, if anything is.
    pub(super) fn difference(&self, expected: &Self) -> Option<String> {
        let none = BTreeMap::new();
        let kernels =
            (self.kernel.as_ref().unwrap_or(&none), expected.kernel.as_ref().unwrap_or(&none));
        let differences: Vec<String> = differences(kernels.0, kernels.1)
            .chain(differences(&self.ledger, &expected.ledger))
            .collect();
        let mut said: Vec<&String> = differences.iter().collect();
        said.sort();
        said.dedup();
        const MOST: usize = 4;
        let rest = said.len().saturating_sub(MOST);
        let mut text: Vec<String> = said.into_iter().take(MOST).cloned().collect();
        if rest > 0 {
            text.push(format!("and {rest} more"));
        }
        (!text.is_empty()).then(|| text.join("; "))
    }
}

fn differences(
    is: &BTreeMap<String, String>,
    expected: &BTreeMap<String, String>,
) -> impl Iterator<Item = String> {
    let missing = expected.keys().filter(|key| !is.contains_key(*key));
    let missing = missing.map(|key| format!("{key} is missing"));
    let wrong = is.iter().filter_map(|(key, value)| match expected.get(key) {
        None => Some(format!("{key} is there")),
        Some(other) if other != value => Some(format!("{key} is not as it should be")),
        Some(_) => None,
    });
    missing.chain(wrong).collect::<Vec<_>>().into_iter()
}

/// An object's name and what else is known of it. Ethernet addresses may be random.
fn row(object: &Object) -> (String, String) {
    let plain = match object.clone() {
        Object::Link(link) => {
            let kind = match link.kind {
                LinkKind::Veth { peer, .. } => LinkKind::Veth { peer, peer_mac: None },
                kind => kind,
            };
            Object::Link(Link { kind, mac: None, ..link })
        }
        // Its Ethernet address is its link's.
        Object::Firewall(FirewallEntry::Shortcut(Shortcut::Port { link, bridge, .. })) => {
            Object::Firewall(FirewallEntry::Shortcut(Shortcut::Vtep { link, bridge }))
        }
        object => object,
    };
    (object.key().to_string(), format!("{plain:?}"))
}
