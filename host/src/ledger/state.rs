//! What the ledger knows, in memory.

use std::collections::BTreeMap;

use super::{Changes, EndpointRecord, KeyScope, NetworkRecord, Objects, Shares, StoreKey};
use crate::id::{DriverName, EndpointId, NetworkId, NodeId};

/// Everything the ledger knows.
#[derive(Debug, Default, Clone)]
pub struct State {
    /// Networks by id.
    pub networks: BTreeMap<NetworkId, NetworkRecord>,
    /// Endpoints by network and id.
    pub endpoints: BTreeMap<NetworkId, BTreeMap<EndpointId, EndpointRecord>>,
    /// Kernel objects.
    pub objects: Objects,
    /// The drivers' keys, by what they belong to.
    pub keys: BTreeMap<(DriverName, KeyScope), BTreeMap<String, Vec<u8>>>,
    /// Bytes of the keys and values of each driver.
    key_bytes: BTreeMap<DriverName, usize>,
    /// How often the engine has begun to speak with each IPAM driver.
    pub sessions: BTreeMap<DriverName, u64>,
    /// The kernel's boot id when the ledger was last brought up to date.
    pub boot_id: Option<String>,
    /// What is shared with other nodes.
    pub shares: Shares,
    /// This node's id.
    pub(super) node_id: Option<NodeId>,
    /// The next object's sequence number.
    pub(super) next_sequence: u64,
}

// === impl State ===

impl State {
    /// The endpoints of a network.
    pub fn endpoints_of(
        &self,
        network: &NetworkId,
    ) -> impl Iterator<Item = (&EndpointId, &EndpointRecord)> {
        self.endpoints.get(network).into_iter().flatten()
    }

    /// One endpoint.
    pub fn endpoint(&self, network: &NetworkId, endpoint: &EndpointId) -> Option<&EndpointRecord> {
        self.endpoints.get(network)?.get(endpoint)
    }

    /// Visits the keys that go when a network, or one endpoint of it, goes.
    pub fn for_keys_of(
        &self,
        network: &NetworkId,
        endpoint: Option<&EndpointId>,
        mut visit: impl FnMut(StoreKey),
    ) {
        for ((driver, scope), keys) in &self.keys {
            if scope.goes_with(network, endpoint) {
                for key in keys.keys() {
                    let (driver, scope) = (driver.clone(), scope.clone());
                    visit(StoreKey { driver, scope, key: key.clone() });
                }
            }
        }
    }

    /// The value of a driver's key.
    pub fn key(&self, key: &StoreKey) -> Option<&Vec<u8>> {
        self.keys.get(&(key.driver.clone(), key.scope.clone()))?.get(&key.key)
    }

    /// Bytes of a driver's keys and values.
    pub fn key_bytes(&self, driver: &DriverName) -> usize {
        self.key_bytes.get(driver).copied().unwrap_or_default()
    }

    /// Writes a key or (with none) deletes it.
    pub(super) fn set_key(&mut self, key: StoreKey, value: Option<Vec<u8>>) {
        let StoreKey { driver, scope, key } = key;
        let name = key.len();
        let bytes = self.key_bytes.entry(driver.clone()).or_default();
        *bytes += value.as_ref().map_or(0, |value| name + value.len());
        let scope = (driver, scope);
        let of_scope = self.keys.entry(scope.clone()).or_default();
        let old = match value {
            Some(value) => of_scope.insert(key, value),
            None => of_scope.remove(&key),
        };
        *bytes -= old.map_or(0, |old| name + old.len());
        if *bytes == 0 {
            self.key_bytes.remove(&scope.0);
        }
        if of_scope.is_empty() {
            self.keys.remove(&scope);
        }
    }

    pub(super) fn apply(&mut self, changes: Changes) {
        for (id, record) in changes.networks {
            set(&mut self.networks, id, record);
        }
        for (key, record) in changes.endpoints {
            let of_network = self.endpoints.entry(key.network.clone()).or_default();
            set(of_network, key.endpoint, record);
            if of_network.is_empty() {
                self.endpoints.remove(&key.network);
            }
        }
        for (key, entry) in changes.objects {
            self.objects.set(key, entry);
        }
        for (key, value) in changes.keys {
            self.set_key(key, value);
        }
        for (key, row) in changes.published {
            self.shares.set_published(key, row);
        }
        for (key, follows) in changes.followed {
            self.shares.set_followed(key, follows);
        }
        self.sessions.extend(changes.sessions);
        if changes.boot_id.is_some() {
            self.boot_id = changes.boot_id;
        }
    }
}

fn set<K: Ord, V>(rows: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => drop(rows.insert(key, value)),
        None => drop(rows.remove(&key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_drivers_keys_is_kept_up_to_date() {
        fn driver(name: &str) -> DriverName {
            name.parse().unwrap()
        }
        let network: NetworkId = "n1".parse().unwrap();
        let mut state = State::default();
        let mut set = |name: &str, scope: &KeyScope, key: &str, value: Option<usize>| {
            let (scope, key) = (scope.clone(), key.to_owned());
            let key = StoreKey { driver: driver(name), scope, key };
            let changes = Changes {
                keys: BTreeMap::from([(key, value.map(|length| vec![0; length]))]),
                ..Changes::default()
            };
            state.apply(changes);
            let sum = |driver: &DriverName| -> usize {
                let of = state.keys.iter().filter(|((of, _), _)| of == driver);
                of.flat_map(|(_, keys)| keys).map(|(key, value)| key.len() + value.len()).sum()
            };
            for name in ["a", "b"] {
                assert_eq!(state.key_bytes(&driver(name)), sum(&driver(name)), "{name}");
            }
            state.key_bytes(&driver("a"))
        };
        assert_eq!(set("a", &KeyScope::Driver, "key", Some(10)), 13);
        assert_eq!(set("b", &KeyScope::Driver, "key", Some(5)), 13);
        assert_eq!(set("a", &KeyScope::Network(network.clone()), "key", Some(1)), 17);
        assert_eq!(set("a", &KeyScope::Driver, "key", Some(100)), 107);
        assert_eq!(set("a", &KeyScope::Driver, "none", None), 107);
        assert_eq!(set("a", &KeyScope::Driver, "key", None), 4);
        assert_eq!(set("a", &KeyScope::Network(network), "key", None), 0);
        assert!(state.key_bytes.len() == 1 && state.keys.len() == 1);
    }
}
