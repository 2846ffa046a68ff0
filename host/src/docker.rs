//! Docker's remote plugin protocol: HTTP over one unix socket per driver name.
//!
//! [`wire`] has the JSON as Docker writes and reads it, [`api`] one arm per
//! method, [`server`] the sockets. Nothing here knows what a call does.

mod api;
mod ports;
pub mod server;
pub mod wire;

pub use self::api::{Failure, handle};
