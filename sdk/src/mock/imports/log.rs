//! The driver's log, which ends in the host's with driver, network and endpoint.

use crate::mock::state::with;

pub use crate::bindings::network::wasmnet::driver::log::Level;

/// Writes one line: [`Host::logged`](crate::mock::Host::logged) reads them.
pub fn write(level: Level, message: &str) {
    with(|state| state.log.push((level, message.to_owned())));
}
