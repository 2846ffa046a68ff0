//! From firewall entries to the elements of our sets and maps.

use std::collections::BTreeSet;

use crate::kernel::{FirewallEntry, Policy};

/// One element of a set or map of our table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Element {
    /// The set's or map's name.
    pub(super) set: &'static str,
    /// The element as nft(8) writes it. Names are [`LinkName`](crate::kernel::LinkName)s
    /// and so have nothing that would need escaping.
    pub(super) value: String,
}

/// The elements these entries stand for. Two entries may share one.
pub(super) fn of(entries: &BTreeSet<FirewallEntry>) -> BTreeSet<Element> {
    entries.iter().flat_map(of_entry).collect()
}

fn of_entry(entry: &FirewallEntry) -> Vec<Element> {
    match entry {
        FirewallEntry::Policy(Policy { link, internal, inter_container }) => {
            let within = if *inter_container { "accept" } else { "drop" };
            let mut elements = vec![
                Element { set: "bridges", value: format!("\"{link}\"") },
                Element { set: "within", value: format!("\"{link}\" . \"{link}\" : {within}") },
            ];
            if *internal {
                elements.push(Element { set: "internal", value: format!("\"{link}\"") });
            }
            elements
        }
        FirewallEntry::Masquerade { link, subnet } => {
            let (masquerade, at_home) = match subnet.addr().is_ipv4() {
                true => ("masquerade4", "at_home4"),
                false => ("masquerade6", "at_home6"),
            };
            vec![
                Element { set: masquerade, value: subnet.to_string() },
                Element { set: at_home, value: format!("{subnet} . \"{link}\"") },
            ]
        }
    }
}
