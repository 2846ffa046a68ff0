//! The logic on books in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

/// Books that a crash takes back, and a world that does as it is told.
mod books;
/// How much a call reads and writes, however much there is.
mod cost;
/// What several nodes agree on, and how that fails.
mod members;
/// A hundred thousand random requests beside a model.
mod model;
/// Docker's rules, one by one.
mod rules;
/// Pools that several hosts share, beside a model, with all that can happen to the hosts.
mod several;
/// The rules of shared pools, one by one.
mod shared_pools;
