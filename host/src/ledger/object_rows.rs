//! Kernel objects as rows of the store.
//!
//! A row's key begins with what the object belongs to, so that the objects of a network, and
//! those of an endpoint, stand side by side: what a call changes is in few pages of the store,
//! however many networks there are.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, de::Error as _};

use super::{Entry, Error, Scope, load};
use crate::{
    id::{DriverName, EndpointId, NetworkId},
    kernel::{Object, ObjectKey},
    store::{Batch, Rows, Table},
};

/// An [`Entry`] without what the row's key says.
#[derive(Debug, Serialize, Deserialize)]
struct Row<'a> {
    sequence: u64,
    driver: Cow<'a, DriverName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<Cow<'a, str>>,
    object: Cow<'a, Object>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    doomed: bool,
}

/// The key of an object's row. Neither ids nor keys of objects have a NUL.
pub(super) fn key(scope: &Scope, key: &ObjectKey) -> Vec<u8> {
    let endpoint = scope.endpoint.as_ref().map_or("", EndpointId::as_str);
    [scope.network.as_str(), "\0", endpoint, "\0", key.as_str()].concat().into_bytes()
}

/// An object's row.
pub(super) fn encode(entry: &Entry) -> Result<Option<Vec<u8>>, Error> {
    load::encode(Some(&Row {
        sequence: entry.sequence,
        driver: Cow::Borrowed(&entry.scope.driver),
        label: entry.label.as_deref().map(Cow::Borrowed),
        object: Cow::Borrowed(&entry.object),
        doomed: entry.doomed,
    }))
}

/// The object of a row.
pub(super) fn decode(key: &[u8], value: &[u8]) -> Result<(ObjectKey, Entry), Error> {
    let row: Row<'_> = load::decode(Table::Objects, key, value)?;
    let (network, endpoint, key) = split(key).ok_or_else(|| {
        let source = serde_json::Error::custom("its key is not NETWORK, ENDPOINT and OBJECT");
        Error::Row { table: Table::Objects, key: load::text(key), source }
    })?;
    let scope = Scope { driver: row.driver.into_owned(), network, endpoint };
    let entry = Entry {
        sequence: row.sequence,
        scope,
        label: row.label.map(Cow::into_owned),
        object: row.object.into_owned(),
        doomed: row.doomed,
    };
    Ok((key, entry))
}

fn split(key: &[u8]) -> Option<(NetworkId, Option<EndpointId>, ObjectKey)> {
    let mut parts = std::str::from_utf8(key).ok()?.splitn(3, '\0');
    let network = parts.next()?.parse().ok()?;
    let endpoint = match parts.next()? {
        "" => None,
        endpoint => Some(endpoint.parse().ok()?),
    };
    Some((network, endpoint, ObjectKey::from(parts.next()?.to_owned())))
}

/// What makes the rows of the store's first layout into those of today. There, an object's row
/// had the object's key alone, and all else in its value.
pub(super) fn upgrade(rows: Rows) -> Result<Batch, Error> {
    let mut batch = Batch::new();
    for (old, value) in rows {
        let entry: Entry = load::decode(Table::Objects, &old, &value)?;
        let key = key(&entry.scope, &ObjectKey::from(load::text(&old)));
        batch.insert((Table::Objects, key), encode(&entry)?);
        batch.insert((Table::Objects, old), None);
    }
    Ok(batch)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use super::*;
    use crate::{
        kernel::Address,
        ledger::{Changes, Ledger},
        store::{Lasting, Store},
    };

    fn entry(endpoint: Option<&str>, doomed: bool) -> (ObjectKey, Entry) {
        let object = Object::Address(Address {
            link: "wn0".parse().unwrap(),
            net: "10.0.0.1/24".parse().unwrap(),
        });
        let scope = Scope {
            driver: "acme".parse().unwrap(),
            network: "n1".parse().unwrap(),
            endpoint: endpoint.map(|id| id.parse().unwrap()),
        };
        let label = endpoint.map(str::to_owned);
        (object.key(), Entry { sequence: 7, scope, label, object, doomed })
    }

    fn rows(store: &Store) -> Vec<(ObjectKey, Entry)> {
        let rows = store.rows(Table::Objects).unwrap();
        rows.iter().map(|(key, value)| decode(key, value).unwrap()).collect()
    }

    #[test]
    fn an_object_survives_the_store() {
        for endpoint in [None, Some("e1")] {
            for doomed in [false, true] {
                let (name, entry) = entry(endpoint, doomed);
                let row = encode(&entry).unwrap().unwrap();
                assert_eq!(decode(&key(&entry.scope, &name), &row).unwrap(), (name, entry));
            }
        }
    }

    #[test]
    fn a_row_without_scope_is_refused() {
        let (name, entry) = entry(None, false);
        let row = encode(&entry).unwrap().unwrap();
        let error = decode(name.as_str().as_bytes(), &row).unwrap_err();
        let cause = crate::error::chain(&error).to_string();
        assert!(cause.contains("NETWORK, ENDPOINT and OBJECT"), "{cause}");
    }

    #[tokio::test]
    async fn an_object_has_one_row_whatever_it_belongs_to() {
        let store = Arc::new(Store::in_memory().unwrap());
        let ledger = Ledger::open(Arc::clone(&store)).unwrap();
        let steps = [
            Some(entry(None, false).1),
            Some(entry(Some("e1"), false).1),
            Some(entry(Some("e1"), true).1),
            Some(entry(Some("e2"), false).1),
            None,
        ];
        for entry_now in steps {
            let name = entry(None, false).0;
            let objects = BTreeMap::from([(name.clone(), entry_now.clone())]);
            let changes = Changes { objects, ..Changes::default() };
            ledger.commit(changes, Lasting::Durable).await.unwrap();
            assert_eq!(rows(&store), Vec::from_iter(entry_now.map(|entry| (name, entry))));
        }
    }

    #[test]
    fn of_two_rows_of_one_object_the_later_counts() {
        let (name, old) = entry(Some("e2"), true);
        for endpoint in ["e1", "e3"] {
            let later = Entry { sequence: 8, ..entry(Some(endpoint), false).1 };
            let store = Arc::new(Store::in_memory().unwrap());
            let row = |of: &Entry| ((Table::Objects, key(&of.scope, &name)), encode(of).unwrap());
            let batch = Batch::from([row(&old), row(&later)]);
            store.write(&batch, Lasting::Durable).unwrap();
            let ledger = Ledger::open(Arc::clone(&store)).unwrap();
            assert_eq!(ledger.read().objects.get(&name), Some(&later));
            assert!(ledger.read().objects.doomed().is_empty());
            assert_eq!(rows(&store), [(name.clone(), later)]);
        }
    }

    #[test]
    fn the_first_layout_is_brought_up_to_date() {
        let dir = tempfile::tempdir().unwrap();
        let (name, entry) = entry(Some("e1"), true);
        {
            let store = Store::open(dir.path()).unwrap();
            let old = serde_json::to_vec(&entry).unwrap();
            let batch = Batch::from([
                ((Table::Meta, b"layout".to_vec()), Some(b"1".to_vec())),
                ((Table::Objects, name.as_str().into()), Some(old)),
            ]);
            store.write(&batch, Lasting::Durable).unwrap();
            assert!(store.is_outdated().unwrap());
        }
        for _ in 0..2 {
            let store = Arc::new(Store::open(dir.path()).unwrap());
            let ledger = Ledger::open(Arc::clone(&store)).unwrap();
            assert_eq!(ledger.read().objects.get(&name), Some(&entry));
            assert_eq!(rows(&store), [(name.clone(), entry.clone())]);
            assert!(!store.is_outdated().unwrap());
        }
    }
}
