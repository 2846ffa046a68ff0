//! The clock by which running guests give their threads back. It stands still while no
//! guest runs, so that an idle daemon does nothing.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use wasmtime::Engine;

/// How often a running guest gives the thread back.
const EPOCH: Duration = Duration::from_millis(2);

/// Moves an engine's epoch on, for as long as it lives.
#[derive(Debug)]
pub(super) struct Ticker(Arc<Clock>);

/// The clock goes while this lives.
#[derive(Debug)]
pub(super) struct Running(Arc<Clock>);

#[derive(Debug, Default)]
struct Clock {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    over: bool,
}

// === impl Ticker ===

impl Ticker {
    /// Starts the clock's thread.
    pub(super) fn start(engine: &Engine) -> Self {
        let clock = Arc::new(Clock::default());
        let (engine, of) = (engine.weak(), Arc::clone(&clock));
        thread::spawn(move || {
            while of.wait() {
                thread::sleep(EPOCH);
                match engine.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => return,
                }
            }
        });
        Self(clock)
    }

    /// A guest is about to run.
    pub(super) fn run(&self) -> Running {
        self.0.change(|state| state.running += 1);
        Running(Arc::clone(&self.0))
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.0.change(|state| state.over = true);
    }
}

// === impl Running ===

impl Drop for Running {
    fn drop(&mut self) {
        self.0.change(|state| state.running -= 1);
    }
}

// === impl Clock ===

impl Clock {
    /// Waits until a guest runs; false when there will be none any more.
    fn wait(&self) -> bool {
        let idle = |state: &mut State| state.running == 0 && !state.over;
        let state = self.changed.wait_while(self.lock(), idle);
        !state.unwrap_or_else(PoisonError::into_inner).over
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_while_a_guest_runs_and_ends_with_its_owner() {
        let engine = Engine::default();
        let ticker = Ticker::start(&engine);
        let clock = Arc::clone(&ticker.0);
        let (one, other) = (ticker.run(), ticker.run());
        drop(one);
        assert!(clock.wait(), "a guest still runs");
        drop(other);
        assert_eq!(clock.lock().running, 0);
        drop(ticker);
        assert!(!clock.wait(), "the thread would wait for ever");
    }
}
