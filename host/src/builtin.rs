//! The drivers that are part of the daemon. They run in the same sandbox as
//! everybody's; that they are built in only saves a file.

use crate::{id::DriverName, ledger::Limits};

/// A driver that is part of the daemon.
#[derive(Debug)]
pub struct BuiltIn {
    /// Its name in Docker.
    pub name: &'static str,
    /// The component.
    pub component: &'static [u8],
    /// Bytes of keys and values it may have, if not what all may.
    store_bytes: Option<usize>,
}

/// All of them.
pub static DRIVERS: [BuiltIn; 4] = [
    BuiltIn {
        name: "wasm-bridge",
        component: include_bytes!(env!("WASMNET_BRIDGE")),
        store_bytes: None,
    },
    BuiltIn {
        name: "wasm-ipam",
        component: include_bytes!(env!("WASMNET_IPAM")),
        // A lease takes some 100 bytes: room for half a million.
        store_bytes: Some(64 << 20),
    },
    BuiltIn {
        name: "wasm-macvlan",
        component: include_bytes!(env!("WASMNET_MACVLAN")),
        store_bytes: None,
    },
    BuiltIn {
        name: "wasm-overlay",
        component: include_bytes!(env!("WASMNET_OVERLAY")),
        // An endpoint of another host takes some 150 bytes: room for a hundred thousand.
        store_bytes: Some(16 << 20),
    },
];

/// The one of this name.
pub fn find(name: &DriverName) -> Option<&'static BuiltIn> {
    DRIVERS.iter().find(|built_in| built_in.name == name.as_str())
}

// === impl BuiltIn ===

impl BuiltIn {
    /// How much it may do if the operator does not say.
    pub fn limits(&self) -> Limits {
        let default = Limits::default();
        Limits { store_bytes: self.store_bytes.unwrap_or(default.store_bytes), ..default }
    }
}
