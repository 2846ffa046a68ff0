//! The daemon on a test host, for end-to-end tests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test library")]

mod compiled;
mod daemon;
mod nodes;
mod others;
mod plugin;
mod site;
mod sites;
pub mod soak;
mod tries;
mod units;

pub use self::{
    daemon::{Daemon, binary, json, serve},
    nodes::{LEASE, Node, Nodes},
    others::{Others, Remote},
    plugin::{Bench, Plugin, Reply, calls, driver_config},
    site::{Site, publish, without_jumps},
    sites::{Sites, neighbours},
    tries::Tries,
    units::Unit,
};

/// The component that misbehaves when a network's options say so.
pub const CHAOS: &str = env!("WASMNET_CHAOS");

/// The component that attacks its host when a network's options say so.
pub const HOSTILE: &str = env!("WASMNET_HOSTILE");

/// A small IPAM driver.
pub const SHELF: &str = env!("WASMNET_SHELF");

/// A driver that looks outside.
pub const CURIOUS: &str = env!("WASMNET_CURIOUS");

/// A driver that tells itself on other nodes what it hears.
pub const GOSSIP: &str = env!("WASMNET_GOSSIP");

/// The component that the daemon has built in as [`BRIDGE`].
pub const BRIDGE_COMPONENT: &str = env!("WASMNET_BRIDGE");

/// The component that the daemon has built in as wasm-ipam.
pub const IPAM_COMPONENT: &str = env!("WASMNET_IPAM");

/// The component that the daemon has built in as wasm-macvlan.
pub const MACVLAN_COMPONENT: &str = env!("WASMNET_MACVLAN");

/// The component that the daemon has built in as wasm-overlay.
pub const OVERLAY_COMPONENT: &str = env!("WASMNET_OVERLAY");

/// A network driver with a mistake of choice: network option `wrong`.
pub const WRONG: &str = env!("WASMNET_WRONG");

/// An IPAM driver with a mistake of choice: config `wrong`.
pub const MISCOUNT: &str = env!("WASMNET_MISCOUNT");

/// The driver's name in Docker.
pub const BRIDGE: &str = "wasm-bridge";
