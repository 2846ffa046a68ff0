//! The admin socket: what the command line asks the daemon.
//!
//! HTTP and JSON over a unix socket that only root can open. [`view`] has what is
//! shown, on both sides of the socket.

pub mod client;
mod collect;
pub mod server;
pub mod view;

use std::{sync::Arc, time::Instant};

use crate::{dispatch::Dispatcher, runtime::Runtime};

/// The socket's name in the run directory.
pub const SOCKET: &str = "admin.sock";

/// What the admin socket reports about.
pub struct State {
    dispatcher: Arc<Dispatcher>,
    runtime: Arc<Runtime>,
    started: Instant,
}

// === impl State ===

impl State {
    /// Begins to report; the daemon's uptime counts from now.
    pub fn new(dispatcher: Arc<Dispatcher>, runtime: Arc<Runtime>) -> Self {
        Self { dispatcher, runtime, started: Instant::now() }
    }
}
