//! The clock by which running guests give their threads back, and by which what a call leaves
//! to be tidied up is begun. It stands still when no guest has run for a while, so that an idle
//! daemon does nothing.
//!
//! To wake a thread takes as long as many calls take in the sandbox. So the clock goes on for a
//! little after a call, and finds by itself what the next ones want of it.

use std::{
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use futures::future::BoxFuture;
use tokio::runtime::Handle;
use wasmtime::Engine;

/// How often a running guest gives the thread back.
const EPOCH: Duration = Duration::from_millis(2);
/// After how many epochs without a guest the clock stands still: a container's next call comes
/// before.
const REST: u32 = 25;

/// Moves an engine's epoch on, for as long as it lives.
pub(super) struct Ticker(Arc<Clock>);

/// The clock goes while this lives.
pub(super) struct Running(Arc<Clock>);

#[derive(Default)]
struct Clock {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    running: usize,
    /// What is to be begun at the next tick.
    later: Vec<BoxFuture<'static, ()>>,
    /// Ticks since a guest ran.
    idle: u32,
    /// The thread waits to be woken.
    stands: bool,
    over: bool,
}

// === impl Ticker ===

impl Ticker {
    /// Starts the clock's thread. What is done later is done on the threads of `threads`.
    pub(super) fn start(engine: &Engine, threads: Handle) -> Self {
        let clock = Arc::new(Clock::default());
        let (engine, of) = (engine.weak(), Arc::clone(&clock));
        thread::spawn(move || {
            while let Some(begun) = of.wait() {
                for work in begun {
                    let running = Running::new(&of);
                    threads.spawn(async move {
                        let _running = running;
                        work.await;
                    });
                }
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
        Running::new(&self.0)
    }

    /// Does something that nobody waits for, from the next tick on.
    pub(super) fn later(&self, work: BoxFuture<'static, ()>) {
        self.0.change(|state| state.later.push(work));
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.0.change(|state| state.over = true);
    }
}

// === impl Running ===

impl Running {
    fn new(clock: &Arc<Clock>) -> Self {
        clock.change(|state| state.running += 1);
        Self(Arc::clone(clock))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.change(|state| state.running -= 1);
    }
}

// === impl Clock ===

impl Clock {
    /// Waits while nobody needs the clock, and returns what is to be begun; none when the clock
    /// has lost its owner.
    fn wait(&self) -> Option<Vec<BoxFuture<'static, ()>>> {
        let mut state = self.lock();
        state.idle = if state.is_needed() { 0 } else { state.idle + 1 };
        if state.idle > REST {
            state.stands = true;
            let woken = self.changed.wait_while(state, |state| !state.is_needed());
            state = woken.unwrap_or_else(PoisonError::into_inner);
            (state.stands, state.idle) = (false, 0);
        }
        (!state.over).then(|| mem::take(&mut state.later))
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let wake = state.stands && state.is_needed();
        drop(state);
        if wake {
            self.changed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn is_needed(&self) -> bool {
        self.running > 0 || !self.later.is_empty() || self.over
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn the_clock_goes_while_a_guest_runs_and_for_a_while_after_it() {
        let clock = Arc::new(Clock::default());
        let (one, other) = (Running::new(&clock), Running::new(&clock));
        drop(one);
        for _ in 0..2 * REST {
            assert!(clock.wait().is_some(), "a guest still runs");
        }
        drop(other);
        for _ in 0..REST {
            assert!(clock.wait().is_some_and(|begun| begun.is_empty()));
        }
        let waits = thread::spawn({
            let clock = Arc::clone(&clock);
            move || clock.wait().is_some()
        });
        until(|| clock.lock().stands);
        let _running = Running::new(&clock);
        assert!(waits.join().unwrap() && !clock.lock().stands);
    }

    #[tokio::test]
    async fn the_thread_ends_with_the_clocks_owner() {
        let engine = Engine::default();
        let ticker = Ticker::start(&engine, Handle::current());
        let clock = Arc::clone(&ticker.0);
        until(|| clock.lock().stands);
        drop(ticker);
        until(|| Arc::strong_count(&clock) == 1);
    }

    #[tokio::test]
    async fn what_is_to_be_done_later_is_done_even_if_the_clock_stands() {
        let engine = Engine::default();
        let ticker = Ticker::start(&engine, Handle::current());
        until(|| ticker.0.lock().stands);
        let (done, is_done) = oneshot::channel();
        ticker.later(async move { done.send(()).unwrap() }.boxed());
        is_done.await.unwrap();
    }

    fn until(what: impl Fn() -> bool) {
        while !what() {
            thread::sleep(EPOCH);
        }
    }
}
