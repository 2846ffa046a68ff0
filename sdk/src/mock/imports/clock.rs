//! Time: it stands still but for a microsecond at each look, and when a test moves it
//! ([`Host::advance`](crate::mock::Host::advance)).

use crate::mock::state::with;

/// A look takes this many nanoseconds.
const LOOK: u64 = 1000;

/// Nanoseconds since some point in the past; never goes back.
pub fn monotonic() -> u64 {
    with(|state| {
        state.monotonic += LOOK;
        state.monotonic
    })
}

/// Nanoseconds since 1970-01-01T00:00:00Z, as the host believes.
pub fn wall() -> u64 {
    with(|state| {
        state.wall += LOOK;
        state.wall
    })
}
