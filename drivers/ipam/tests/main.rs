//! The logic on books in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

/// Books that a crash takes back, and a world that does as it is told.
mod books;
/// How much a call reads and writes, however much there is.
mod cost;
/// A hundred thousand random requests beside a model.
mod model;
/// Docker's rules, one by one.
mod rules;
