//! The wasmnet host daemon: Docker's remote network-plugin protocol on one side,
//! drivers in a WebAssembly sandbox on the other, and between them the only code
//! that touches the kernel.
//!
//! The way of one request, top to bottom: [`docker`] (HTTP and JSON), [`dispatch`]
//! (one call at a time per network, one transaction per call), [`runtime`] (a fresh
//! instance of the driver), [`ledger`] (what belongs to whom, and how to undo it),
//! [`kernel`] and [`firewall`] (doing it). Beside it: [`reconcile`] (the kernel as the
//! ledger says), [`cluster`] (what nodes
//! know in common), [`events`] (what has happened), [`admin`] and [`cli`] (for people),
//! [`daemon`] (putting it together).

pub mod admin;
pub mod builtin;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod conformance;
pub mod daemon;
pub mod dispatch;
pub mod docker;
pub mod doctor;
pub mod error;
pub mod events;
pub mod firewall;
pub mod grants;
pub mod id;
pub mod kernel;
pub mod ledger;
pub mod mac;
pub mod model;
pub mod netfilter;
pub mod outbound;
pub mod private_dir;
pub mod privileges;
pub mod probe;
pub mod reconcile;
mod resolvers;
pub mod runtime;
pub mod since_boot;
pub mod sockets;
pub mod store;
mod tls;
pub mod trust;
