//! End-to-end tests, by what they show.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

/// Two containers on one network: neighbours, names, the way out.
mod reach;
