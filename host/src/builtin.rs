//! The drivers that are part of the daemon. They run in the same sandbox as
//! everybody's; that they are built in only saves a file.

/// Docker driver names and components.
pub const DRIVERS: [(&str, &[u8]); 1] = [("wasm-bridge", include_bytes!(env!("WASMNET_BRIDGE")))];
