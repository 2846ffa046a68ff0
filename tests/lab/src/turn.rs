//! Turns, for what all namespaces of the machine share.

use std::fs::File;

/// The kernel's own limit of neighbours, so the lock is of the machine and leaves no file.
const NEIGHBOURS: &str = "/proc/sys/net/ipv4/neigh/default/gc_thresh3";

/// A turn, until it is dropped.
#[must_use]
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "closing it gives the lock back")] File);

// === impl Turn ===

impl Turn {
    /// Waits for the turn to have hundreds of neighbours: thirty containers that all speak
    /// with each other nearly fill the kernel's table, which has 1024 places for all
    /// namespaces together. Two such tests at once, in one run or in two, would lose packets,
    /// and so would all others meanwhile.
    ///
    /// To be taken before the hosts are made, so that it is given back after they are gone.
    pub fn of_many_neighbours() -> Self {
        let file = File::open(NEIGHBOURS).unwrap_or_else(|error| panic!("{NEIGHBOURS}: {error}"));
        file.lock().unwrap_or_else(|error| panic!("cannot lock {NEIGHBOURS}: {error}"));
        Self(file)
    }
}
