//! The driver's own durable keys and values. Keys are 1 to 255 bytes.

use crate::{
    Error,
    mock::state::{KeyScope, State, step},
};

pub use crate::bindings::network::wasmnet::driver::store::Scope;

/// Longest key in bytes.
const KEY_MAX: usize = 255;

/// The value, as this call sees it (its own writes included).
pub fn get(scope: Scope, key: &str) -> Result<Option<Vec<u8>>, Error> {
    step(|state| Ok(state.world.keys.get(&full(state, scope, key)?).cloned()))
}

/// Writes a value.
pub fn set(scope: Scope, key: &str, value: &[u8]) -> Result<(), Error> {
    step(|state| {
        let key = full(state, scope, key)?;
        state.world.keys.insert(key, value.to_vec());
        Ok(())
    })
}

/// Deletes a key; a missing one is fine.
pub fn delete(scope: Scope, key: &str) -> Result<(), Error> {
    step(|state| {
        let key = full(state, scope, key)?;
        state.world.keys.remove(&key);
        Ok(())
    })
}

/// The keys that begin with `prefix`, sorted.
pub fn keys(scope: Scope, prefix: &str) -> Result<Vec<String>, Error> {
    step(|state| {
        let scope = of(state, scope)?;
        let keys =
            state.world.keys.keys().filter(|(of, key)| *of == scope && key.starts_with(prefix));
        Ok(keys.map(|(_, key)| key.clone()).collect())
    })
}

/// Writes `new` if the value is `old` (none: absent) and says whether it did.
pub fn compare_and_set(
    scope: Scope,
    key: &str,
    old: Option<&[u8]>,
    new: &[u8],
) -> Result<bool, Error> {
    step(|state| {
        let key = full(state, scope, key)?;
        let is_old = state.world.keys.get(&key).map(Vec::as_slice) == old;
        if is_old {
            state.world.keys.insert(key, new.to_vec());
        }
        Ok(is_old)
    })
}

fn full(state: &State, scope: Scope, key: &str) -> Result<(KeyScope, String), Error> {
    if key.is_empty() || key.len() > KEY_MAX {
        return Err(Error::invalid("a store key must be 1 to 255 bytes long"));
    }
    Ok((of(state, scope)?, key.to_owned()))
}

fn of(state: &State, scope: Scope) -> Result<KeyScope, Error> {
    let about = &state.call.scope;
    let none =
        |what| Error::invalid(format!("this call is about no {what}, so it has no keys of one"));
    match scope {
        Scope::Driver => Ok(KeyScope::Driver),
        Scope::Network if about.network.is_none() => Err(none("network")),
        Scope::Network => Ok(KeyScope::Network(about.network())),
        Scope::Endpoint if about.endpoint.is_none() => Err(none("endpoint")),
        Scope::Endpoint => Ok(KeyScope::Endpoint(about.clone())),
    }
}
