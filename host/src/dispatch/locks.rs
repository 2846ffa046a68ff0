//! One lock per key, made when needed and forgotten when not.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OwnedMutexGuard;

type Table<K> = Arc<Mutex<HashMap<K, Arc<tokio::sync::Mutex<()>>>>>;

/// Locks by key. Waiters of one key get it in the order in which they came.
#[derive(Debug)]
pub(super) struct Locks<K>(Table<K>);

/// Holds the lock of a key.
pub(super) struct Guard<K: Eq + Hash> {
    key: K,
    table: Table<K>,
    held: Option<OwnedMutexGuard<()>>,
}

// === impl Locks ===

impl<K> Default for Locks<K> {
    fn default() -> Self {
        Self(Table::default())
    }
}

impl<K: Eq + Hash + Clone> Locks<K> {
    /// Waits for the lock of a key.
    pub(super) async fn lock(&self, key: K) -> Guard<K> {
        let lock = {
            let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(table.entry(key.clone()).or_default())
        };
        let mut guard = Guard { key, table: Arc::clone(&self.0), held: None };
        guard.held = Some(lock.lock_owned().await);
        guard
    }
}

// === impl Guard ===

impl<K: Eq + Hash> Drop for Guard<K> {
    fn drop(&mut self) {
        self.held = None;
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever waits holds a reference of its own.
        if table.get(&self.key).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            table.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_is_held_by_one_and_forgotten_by_the_last() {
        let locks = Locks::default();
        let first = locks.lock("a").await;
        let _other = locks.lock("b").await;
        let mut second = Box::pin(locks.lock("a"));
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        drop(second.await);
        assert_eq!(locks.0.lock().unwrap().len(), 1, "only \"b\" is left");
    }
}
