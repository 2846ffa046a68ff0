//! The drivers that are part of the daemon. They run in the same sandbox as
//! everybody's; that they are built in only saves a file.

use crate::id::DriverName;

/// Whether there is one of this name.
pub fn has(name: &DriverName) -> bool {
    DRIVERS.iter().any(|(built_in, _)| *built_in == name.as_str())
}

/// Docker driver names and components.
pub const DRIVERS: [(&str, &[u8]); 1] = [("wasm-bridge", include_bytes!(env!("WASMNET_BRIDGE")))];
