//! The sandbox: components, and calls into them.
//!
//! A [`Driver`] is a component made ready once (compiled, linked, type-checked);
//! every call gets a fresh instance of it from the pool, so no call sees another's
//! memory and none can poison the next. What a call may do to the world goes
//! through its [`Transaction`](crate::ledger::Transaction) and nothing else: WASI
//! is there, since languages' standard libraries import it, but it opens nothing.
//!
//! A call ends by itself, by a trap, or at its deadline. Epochs make a looping
//! guest give the thread back every few milliseconds; the deadline itself is a
//! timer outside, so that it also ends a call that waits inside an import.

mod annotate;
pub mod bindings;
mod cache;
mod call;
pub mod compiler;
mod component;
mod contract;
mod convert;
mod engine;
mod error;
mod facts;
pub mod imports;
mod instance;
mod ipam;
mod network;
mod steady;
mod ticker;

pub use self::{
    call::{Call, CallLimits},
    compiler::{COMPONENT_MAX, CompileLimits, Compiler},
    component::{Driver, Manifest, Settings, read_component},
    engine::Runtime,
    error::{CallError, LoadError},
    facts::Facts,
    network::Endpoint,
    steady::{Steady, Usage},
};
