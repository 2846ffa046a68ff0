//! The driver's own keys, as a call sees them.

use super::{Inner, Shared, Transaction, TxError};
use crate::ledger::{KeyScope, Scope, State, StoreKey};

/// Longest key in bytes.
const KEY_MAX: usize = 255;

/// Which keys of the driver a call means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// The driver's.
    Driver,
    /// The call's network's.
    Network,
    /// The call's endpoint's.
    Endpoint,
}

// === impl Transaction ===

impl Transaction {
    /// The value of a key.
    pub async fn get(&self, keys: Keys, key: &str) -> Result<Option<Vec<u8>>, TxError> {
        let inner = self.inner.lock().await;
        let key = self.shared.store_key(keys, key)?;
        Ok(inner.value(&self.shared.ledger.read(), &key).cloned())
    }

    /// Writes a value, or with none deletes the key.
    pub async fn set(&self, keys: Keys, key: &str, value: Option<Vec<u8>>) -> Result<(), TxError> {
        let mut inner = self.inner.lock().await;
        self.shared.set(&mut inner, keys, key, value)
    }

    /// Writes `new` if the value is `old`, and says whether it did.
    pub async fn compare_and_set(
        &self,
        keys: Keys,
        key: &str,
        old: Option<Vec<u8>>,
        new: Vec<u8>,
    ) -> Result<bool, TxError> {
        let mut inner = self.inner.lock().await;
        let full = self.shared.store_key(keys, key)?;
        let is_old = inner.value(&self.shared.ledger.read(), &full) == old.as_ref();
        if is_old {
            self.shared.set(&mut inner, keys, key, Some(new))?;
        }
        Ok(is_old)
    }

    /// The keys that begin with `prefix`, sorted.
    pub async fn keys(&self, keys: Keys, prefix: &str) -> Result<Vec<String>, TxError> {
        let inner = self.inner.lock().await;
        let scope = self.shared.key_scope(keys)?;
        let state = self.shared.ledger.read();
        let stored = state.keys.get(&(self.shared.driver.clone(), scope.clone()));
        let mut found: std::collections::BTreeSet<String> = stored
            .into_iter()
            .flat_map(|keys| keys.range(prefix.to_owned()..))
            .map(|(key, _)| key)
            .take_while(|key| key.starts_with(prefix))
            .cloned()
            .collect();
        for (key, value) in &inner.changes.keys {
            if key.scope == scope && key.key.starts_with(prefix) {
                match value {
                    Some(_) => drop(found.insert(key.key.clone())),
                    None => drop(found.remove(&key.key)),
                }
            }
        }
        Ok(found.into_iter().collect())
    }
}

// === impl Shared ===

impl Shared {
    fn set(
        &self,
        inner: &mut Inner,
        keys: Keys,
        key: &str,
        value: Option<Vec<u8>>,
    ) -> Result<(), TxError> {
        if inner.closed {
            return Err(TxError::Closed);
        }
        let full = self.store_key(keys, key)?;
        if let Some(value) = &value {
            let used = inner.store_bytes(&self.ledger.read(), self);
            if used + full.key.len() + value.len() > self.limits.store_bytes {
                return Err(TxError::StoreFull(self.limits.store_bytes));
            }
        }
        inner.changes.keys.insert(full, value);
        Ok(())
    }

    fn store_key(&self, keys: Keys, key: &str) -> Result<StoreKey, TxError> {
        if key.is_empty() || key.len() > KEY_MAX {
            return Err(TxError::Key);
        }
        let (driver, scope) = (self.driver.clone(), self.key_scope(keys)?);
        Ok(StoreKey { driver, scope, key: key.to_owned() })
    }

    fn key_scope(&self, keys: Keys) -> Result<KeyScope, TxError> {
        let scope = self.scope.as_ref();
        match keys {
            Keys::Driver => Ok(KeyScope::Driver),
            Keys::Network => scope
                .map(|scope| KeyScope::Network(scope.network.clone()))
                .ok_or(TxError::NoKeyScope("network")),
            Keys::Endpoint => scope
                .and_then(|scope| {
                    Some(KeyScope::Endpoint(scope.network.clone(), scope.endpoint.clone()?))
                })
                .ok_or(TxError::NoKeyScope("endpoint")),
        }
    }
}

// === impl Inner ===

impl Inner {
    /// Deletes all keys that go with a scope.
    pub(super) fn delete_keys_of(&mut self, state: &State, scope: &Scope) {
        let goes = |of: &KeyScope| of.goes_with(&scope.network, scope.endpoint.as_ref());
        self.changes.keys.retain(|key, _| !goes(&key.scope));
        state.for_keys_of(&scope.network, scope.endpoint.as_ref(), |key| {
            self.changes.keys.insert(key, None);
        });
    }

    fn value<'a>(&'a self, state: &'a State, key: &StoreKey) -> Option<&'a Vec<u8>> {
        match self.changes.keys.get(key) {
            Some(changed) => changed.as_ref(),
            None => state.key(key),
        }
    }

    /// Bytes of keys and values of the driver: those stored, and those this call
    /// wrote (a rewritten one counts twice until the commit).
    fn store_bytes(&self, state: &State, shared: &Shared) -> usize {
        let size = |(key, value): (&String, &Vec<u8>)| key.len() + value.len();
        let written: usize = self
            .changes
            .keys
            .iter()
            .filter_map(|(key, value)| Some(size((&key.key, value.as_ref()?))))
            .sum();
        state.key_bytes(&shared.driver) + written
    }
}
