//! Waiting for a state, never for a time.

use std::fmt::Display;
use std::os::fd::AsFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Between two looks at the state.
const PAUSE: Duration = Duration::from_millis(10);

/// What a probe of [`wait_for`] may return: an `Option`, a `Result` whose error
/// tells the state seen, or a `bool`.
pub trait Attempt {
    /// What [`wait_for`] gives back.
    type Value;
    /// The value, or the state seen instead of it.
    fn attempt(self) -> Result<Self::Value, String>;
}

impl<T> Attempt for Option<T> {
    type Value = T;
    fn attempt(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing yet".to_owned())
    }
}

impl<T, E: Display> Attempt for Result<T, E> {
    type Value = T;
    fn attempt(self) -> Result<T, String> {
        self.map_err(|state| state.to_string())
    }
}

impl Attempt for bool {
    type Value = ();
    fn attempt(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("still false".to_owned()) }
    }
}

/// Probes until there is a value.
///
/// # Panics
/// When `limit` has passed, with `what` and the last state seen.
#[track_caller]
pub fn wait_for<A: Attempt>(what: &str, limit: Duration, mut probe: impl FnMut() -> A) -> A::Value {
    let deadline = Instant::now() + limit;
    loop {
        match probe().attempt() {
            Ok(value) => return value,
            // Checked after the probe, so that even a late thread looks once more.
            Err(state) => assert!(
                Instant::now() < deadline,
                "waited {limit:?} in vain for {what}; last state: {state}"
            ),
        }
        sleep(PAUSE);
    }
}

/// Waits until `fd` (a pidfd: the process ended; a pipe: something to read)
/// is readable; false when `limit` has passed.
pub(crate) fn readable(fd: impl AsFd, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).expect("a limit of sane length");
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&left)) {
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("poll: {error}"),
            Ok(ready) => return ready > 0,
        }
    }
}
