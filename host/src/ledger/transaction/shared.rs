//! What a call shares with other nodes, and learns from them.
//!
//! What it publishes and follows are rows like its kernel objects. Agreed values are another
//! matter: nobody can take them back from others, so they are written at once.

use std::{collections::BTreeSet, time::Duration};

use super::{Inner, Shared, Transaction, TxError};
use crate::{
    cluster::{self, Cluster, Node},
    grants::Request,
    ledger::{EntryKey, FollowedKey, Group, Published, PublishedKey, Scope, State},
};

/// Longest name of a group, in bytes.
const GROUP_MAX: usize = 128;
/// Longest key, in bytes.
const KEY_MAX: usize = 255;
/// Longest value, in bytes.
const VALUE_MAX: usize = 4 << 10;
/// Values that a network and its endpoints may publish.
const PUBLISHED_MAX: usize = 4096;
/// Groups that a network may follow.
const FOLLOWED_MAX: usize = 16;

// === impl Transaction ===

impl Transaction {
    /// This host.
    pub async fn this_node(&self) -> Result<Node, TxError> {
        Ok(self.cluster().await?.this_node()?)
    }

    /// The hosts that are there.
    pub async fn nodes(&self) -> Result<Vec<Node>, TxError> {
        Ok(self.cluster().await?.nodes()?)
    }

    /// How this host stands with the others.
    pub async fn standing(&self) -> Result<cluster::Standing, TxError> {
        Ok(self.cluster().await?.standing().await?)
    }

    /// For how long a node has not been there; none: it is there, or nobody knows.
    pub async fn away(&self, node: &str) -> Result<Option<Duration>, TxError> {
        let cluster = self.cluster().await?;
        match node.parse() {
            Ok(id) => Ok(cluster.away(&id).await?),
            Err(_) => Ok(None),
        }
    }

    /// Follows a group for the call's network.
    pub async fn follow(&self, group: &str) -> Result<(), TxError> {
        self.cluster().await?;
        let mut inner = self.inner.lock().await;
        let scope = self.shared.to_share(&inner)?;
        let key = FollowedKey { group: self.shared.group(group)?, network: scope.network.clone() };
        let state = self.shared.ledger.read();
        if inner.follows(&state, &key) {
            return Ok(());
        }
        let of_network = |key: &&FollowedKey| key.network == scope.network;
        let stored = state.shares.followed().iter().filter(of_network);
        let all: BTreeSet<_> = stored.chain(inner.changes.followed.keys()).collect();
        if all.len() >= FOLLOWED_MAX {
            return Err(TxError::TooManyGroups(FOLLOWED_MAX));
        }
        drop(all);
        inner.changes.followed.insert(key, true);
        Ok(())
    }

    /// Publishes a value for the call's scope.
    pub async fn publish_entry(
        &self,
        group: &str,
        key: &str,
        value: Vec<u8>,
    ) -> Result<(), TxError> {
        self.cluster().await?;
        let mut inner = self.inner.lock().await;
        let scope = self.shared.to_share(&inner)?;
        if value.len() > VALUE_MAX {
            return Err(TxError::ValueTooLong(VALUE_MAX));
        }
        let key = PublishedKey::new(self.shared.entry_key(group, key)?, scope);
        {
            let state = self.shared.ledger.read();
            let stored = state.shares.published_for(&scope.network);
            let published: BTreeSet<_> = stored
                .chain(inner.changes.published.keys())
                .filter(|key| !matches!(inner.changes.published.get(key), Some(None)))
                .collect();
            if published.len() >= PUBLISHED_MAX && !published.contains(&key) {
                return Err(TxError::TooManyPublished(PUBLISHED_MAX));
            }
        }
        let sequence = self.shared.ledger.next_sequence();
        inner.changes.published.insert(key, Some(Published { sequence, value }));
        Ok(())
    }

    /// Takes back what was published: by this endpoint, or for the network.
    pub async fn withdraw_entry(&self, group: &str, key: &str) -> Result<(), TxError> {
        self.cluster().await?;
        let mut inner = self.inner.lock().await;
        let scope = self.shared.to_share(&inner)?;
        let entry = self.shared.entry_key(group, key)?;
        let state = self.shared.ledger.read();
        let stored = state.shares.published_for(&scope.network);
        let own = |key: &&PublishedKey| {
            key.entry == entry
                && (scope.endpoint.is_none()
                    || key.endpoint.is_none()
                    || key.endpoint == scope.endpoint)
        };
        let gone: Vec<_> =
            stored.chain(inner.changes.published.keys()).filter(own).cloned().collect();
        inner.changes.published.extend(gone.into_iter().map(|key| (key, None)));
        Ok(())
    }

    /// The entries of a group that the call's network follows.
    pub async fn entries(
        &self,
        group: &str,
        key: Option<&str>,
    ) -> Result<Vec<cluster::Entry>, TxError> {
        let cluster = self.cluster().await?;
        let inner = self.inner.lock().await;
        let scope = self.shared.to_share(&inner)?;
        let group = self.shared.group(group)?;
        let key_of = FollowedKey { group, network: scope.network.clone() };
        if !inner.follows(&self.shared.ledger.read(), &key_of) {
            return Err(TxError::NotFollowed(key_of.group.name));
        }
        Ok(cluster.entries(&key_of.group, key)?)
    }

    /// An agreed value.
    pub async fn agreed(&self, key: &str) -> Result<Option<Vec<u8>>, TxError> {
        check_key(key)?;
        Ok(self.cluster().await?.get(&self.shared.driver, key).await?)
    }

    /// The keys of agreed values that begin with `prefix`.
    pub async fn agreed_keys(&self, prefix: &str) -> Result<Vec<String>, TxError> {
        Ok(self.cluster().await?.keys(&self.shared.driver, prefix).await?)
    }

    /// Writes `new` if the agreed value is `old`, and says whether it did.
    pub async fn agree(
        &self,
        key: &str,
        old: Option<Vec<u8>>,
        new: Option<Vec<u8>>,
    ) -> Result<bool, TxError> {
        check_key(key)?;
        if new.as_ref().is_some_and(|value| value.len() > VALUE_MAX) {
            return Err(TxError::ValueTooLong(VALUE_MAX));
        }
        let (cluster, driver) = (self.cluster().await?, self.shared.driver.clone());
        if self.inner.lock().await.closed {
            return Err(TxError::Closed);
        }
        let key = key.to_owned();
        // To its end also when the driver is not there any more to hear of it.
        let agreed = self
            .shared
            .detached(async move { Ok(cluster.compare_and_set(&driver, &key, old, new).await?) });
        agreed.await
    }

    /// Waits until an agreed value is not `old`, for a while, and says what it is.
    pub async fn wait_agreed(
        &self,
        key: &str,
        old: Option<Vec<u8>>,
        patience: Duration,
    ) -> Result<Option<Vec<u8>>, TxError> {
        check_key(key)?;
        let cluster = self.cluster().await?;
        Ok(cluster.wait(&self.shared.driver, key, old.as_deref(), patience).await?)
    }

    /// Has the driver told of agreed values after a while.
    pub async fn call_later(&self, after: Duration) -> Result<(), TxError> {
        self.cluster().await?.tell_later(&self.shared.driver, after);
        Ok(())
    }

    /// The cluster, if the driver may know of it.
    async fn cluster(&self) -> Result<std::sync::Arc<Cluster>, TxError> {
        self.shared.permit(&mut *self.inner.lock().await, Request::Cluster)?;
        self.shared.cluster.clone().ok_or(TxError::NoCluster)
    }
}

// === impl Shared ===

impl Shared {
    /// The scope to share something in.
    fn to_share(&self, inner: &Inner) -> Result<&Scope, TxError> {
        if inner.closed {
            Err(TxError::Closed)
        } else {
            self.scope.as_ref().ok_or(TxError::NotOfNetwork)
        }
    }

    fn group(&self, name: &str) -> Result<Group, TxError> {
        if name.is_empty() || name.len() > GROUP_MAX {
            return Err(TxError::Group);
        }
        Ok(Group { driver: self.driver.clone(), name: name.to_owned() })
    }

    fn entry_key(&self, group: &str, key: &str) -> Result<EntryKey, TxError> {
        check_key(key)?;
        Ok(EntryKey { group: self.group(group)?, key: key.to_owned() })
    }
}

fn check_key(key: &str) -> Result<(), TxError> {
    if key.is_empty() || key.len() > KEY_MAX { Err(TxError::SharedKey) } else { Ok(()) }
}

// === impl Inner ===

impl Inner {
    /// Takes back what a scope shares.
    pub(super) fn withdraw_all_of(&mut self, state: &State, scope: &Scope) {
        let stored = state.shares.published_for(&scope.network);
        let gone: Vec<_> = stored
            .chain(self.changes.published.keys())
            .filter(|key| key.goes_with(scope))
            .cloned()
            .collect();
        self.changes.published.extend(gone.into_iter().map(|key| (key, None)));
        if scope.endpoint.is_none() {
            let stored = state.shares.followed().iter();
            let gone: Vec<_> = stored
                .chain(self.changes.followed.keys())
                .filter(|key| key.network == scope.network)
                .cloned()
                .collect();
            self.changes.followed.extend(gone.into_iter().map(|key| (key, false)));
        }
    }

    fn follows(&self, state: &State, key: &FollowedKey) -> bool {
        let changed = self.changes.followed.get(key).copied();
        changed.unwrap_or_else(|| state.shares.followed().contains(key))
    }
}
