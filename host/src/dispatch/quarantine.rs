//! Drivers that fail again and again are left alone for a while.
//!
//! A driver that traps or runs past its deadline five times in a row, with no answer in
//! between, is in quarantine: its calls are refused at once, so that nobody waits for the
//! deadline each time. When the time is over, one call is let through as a trial: if it gets
//! an answer all is well again, and if not the next time is twice as long. A refusal by the
//! driver is an answer.

use std::{
    collections::HashMap,
    fmt,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use crate::{
    events::{About, Bus, What},
    id::DriverName,
    runtime::{CallError, Driver},
};

/// Failures in a row that lead to quarantine.
const FAILURES_MAX: u32 = 5;
/// The first quarantine; each further one is twice as long ...
const FIRST: Duration = Duration::from_secs(1);
/// ... up to this.
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// The drivers' failures.
#[derive(Debug, Default)]
pub struct Quarantine {
    records: Mutex<HashMap<DriverName, Record>>,
    events: Arc<Bus>,
}

/// Why and for how long a driver is in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confined {
    /// When it may be tried again, in seconds since 1970; in the past if nobody has called
    /// it since.
    pub until: u64,
    /// Failures in a row.
    pub failures: u32,
    /// The last one, in one line.
    pub reason: String,
}

/// A driver that may be called once.
pub(super) struct Admitted<'a> {
    driver: Arc<Driver>,
    pass: Pass<'a>,
}

/// One call's leave to go through; what came of it is noted.
struct Pass<'a> {
    of: &'a Quarantine,
    name: DriverName,
    /// Which quarantine it is the trial of, if it is one.
    trial: Option<Instant>,
}

/// A driver's failures since its last answer.
#[derive(Debug, Default)]
struct Record {
    failures: u32,
    reason: String,
    confined: Option<Term>,
}

/// A time in quarantine.
#[derive(Debug, Clone, Copy)]
struct Term {
    until: Instant,
    length: Duration,
    tried: bool,
}

// === impl Quarantine ===

impl Quarantine {
    /// Nobody in it; `events` is told who comes and goes.
    pub(super) fn new(events: Arc<Bus>) -> Self {
        Self { records: Mutex::default(), events }
    }

    /// Lets a call through, or says why not.
    pub(super) fn admit(&self, driver: Arc<Driver>) -> Result<Admitted<'_>, CallError> {
        let pass = self.pass(&driver.name, Instant::now())?;
        Ok(Admitted { driver, pass })
    }

    /// Why a driver is in quarantine, if it is.
    pub fn confined(&self, name: &DriverName) -> Option<Confined> {
        self.with(name, |record| {
            let term = record.confined?;
            Some(Confined {
                until: clock_at(term.until),
                failures: record.failures,
                reason: record.reason.clone(),
            })
        })
    }

    /// Forgets a driver's failures. Says whether it was in quarantine.
    pub fn reset(&self, name: &DriverName) -> bool {
        let lifted = self.with(name, |record| std::mem::take(record).confined.is_some());
        if lifted {
            tracing::info!(driver = %name, "quarantine lifted by hand");
            self.events.send(About::driver(name), What::DriverReset);
        }
        lifted
    }

    fn pass(&self, name: &DriverName, now: Instant) -> Result<Pass<'_>, CallError> {
        let trial = self.with(name, |record| {
            let Some(term) = &mut record.confined else { return Ok(None) };
            let left = term.until.saturating_duration_since(now);
            if left.is_zero() && !term.tried {
                term.tried = true;
                return Ok(Some(term.until));
            }
            Err(CallError::Quarantined {
                driver: name.clone(),
                left,
                until: Clock(clock_at(term.until)).to_string(),
                failures: record.failures,
                reason: record.reason.clone(),
            })
        })?;
        Ok(Pass { of: self, name: name.clone(), trial })
    }

    fn with<T>(&self, name: &DriverName, change: impl FnOnce(&mut Record) -> T) -> T {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        change(records.entry(name.clone()).or_default())
    }
}

// === impl Admitted ===

impl Admitted<'_> {
    /// Notes what came of the call, and passes it on.
    pub(super) fn judge<T>(mut self, answer: Result<T, CallError>) -> Result<T, CallError> {
        match &answer {
            Err(error @ (CallError::Trap { .. } | CallError::Deadline { .. })) => {
                self.pass.failed(&error.external(), Instant::now());
            }
            Ok(_) | Err(CallError::Driver { .. } | CallError::Answer { .. }) => {
                self.pass.answered();
            }
            // It says nothing about the driver.
            Err(_) => {}
        }
        answer
    }
}

impl Deref for Admitted<'_> {
    type Target = Driver;

    fn deref(&self) -> &Driver {
        &self.driver
    }
}

// === impl Pass ===

impl Pass<'_> {
    fn answered(&mut self) {
        let trial = self.trial.take();
        self.of.with(&self.name, |record| {
            let current = record.confined.map(|term| term.until);
            // A call from before the quarantine does not end it.
            if current == trial {
                if trial.is_some() {
                    tracing::info!(driver = %self.name, "driver answers again; its quarantine is over");
                    self.of.events.send(About::driver(&self.name), What::DriverReset);
                }
                *record = Record::default();
            }
        });
    }

    fn failed(&mut self, reason: &str, now: Instant) {
        let trial = self.trial.take();
        self.of.with(&self.name, |record| {
            if record.confined.map(|term| term.until) != trial {
                return;
            }
            record.failures = record.failures.saturating_add(1);
            record.reason = reason.to_owned();
            let length = match record.confined {
                Some(term) => (term.length * 2).min(LONGEST),
                None if record.failures < FAILURES_MAX => return,
                None => FIRST,
            };
            let until = now + length;
            record.confined = Some(Term { until, length, tried: false });
            let (failures, seconds) = (record.failures, length.as_secs());
            tracing::warn!(driver = %self.name, failures, seconds, reason, "driver is in quarantine");
            let reason = format!("{failures} failures in a row, the last one: {reason}");
            self.of.events.send(About::driver(&self.name), What::DriverQuarantined { reason });
        });
    }
}

impl Drop for Pass<'_> {
    /// A trial that came to no end may be made again.
    fn drop(&mut self) {
        let Some(trial) = self.trial else { return };
        self.of.with(&self.name, |record| {
            if let Some(term) = record.confined.as_mut().filter(|term| term.until == trial) {
                term.tried = false;
            }
        });
    }
}

/// A moment in seconds since 1970.
fn clock_at(moment: Instant) -> u64 {
    let now = Instant::now();
    let clock = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    // Rounded, so that it is the same whenever it is asked.
    let at = clock + moment.saturating_duration_since(now);
    (at.saturating_sub(now.saturating_duration_since(moment)) + Duration::from_millis(500))
        .as_secs()
}

/// Seconds since 1970, shown as the time of day.
struct Clock(u64);

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 % (24 * 60 * 60);
        write!(f, "{:02}:{:02}:{:02} UTC", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A quarantine with a clock that stands still unless it is moved.
    struct Bench {
        quarantine: Quarantine,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            Self { quarantine: Quarantine::default(), now: Instant::now() }
        }

        fn pass(&self) -> Result<Pass<'_>, CallError> {
            self.quarantine.pass(&name(), self.now)
        }

        fn fail(&self) {
            self.pass().unwrap().failed("it crashed", self.now);
        }

        /// Fails until the driver is in quarantine.
        fn confine(&self) {
            (0..FAILURES_MAX).for_each(|_| self.fail());
        }

        /// How long the driver is refused for.
        fn refused_for(&self) -> Option<Duration> {
            match self.pass() {
                Err(CallError::Quarantined { left, .. }) => Some(left),
                Err(error) => panic!("{error}"),
                Ok(_) => None,
            }
        }
    }

    fn name() -> DriverName {
        "acme".parse().unwrap()
    }

    #[test]
    fn five_failures_in_a_row_and_no_fewer() {
        let bench = Bench::new();
        for _ in 0..3 {
            (1..FAILURES_MAX).for_each(|_| bench.fail());
            assert_eq!(bench.refused_for(), None);
            bench.pass().unwrap().answered();
        }
        bench.confine();
        assert_eq!(bench.refused_for(), Some(FIRST));
        let sentence = bench.pass().map(drop).unwrap_err().external();
        assert!(sentence.contains("it crashed") && sentence.contains(" UTC (1 s"), "{sentence}");
        let confined = bench.quarantine.confined(&name()).unwrap();
        assert_eq!((confined.failures, confined.reason.as_str()), (5, "it crashed"));
        // Others are not concerned.
        assert!(bench.quarantine.pass(&"other".parse().unwrap(), bench.now).is_ok());
    }

    #[test]
    fn each_failed_trial_doubles_the_time_up_to_the_longest() {
        let mut bench = Bench::new();
        bench.confine();
        let mut expected = FIRST;
        for _ in 0..12 {
            assert_eq!(bench.refused_for(), Some(expected));
            bench.now += expected - Duration::from_millis(1);
            assert!(bench.refused_for().is_some());
            bench.now += Duration::from_millis(1);
            bench.fail();
            expected = (2 * expected).min(LONGEST);
        }
        assert_eq!(expected, LONGEST);
    }

    #[test]
    fn one_trial_at_a_time_and_an_answer_ends_it() {
        let mut bench = Bench::new();
        bench.confine();
        bench.now += FIRST;
        let mut trial = bench.pass().unwrap();
        assert_eq!(bench.refused_for(), Some(Duration::ZERO), "a second trial");
        trial.answered();
        drop(trial);
        assert_eq!(bench.quarantine.confined(&name()), None);
        // It begins anew.
        (1..FAILURES_MAX).for_each(|_| bench.fail());
        assert_eq!(bench.refused_for(), None);
    }

    #[test]
    fn a_trial_that_was_given_up_may_be_made_again() {
        let mut bench = Bench::new();
        bench.confine();
        bench.now += FIRST;
        drop(bench.pass().unwrap());
        assert!(bench.pass().is_ok());
    }

    #[test]
    fn calls_from_before_neither_end_nor_lengthen_it() {
        let bench = Bench::new();
        let (mut early, mut late) = (bench.pass().unwrap(), bench.pass().unwrap());
        bench.confine();
        early.answered();
        late.failed("late", bench.now);
        assert_eq!(bench.refused_for(), Some(FIRST));
        assert_eq!(bench.quarantine.confined(&name()).unwrap().failures, FAILURES_MAX);
    }

    #[test]
    fn a_reset_lifts_it() {
        let bench = Bench::new();
        assert!(!bench.quarantine.reset(&name()));
        bench.confine();
        assert!(bench.quarantine.reset(&name()));
        assert_eq!(bench.refused_for(), None);
        bench.fail();
        assert_eq!(bench.refused_for(), None);
    }

    #[test]
    fn the_time_of_day_is_shown() {
        assert_eq!(Clock(0).to_string(), "00:00:00 UTC");
        assert_eq!(Clock(86_400 * 3 + 3600 * 23 + 59 * 60 + 7).to_string(), "23:59:07 UTC");
    }
}
