//! Reading the store into memory, and the encoding of rows (JSON).

use serde::{Serialize, de::DeserializeOwned};

use super::{EndpointKey, Error, FollowedKey, PublishedKey, State, StoreKey, object_rows};
use crate::{
    id::DriverName,
    store::{Batch, Lasting, Store, Table},
};

/// The row of [`Table::Meta`] with the boot id.
pub(super) const BOOT_ID: &str = "boot-id";

/// The row of [`Table::Meta`] with this node's id.
pub(super) const NODE_ID: &str = "node-id";

/// What rows of [`Table::Meta`] with a driver's engine session begin with.
const SESSION: &str = "engine-session/";

/// The row of [`Table::Meta`] with a driver's engine session.
pub(super) fn session_row(driver: &DriverName) -> String {
    format!("{SESSION}{driver}")
}

/// Reads everything.
pub(super) fn load(store: &Store) -> Result<State, Error> {
    let mut state = State::default();
    for (key, value) in store.rows(Table::Meta)? {
        if key == BOOT_ID.as_bytes() {
            state.boot_id = Some(text(&value));
        }
        if key == NODE_ID.as_bytes() {
            state.node_id = text(&value).parse().ok();
        }
        let driver = text(&key).strip_prefix(SESSION).and_then(|driver| driver.parse().ok());
        if let (Some(driver), Ok(session)) = (driver, text(&value).parse()) {
            state.sessions.insert(driver, session);
        }
    }
    for (key, value) in store.rows(Table::Networks)? {
        let record = decode(Table::Networks, &key, &value)?;
        if let Ok(id) = text(&key).parse() {
            state.networks.insert(id, record);
        }
    }
    for (key, value) in store.rows(Table::Endpoints)? {
        let record = decode(Table::Endpoints, &key, &value)?;
        if let Some(id) = EndpointKey::from_bytes(&key) {
            state.endpoints.entry(id.network).or_default().insert(id.endpoint, record);
        }
    }
    // Of an object that was forgotten, and made again for somebody else, a crash may leave
    // two rows: the one with the greater number is later.
    let mut stale = Batch::new();
    let row = |key| (Table::Objects, key);
    for (key, value) in store.rows(Table::Objects)? {
        let (name, entry) = object_rows::decode(&key, &value)?;
        state.next_sequence = state.next_sequence.max(entry.sequence);
        match state.objects.get(&name) {
            Some(known) if known.sequence > entry.sequence => drop(stale.insert(row(key), None)),
            known => {
                stale.extend(known.map(|old| (row(object_rows::key(&old.scope, &name)), None)));
                state.objects.set(name, Some(entry));
            }
        }
    }
    store.write(&stale, Lasting::Durable)?;
    for (key, value) in store.rows(Table::Keys)? {
        if let Some(key) = StoreKey::from_bytes(&key) {
            state.set_key(key, Some(value));
        }
    }
    for (key, value) in store.rows(Table::Published)? {
        let row = decode(Table::Published, &key, &value)?;
        if let Some(key) = PublishedKey::from_bytes(&key) {
            state.shares.set_published(key, Some(row));
        }
    }
    for (key, _) in store.rows(Table::Followed)? {
        if let Some(key) = FollowedKey::from_bytes(&key) {
            state.shares.set_followed(key, true);
        }
    }
    state.next_sequence = state.next_sequence.max(state.shares.last_sequence());
    Ok(state)
}

/// A row's bytes.
pub(super) fn encode<T: Serialize>(row: Option<&T>) -> Result<Option<Vec<u8>>, Error> {
    row.map(|row| serde_json::to_vec(row).map_err(Error::Encode)).transpose()
}

/// What a row's bytes say.
pub(super) fn decode<T: DeserializeOwned>(
    table: Table,
    key: &[u8],
    value: &[u8],
) -> Result<T, Error> {
    serde_json::from_slice(value).map_err(|source| Error::Row { table, key: text(key), source })
}

/// A key, for people to read.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
