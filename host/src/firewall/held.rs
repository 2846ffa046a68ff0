//! What our table holds, as far as we know.

use std::collections::{BTreeMap, BTreeSet};

use super::elements::{self, Element};
use crate::kernel::{FirewallBatch, FirewallEntry, LinkName};

/// Entries, and the elements they stand for with how often.
#[derive(Debug, Clone, Default)]
pub(super) struct Held {
    entries: BTreeSet<FirewallEntry>,
    elements: BTreeMap<Element, usize>,
    bridges: BTreeSet<LinkName>,
}

/// The elements between two states.
#[derive(Debug, Default)]
pub(super) struct Change {
    /// To be deleted.
    pub(super) delete: Vec<Element>,
    /// To be added.
    pub(super) add: Vec<Element>,
}

// === impl Change ===

impl Change {
    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        self.delete.is_empty() && self.add.is_empty()
    }
}

// === impl Held ===

impl Held {
    /// What these entries stand for.
    pub(super) fn of(entries: &BTreeSet<FirewallEntry>) -> Self {
        let mut held = Self::default();
        let (_, batch) = super::shortcuts::split(&FirewallBatch {
            add: entries.clone(),
            remove: BTreeSet::new(),
        });
        held.apply(&batch);
        held
    }

    /// Whether there is nothing of ours.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All elements.
    pub(super) fn elements(&self) -> impl Iterator<Item = &Element> {
        self.elements.keys()
    }

    /// The networks' bridges.
    pub(super) fn bridges(&self) -> &BTreeSet<LinkName> {
        &self.bridges
    }

    /// The way to the state after a batch. Costs as much as the batch is long.
    pub(super) fn change(&self, batch: &FirewallBatch) -> Change {
        let mut deltas: BTreeMap<Element, isize> = BTreeMap::new();
        for element in elements::of(self.leaving(batch)) {
            *deltas.entry(element).or_default() -= 1;
        }
        for element in elements::of(self.coming(batch)) {
            *deltas.entry(element).or_default() += 1;
        }
        let mut change = Change::default();
        for (element, delta) in deltas {
            let before = self.elements.get(&element).copied().unwrap_or_default();
            match (before, before.saturating_add_signed(delta)) {
                (0, 1..) => change.add.push(element),
                (1.., 0) => change.delete.push(element),
                _ => {}
            }
        }
        change
    }

    /// Goes to the state after a batch, and returns the batch that leads back.
    pub(super) fn apply(&mut self, batch: &FirewallBatch) -> FirewallBatch {
        let leaving: BTreeSet<FirewallEntry> = self.leaving(batch).cloned().collect();
        let coming: BTreeSet<FirewallEntry> = self.coming(batch).cloned().collect();
        for entry in &leaving {
            for element in elements::of([entry]) {
                if let Some(count) = self.elements.get_mut(&element) {
                    *count -= 1;
                    if *count == 0 {
                        self.elements.remove(&element);
                    }
                }
            }
            self.entries.remove(entry);
        }
        for entry in &coming {
            for element in elements::of([entry]) {
                *self.elements.entry(element).or_default() += 1;
            }
            self.entries.insert(entry.clone());
        }
        // One that leaves may come again with another policy.
        for bridge in leaving.iter().filter_map(bridge_of) {
            self.bridges.remove(bridge);
        }
        self.bridges.extend(coming.iter().filter_map(bridge_of).cloned());
        FirewallBatch { add: leaving, remove: coming }
    }

    fn leaving<'a>(&'a self, batch: &'a FirewallBatch) -> impl Iterator<Item = &'a FirewallEntry> {
        let stays = |entry: &&FirewallEntry| !batch.add.contains(*entry);
        batch.remove.iter().filter(stays).filter(|entry| self.entries.contains(*entry))
    }

    fn coming<'a>(&'a self, batch: &'a FirewallBatch) -> impl Iterator<Item = &'a FirewallEntry> {
        batch.add.iter().filter(|entry| !self.entries.contains(*entry))
    }
}

/// The bridge that an entry makes a network's.
fn bridge_of(entry: &FirewallEntry) -> Option<&LinkName> {
    match entry {
        FirewallEntry::Policy(policy) => Some(&policy.link),
        _ => None,
    }
}
