//! The admin socket: what the command line asks the daemon.
//!
//! HTTP and JSON over a unix socket that only root can open. [`view`] has what is
//! shown, on both sides of the socket.

pub mod client;
mod collect;
pub mod server;
mod stream;
pub mod view;

use std::{sync::Arc, time::Instant};

use tokio::sync::watch;

use crate::{daemon::Roster, dispatch::Dispatcher, runtime::Runtime};

/// The socket's name in the run directory.
pub const SOCKET: &str = "admin.sock";

/// What the admin socket reports about.
pub struct State {
    dispatcher: Arc<Dispatcher>,
    runtime: Arc<Runtime>,
    roster: Arc<Roster>,
    started: Instant,
    /// True when the daemon stops, so that nobody waits for who only listens.
    stop: watch::Receiver<bool>,
}

// === impl State ===

impl State {
    /// Begins to report, until `stop` is true; the daemon's uptime counts from now.
    pub fn new(
        dispatcher: Arc<Dispatcher>,
        runtime: Arc<Runtime>,
        roster: Arc<Roster>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self { dispatcher, runtime, roster, started: Instant::now(), stop }
    }
}
