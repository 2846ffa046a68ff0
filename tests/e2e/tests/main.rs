//! End-to-end tests, by what they show.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

/// Drivers that fail: one sentence in time, nothing left, nobody else notices.
mod failing_drivers;
/// Containers come, go and change networks, compared with the built-in driver.
mod lifecycle;
/// What the user asks for: addresses, MTU, names, firewall; and what is refused.
mod options;
/// Two containers on one network: neighbours, names, the way out.
mod reach;
