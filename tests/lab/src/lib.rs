//! Test hosts made of Linux namespaces, each with a real Docker engine.
//!
//! [`Lab`] is a switch with hosts on it; [`Host`] is one machine, as far as
//! the network, `/run`, processes and the host name are concerned; [`Engine`]
//! is its dockerd. Everything a lab makes dies with the process that owns it,
//! whichever way that process ends, and nothing in the machine's own network
//! namespace is touched.
//!
//! ```no_run
//! let lab = wasmnet_lab::Lab::new();
//! let host = lab.host("a");
//! let _engine = host.start_engine();
//! host.docker(&["run", "--rm", "busybox", "ping", "-c1", "198.51.100.254"]);
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test library: a panic with a clear text is how a test fails"
)]

mod api;
mod cgroup;
mod engine;
mod etcd;
mod exec;
mod host;
mod image;
mod janitor;
mod lab;
mod namespace;
mod needs;
mod place;
mod process;
mod sctp;
mod state;
mod switch;
mod turn;
mod wait;

pub use api::Answer;
pub use engine::{Engine, EngineOptions};
pub use etcd::{Etcd, EtcdOptions};
pub use exec::{Exec, Output};
pub use host::Host;
pub use lab::Lab;
pub use place::{Flow, Place, Seen, Server, TRANSPORTS, Transport, transports};
pub use process::Process;
/// The signals that [`Process::signal`] sends.
pub use rustix::process::Signal;
pub use state::assert_same_state;
pub use turn::Turn;
pub use wait::{Attempt, wait_for};
