//! What calls share with other nodes: values that are published in groups, and groups that
//! networks follow. Rows like kernel objects, by the scope they belong to; the store that the
//! nodes share is brought up to date with them afterwards.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Scope;
use crate::id::{DriverName, EndpointId, NetworkId};

/// A group of a driver's: what the nodes call a network that exists on several of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// Whose it is.
    pub driver: DriverName,
    /// As the driver wrote it.
    pub name: String,
}

/// What this node publishes at most one value as.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryKey {
    /// The group.
    pub group: Group,
    /// As the driver wrote it.
    pub key: String,
}

/// What somebody here publishes: several may publish the same key, the last one counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublishedKey {
    /// As what.
    pub entry: EntryKey,
    /// The network that it is published for.
    pub network: NetworkId,
    /// The endpoint, if it is for one.
    pub endpoint: Option<EndpointId>,
}

/// A published value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Later ones have greater numbers.
    pub sequence: u64,
    /// The value.
    pub value: Vec<u8>,
}

/// A group that a network follows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FollowedKey {
    /// The group.
    pub group: Group,
    /// The network.
    pub network: NetworkId,
}

/// For whom something is published: a network, or an endpoint of it.
type For = (NetworkId, Option<EndpointId>);

/// All of it.
#[derive(Debug, Default, Clone)]
pub struct Shares {
    published: BTreeMap<EntryKey, BTreeMap<For, Published>>,
    by_network: BTreeMap<NetworkId, BTreeSet<PublishedKey>>,
    followed: BTreeSet<FollowedKey>,
}

// === impl PublishedKey ===

impl PublishedKey {
    /// What a call with this scope publishes.
    pub fn new(entry: EntryKey, scope: &Scope) -> Self {
        Self { entry, network: scope.network.clone(), endpoint: scope.endpoint.clone() }
    }

    /// Whether it goes when `scope` goes.
    pub fn goes_with(&self, scope: &Scope) -> bool {
        self.network == scope.network
            && (scope.endpoint.is_none() || scope.endpoint == self.endpoint)
    }

    /// As it stands in the store. Names and ids have no NUL, and a key comes last; a group's
    /// length says where it ends.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let Self { entry: EntryKey { group, key }, network, endpoint } = self;
        let endpoint = endpoint.as_ref().map_or("", EndpointId::as_str);
        let of = followed_text(group, network);
        [&of, endpoint, "\0", key].concat().into_bytes()
    }

    /// Reads it back.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (FollowedKey { group, network }, rest) =
            read_followed(std::str::from_utf8(bytes).ok()?)?;
        let (endpoint, key) = rest.split_once('\0')?;
        let endpoint = match endpoint {
            "" => None,
            endpoint => Some(endpoint.parse().ok()?),
        };
        Some(Self { entry: EntryKey { group, key: key.to_owned() }, network, endpoint })
    }
}

// === impl FollowedKey ===

impl FollowedKey {
    /// As it stands in the store.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        followed_text(&self.group, &self.network).into_bytes()
    }

    /// Reads it back.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        read_followed(std::str::from_utf8(bytes).ok()?).map(|(key, _)| key)
    }
}

fn followed_text(group: &Group, network: &NetworkId) -> String {
    let Group { driver, name } = group;
    format!("{driver}\0{network}\0{}\0{name}\0", name.len())
}

fn read_followed(text: &str) -> Option<(FollowedKey, &str)> {
    let mut parts = text.splitn(4, '\0');
    let driver = parts.next()?.parse().ok()?;
    let network = parts.next()?.parse().ok()?;
    let length: usize = parts.next()?.parse().ok()?;
    let rest = parts.next()?;
    let (name, rest) = rest.split_at_checked(length)?;
    let group = Group { driver, name: name.to_owned() };
    Some((FollowedKey { group, network }, rest.strip_prefix('\0')?))
}

// === impl Shares ===

impl Shares {
    /// What this node publishes as an entry: the last of all who do.
    pub fn value(&self, entry: &EntryKey) -> Option<&Vec<u8>> {
        let rows = self.published.get(entry)?.values();
        rows.max_by_key(|row| row.sequence).map(|row| &row.value)
    }

    /// All entries that this node publishes.
    pub fn entries(&self) -> impl Iterator<Item = &EntryKey> {
        self.published.keys()
    }

    /// What is published for a network or its endpoints.
    pub fn published_for(&self, network: &NetworkId) -> impl Iterator<Item = &PublishedKey> {
        self.by_network.get(network).into_iter().flatten()
    }

    /// How many values are published.
    pub fn published(&self) -> usize {
        self.published.values().map(BTreeMap::len).sum()
    }

    /// The greatest number of a published value.
    pub(super) fn last_sequence(&self) -> u64 {
        let rows = self.published.values().flat_map(BTreeMap::values);
        rows.map(|row| row.sequence).max().unwrap_or_default()
    }

    /// What is followed.
    pub fn followed(&self) -> &BTreeSet<FollowedKey> {
        &self.followed
    }

    /// Writes or (with none) forgets a published value.
    pub(super) fn set_published(&mut self, key: PublishedKey, row: Option<Published>) {
        let whom = (key.network.clone(), key.endpoint.clone());
        match row {
            Some(row) => {
                self.by_network.entry(key.network.clone()).or_default().insert(key.clone());
                self.published.entry(key.entry).or_default().insert(whom, row);
            }
            None => {
                if let Some(of_entry) = self.published.get_mut(&key.entry) {
                    of_entry.remove(&whom);
                    if of_entry.is_empty() {
                        self.published.remove(&key.entry);
                    }
                }
                if let Some(of_network) = self.by_network.get_mut(&key.network) {
                    of_network.remove(&key);
                    if of_network.is_empty() {
                        self.by_network.remove(&key.network);
                    }
                }
            }
        }
    }

    /// Follows, or no longer.
    pub(super) fn set_followed(&mut self, key: FollowedKey, follows: bool) {
        match follows {
            true => self.followed.insert(key),
            false => self.followed.remove(&key),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(group: &str, endpoint: Option<&str>, key: &str) -> PublishedKey {
        let group = Group { driver: "acme".parse().unwrap(), name: group.to_owned() };
        PublishedKey {
            entry: EntryKey { group, key: key.to_owned() },
            network: "n1".parse().unwrap(),
            endpoint: endpoint.map(|endpoint| endpoint.parse().unwrap()),
        }
    }

    #[test]
    fn keys_survive_the_store_whatever_the_driver_writes() {
        for group in ["g", "a/b", "a\0b", "12\0", "ü"] {
            for endpoint in [None, Some("e1")] {
                for name in ["k", "a\0b", "../x"] {
                    let key = key(group, endpoint, name);
                    assert_eq!(PublishedKey::from_bytes(&key.to_bytes()), Some(key.clone()));
                    let PublishedKey { entry: EntryKey { group, .. }, network, .. } = key;
                    let followed = FollowedKey { group, network };
                    assert_eq!(FollowedKey::from_bytes(&followed.to_bytes()), Some(followed));
                }
            }
        }
    }

    #[test]
    fn the_last_of_those_who_publish_a_key_counts_until_it_goes() {
        let mut shares = Shares::default();
        let (first, second) = (key("g", None, "k"), key("g", Some("e1"), "k"));
        let row = |sequence, value: &str| Some(Published { sequence, value: value.into() });
        shares.set_published(second.clone(), row(7, "new"));
        shares.set_published(first.clone(), row(3, "old"));
        shares.set_published(key("g2", None, "k"), row(9, "another group"));
        assert_eq!(shares.value(&first.entry), Some(&b"new".to_vec()));
        shares.set_published(second, None);
        assert_eq!(shares.value(&first.entry), Some(&b"old".to_vec()));
        shares.set_published(first.clone(), None);
        assert_eq!(shares.value(&first.entry), None);
        assert_eq!(shares.published_for(&first.network).count(), 1);
    }
}
