//! Time that nobody can set.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// Time since the host booted, in which it slept included: others do not sleep with it. Until
/// the next boot it means the same to every daemon of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SinceBoot(Duration);

// === impl SinceBoot ===

impl SinceBoot {
    /// This moment.
    pub fn now() -> Self {
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
        Self(Duration::new(seconds, nanoseconds))
    }

    /// How much later than another moment it is; none if it is earlier.
    pub fn after(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
