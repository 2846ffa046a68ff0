//! The contract's imports, on the host in memory: what drivers call where they are not
//! components. The same functions and types as on `wasm32`, with the same rules.

pub mod addresses;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod engine;
pub mod files;
pub mod firewall;
pub mod host_networks;
pub mod http;
pub mod links;
pub mod log;
pub mod neighbours;
pub mod random;
pub mod routes;
pub mod store;
pub mod sysctl;
