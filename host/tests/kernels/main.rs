//! Drivers on a kernel: the real one, in a namespace of the test's own, and the
//! simulated one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

/// A dispatcher on a kernel, and requests as an engine makes them.
mod bench;
/// What a driver does to a kernel, and that nothing of it stays.
mod both;
/// What others do to our objects.
mod drift;
/// Failures at every kernel operation, one by one.
mod faults;
/// What comes with the first network and goes with the last.
mod first_and_last;
/// What a driver asks for, and what happens without it.
mod grants;
/// A kernel that does not answer.
mod hang;
/// What an IPAM driver learns of the engine and the host.
mod ipam;
/// Networks on a link of the host's.
mod macvlan;
/// Restarts, reboots, and changes behind the daemon's back.
mod repair;
/// Random sequences of calls, failures and restarts, compared with a simple model.
mod sequences;
