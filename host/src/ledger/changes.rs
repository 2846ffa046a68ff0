//! What a call changes in the ledger, and as which rows of the store.

use std::collections::BTreeMap;

use super::{
    EndpointKey, EndpointRecord, Entry, Error, FollowedKey, NetworkRecord, Objects, Published,
    PublishedKey, StoreKey, load, object_rows,
};
use crate::{
    id::{DriverName, NetworkId},
    kernel::ObjectKey,
    store::{Batch, Table},
};

/// What a transaction changes: rows to write (some) or delete (none).
#[derive(Debug, Default, Clone)]
pub struct Changes {
    /// Networks.
    pub networks: BTreeMap<NetworkId, Option<NetworkRecord>>,
    /// Endpoints.
    pub endpoints: BTreeMap<EndpointKey, Option<EndpointRecord>>,
    /// Kernel objects.
    pub objects: BTreeMap<ObjectKey, Option<Entry>>,
    /// Driver keys.
    pub keys: BTreeMap<StoreKey, Option<Vec<u8>>>,
    /// The engine's sessions.
    pub sessions: BTreeMap<DriverName, u64>,
    /// The boot id.
    pub boot_id: Option<String>,
    /// What is published to other nodes.
    pub published: BTreeMap<PublishedKey, Option<Published>>,
    /// What is followed, or (false) no longer.
    pub followed: BTreeMap<FollowedKey, bool>,
}

// === impl Changes ===

impl Changes {
    /// Whether nothing changes but records of endpoints.
    pub(super) fn is_record_only(&self) -> bool {
        let Self { networks, endpoints: _, objects, keys, sessions, boot_id, published, followed } =
            self;
        let nothing_named = networks.is_empty() && objects.is_empty() && keys.is_empty();
        let nothing_shared = published.is_empty() && followed.is_empty();
        nothing_named && nothing_shared && sessions.is_empty() && boot_id.is_none()
    }

    /// As rows of the store, where these `objects` are before.
    pub(super) fn to_batch(&self, objects: &Objects) -> Result<Batch, Error> {
        let mut batch = Batch::new();
        for (id, record) in &self.networks {
            batch.insert((Table::Networks, id.as_str().into()), load::encode(record.as_ref())?);
        }
        for (key, record) in &self.endpoints {
            batch.insert((Table::Endpoints, key.to_bytes()), load::encode(record.as_ref())?);
        }
        for (key, entry) in &self.objects {
            if let Some(old) = objects.get(key) {
                batch.insert((Table::Objects, object_rows::key(&old.scope, key)), None);
            }
            if let Some(entry) = entry {
                let row = object_rows::encode(entry)?;
                batch.insert((Table::Objects, object_rows::key(&entry.scope, key)), row);
            }
        }
        for (key, value) in &self.keys {
            batch.insert((Table::Keys, key.to_bytes()), value.clone());
        }
        for (driver, session) in &self.sessions {
            batch.insert(
                (Table::Meta, load::session_row(driver).into()),
                Some(session.to_string().into()),
            );
        }
        for (key, row) in &self.published {
            batch.insert((Table::Published, key.to_bytes()), load::encode(row.as_ref())?);
        }
        for (key, follows) in &self.followed {
            let row = follows.then(Vec::new);
            batch.insert((Table::Followed, key.to_bytes()), row);
        }
        if let Some(boot_id) = &self.boot_id {
            batch.insert((Table::Meta, load::BOOT_ID.into()), Some(boot_id.as_bytes().into()));
        }
        Ok(batch)
    }
}
