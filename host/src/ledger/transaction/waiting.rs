//! For how long a driver has waited for the host in a call.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// What it comes to. One step at a time, as a driver has one thread.
#[derive(Debug, Default)]
pub(super) struct Waited(Mutex<Times>);

#[derive(Debug, Default)]
struct Times {
    done: Duration,
    /// When the step under way began.
    since: Option<Instant>,
}

/// The driver waits for as long as this lives.
#[derive(Debug)]
pub(super) struct Waiting(Arc<Waited>);

// === impl Waited ===

impl Waited {
    /// It begins to wait.
    pub(super) fn begin(self: &Arc<Self>) -> Waiting {
        self.times().since = Some(Instant::now());
        Waiting(Arc::clone(self))
    }

    /// How long it has waited so far, the step under way with it.
    pub(super) fn time(&self) -> Duration {
        let times = self.times();
        times.done + times.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Waiting ===

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut times = self.0.times();
        if let Some(since) = times.since.take() {
            times.done += since.elapsed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_add_up_with_the_one_under_way() {
        let waited = Arc::new(Waited::default());
        assert_eq!(waited.time(), Duration::ZERO);
        let step = Duration::from_millis(2);
        let first = waited.begin();
        std::thread::sleep(step);
        drop(first);
        let one = waited.time();
        assert!(one >= step && one == waited.time());
        let _second = waited.begin();
        std::thread::sleep(step);
        assert!(waited.time() >= one + step);
    }
}
