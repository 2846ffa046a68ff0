//! Randomness: here the same in every test.

use crate::mock::state::with;

/// Most bytes in one call.
const RANDOM_MAX: u32 = 4096;

/// `length` random bytes, at most 4096.
pub fn bytes(length: u32) -> Vec<u8> {
    with(|state| (0..length.min(RANDOM_MAX)).map(|_| state.next_random()).collect())
}
