//! The daemon on a test host, for end-to-end tests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test library")]

mod daemon;
mod site;

pub use self::{
    daemon::{Daemon, binary, json},
    site::Site,
};

/// The component that misbehaves when a network's options say so.
pub const CHAOS: &str = env!("WASMNET_CHAOS");

/// The driver's name in Docker.
pub const BRIDGE: &str = "wasm-bridge";
