//! What makes calls go the same way each time, for tests of drivers: fuel in place of time, and
//! a clock and randomness of their own.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use wasmtime_wasi::{Deterministic, HostMonotonicClock, HostWallClock, WasiCtxBuilder};

/// Midnight of 2026-01-01 in nanoseconds since 1970: some time that is always the same.
const NEW_YEAR: u64 = 1_767_225_600_000_000_000;
/// The time that a look at the clock takes, in nanoseconds.
const LOOK: u64 = 1000;

/// A world in which everything goes the same way each time.
#[derive(Debug, Default)]
pub struct Steady {
    /// Instructions, roughly, that one call may take.
    pub fuel: u64,
    time: AtomicU64,
    chance: AtomicU64,
    usage: Mutex<Usage>,
}

/// The most that any call has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Instructions, roughly, and the method that took them.
    pub fuel: (u64, &'static str),
    /// Lines that did not get into the log any more, and the method that wrote them.
    pub lines_lost: (u32, &'static str),
}

/// A clock for guests.
struct Clock(Arc<Steady>);

// === impl Steady ===

impl Steady {
    /// One where a call may take this many instructions.
    pub fn new(fuel: u64) -> Arc<Self> {
        Arc::new(Self { fuel, ..Self::default() })
    }

    /// The most that any call has used since the last time.
    pub fn take_usage(&self) -> Usage {
        std::mem::take(&mut *self.usage.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes what a call has used.
    pub(super) fn note(&self, method: &'static str, left: u64, lines_lost: u32) {
        let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        let fuel = self.fuel.saturating_sub(left);
        if fuel > usage.fuel.0 {
            usage.fuel = (fuel, method);
        }
        if lines_lost > usage.lines_lost.0 {
            usage.lines_lost = (lines_lost, method);
        }
    }

    /// Nanoseconds since the beginning.
    pub(super) fn monotonic(&self) -> u64 {
        self.time.fetch_add(LOOK, Ordering::Relaxed)
    }

    /// Nanoseconds since 1970.
    pub(super) fn wall(&self) -> u64 {
        NEW_YEAR + self.monotonic()
    }

    /// Random bytes (SplitMix64).
    pub(super) fn bytes(&self, length: usize) -> Vec<u8> {
        let next = |_| {
            let state = self.chance.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed >> 56) as u8
        };
        (0..length).map(next).collect()
    }

    /// Gives a guest's standard library the same world.
    pub(super) fn set_up(self: &Arc<Self>, wasi: &mut WasiCtxBuilder) {
        wasi.secure_random(Deterministic::new(self.bytes(64)))
            .insecure_random(Deterministic::new(self.bytes(64)))
            .insecure_random_seed(1)
            .wall_clock(Clock(Arc::clone(self)))
            .monotonic_clock(Clock(Arc::clone(self)));
    }
}

// === impl Clock ===

impl HostWallClock for Clock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(LOOK)
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.wall())
    }
}

impl HostMonotonicClock for Clock {
    fn resolution(&self) -> u64 {
        LOOK
    }

    fn now(&self) -> u64 {
        self.0.monotonic()
    }
}
