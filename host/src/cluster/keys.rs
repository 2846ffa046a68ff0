//! How what is shared stands in the store:
//!
//! * PREFIX/agreed/DRIVER/KEY: the value as it is.
//! * PREFIX/entries/DRIVER/GROUP/KEY/NODE: who publishes it, and the value (JSON).
//! * PREFIX/nodes/NODE: who is there (JSON).
//! * PREFIX/sessions/NODE/NUMBER: empty; which of a node's sessions may write.
//!
//! Drivers choose groups and keys, so what is in them must not look like more of the path;
//! only an agreed value's key stands as it is, since it comes last.

use std::fmt::Write as _;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

use super::{Entry, Node, Row};
use crate::{
    id::{DriverName, NodeId},
    ledger::{EntryKey, Group},
};

/// What all keys in the store begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(String);

/// It is no prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" is not a prefix of keys: use one like \"/wasmnet\"", .0.escape_default())]
pub struct InvalidPrefix(String);

/// An entry as it stands in the store.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    node: Node,
    /// Base64.
    value: String,
}

// === impl Prefix ===

impl Default for Prefix {
    fn default() -> Self {
        Self("/wasmnet".to_owned())
    }
}

impl TryFrom<String> for Prefix {
    type Error = InvalidPrefix;

    fn try_from(text: String) -> Result<Self, InvalidPrefix> {
        let fits = text.len() <= 128
            && text.starts_with('/')
            && !text.ends_with('/')
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(text)) } else { Err(InvalidPrefix(text)) }
    }
}

impl Prefix {
    /// A driver's agreed value.
    pub fn agreed(&self, driver: &DriverName, key: &str) -> String {
        format!("{}{driver}/{key}", self.all_agreed())
    }

    /// All agreed values.
    pub fn all_agreed(&self) -> String {
        format!("{}/agreed/", self.0)
    }

    /// A node.
    pub fn node(&self, id: &NodeId) -> String {
        format!("{}{id}", self.nodes())
    }

    /// A node's id, from its key in the store.
    pub fn read_node(&self, key: &str) -> Option<NodeId> {
        key.strip_prefix(&self.nodes())?.parse().ok()
    }

    /// All nodes.
    pub fn nodes(&self) -> String {
        format!("{}/nodes/", self.0)
    }

    /// All sessions of a node.
    pub fn sessions(&self, id: &NodeId) -> String {
        format!("{}/sessions/{id}/", self.0)
    }

    /// All entries.
    pub fn all_entries(&self) -> String {
        format!("{}/entries/", self.0)
    }

    /// All entries of a group.
    pub fn entries(&self, group: &Group) -> String {
        format!("{}{}/{}/", self.all_entries(), group.driver, encode(&group.name))
    }

    /// A node's entry.
    pub fn entry(&self, entry: &EntryKey, node: &NodeId) -> String {
        format!("{}{}/{node}", self.entries(&entry.group), encode(&entry.key))
    }

    /// A group's entry's key and node, from its key in the store.
    pub fn read_entry(&self, group: &Group, key: &str) -> Option<(String, NodeId)> {
        let (key, node) = key.strip_prefix(&self.entries(group))?.split_once('/')?;
        Some((decode(key)?, node.parse().ok()?))
    }
}

/// The value of a node's row.
pub(super) fn node_value(node: &Node) -> Vec<u8> {
    serde_json::to_vec(node).unwrap_or_default()
}

/// The node of a row's value.
pub(super) fn node_of(value: &[u8]) -> Option<Node> {
    serde_json::from_slice(value).ok()
}

/// The value of an entry's row.
pub(super) fn entry_value(node: &Node, value: &[u8]) -> Vec<u8> {
    let stored = Stored { node: node.clone(), value: BASE64_STANDARD.encode(value) };
    serde_json::to_vec(&stored).unwrap_or_default()
}

/// The entry of a row.
pub(super) fn entry_of(prefix: &Prefix, group: &Group, row: &Row) -> Option<Entry> {
    let (key, id) = prefix.read_entry(group, &row.key)?;
    let Stored { node, value } = serde_json::from_slice(&row.value).ok()?;
    let value = BASE64_STANDARD.decode(value).ok()?;
    // Nobody speaks for others.
    (node.id == id).then_some(Entry { key, node, value, revision: row.revision })
}

/// Letters, digits and some signs stay, all else becomes %XX.
fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.:@+=".contains(&byte) {
            encoded.push(byte.into());
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let (byte, tail) = match first {
            b'%' => {
                let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
                (u8::from_str_radix(digits, 16).ok()?, tail.get(2..)?)
            }
            byte => (byte, tail),
        };
        bytes.push(byte);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn group(name: &str) -> Group {
        Group { driver: "acme".parse().unwrap(), name: name.to_owned() }
    }

    proptest! {
        #[test]
        fn whatever_a_driver_writes_stays_in_its_place(
            name in any::<String>(), key in any::<String>(), other in any::<String>()
        ) {
            let (prefix, node) = (Prefix::default(), NodeId::random().unwrap());
            let entry = EntryKey { group: group(&name), key: key.clone() };
            let text = prefix.entry(&entry, &node);
            prop_assert_eq!(prefix.read_entry(&entry.group, &text), Some((key, node)));
            prop_assert_eq!(text.starts_with(&prefix.entries(&group(&other))), other == name);
        }
    }

    #[test]
    fn a_prefix_is_a_path() {
        for good in ["/wasmnet", "/a/b"] {
            assert!(Prefix::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "/", "wasmnet", "/a/", "/a b"] {
            assert!(Prefix::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn nobody_publishes_in_anothers_name() {
        let (prefix, group) = (Prefix::default(), group("g"));
        let node = |name: &str| Node {
            id: NodeId::random().unwrap(),
            name: name.to_owned(),
            address: "192.0.2.1".parse().unwrap(),
        };
        let (one, other) = (node("one"), node("other"));
        let entry = EntryKey { group: group.clone(), key: "k".to_owned() };
        let row = |by: &Node| Row {
            key: prefix.entry(&entry, &one.id),
            value: entry_value(by, b"v"),
            revision: 7,
        };
        assert_eq!(entry_of(&prefix, &group, &row(&one)).unwrap().value, b"v");
        assert_eq!(entry_of(&prefix, &group, &row(&other)), None);
    }
}
