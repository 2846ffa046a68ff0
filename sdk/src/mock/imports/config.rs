//! What the operator wrote for this driver, under `config` in its file.

use crate::mock::state::with;

/// The value of a key, if there is one: see [`Host::config`](crate::mock::Host::config).
pub fn get(key: &str) -> Option<String> {
    with(|state| state.config.get(key).cloned())
}
