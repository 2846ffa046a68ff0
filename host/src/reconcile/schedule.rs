//! When networks are compared with the kernel.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use crate::{id::NetworkId, kernel::Event};

/// How long announcements are gathered before a network is looked at.
const GATHER: Duration = Duration::from_millis(50);
/// So often in a row that is enough; then the time doubles, up to the longest.
const PATIENT: u32 = 10;
/// The longest: whatever is wrong is put back within a second.
const LONGEST: Duration = Duration::from_millis(800);
/// A network that was quiet for so long is new again.
const FORGOTTEN: Duration = Duration::from_secs(10);

/// Announcements that are kept of a network; with more it is simply looked at.
const KEPT: usize = 32;

/// Why a network is to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cause {
    /// Something may be wrong somewhere.
    Anything,
    /// These announcements, of each link the last; if there is something wrong with what
    /// they say.
    Events(Vec<Event>),
}

/// Networks that are to be looked at, one look at a time each.
#[derive(Debug, Default)]
pub(super) struct Schedule(BTreeMap<NetworkId, Place>);

/// A network's place.
#[derive(Debug)]
struct Place {
    due: Option<Instant>,
    cause: Cause,
    running: bool,
    /// Looks in a row.
    looks: u32,
    last: Instant,
}

// === impl Schedule ===

impl Schedule {
    /// There is a cause to look at a network.
    pub(super) fn announce(&mut self, network: NetworkId, cause: Cause, now: Instant) {
        // Forgotten here, since only who is announced is remembered.
        self.0.retain(|_, place| !place.is_quiet(now));
        let place = self.0.entry(network).or_insert(Place {
            due: None,
            cause: Cause::Events(Vec::new()),
            running: false,
            looks: 0,
            last: now,
        });
        place.cause.add(cause);
        place.due.get_or_insert(now + delay(place.looks));
    }

    /// When there is something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        self.0.values().filter(|place| !place.running).filter_map(|place| place.due).min()
    }

    /// The networks that are due; they count as being looked at until they are
    /// [`finished`](Self::finished).
    pub(super) fn start(&mut self, now: Instant) -> Vec<(NetworkId, Cause)> {
        let mut started = Vec::new();
        for (network, place) in &mut self.0 {
            if !place.running && place.due.is_some_and(|due| due <= now) {
                (place.due, place.running, place.last) = (None, true, now);
                place.looks = place.looks.saturating_add(1);
                let cause = std::mem::replace(&mut place.cause, Cause::Events(Vec::new()));
                started.push((network.clone(), cause));
            }
        }
        started
    }

    /// A look has ended.
    pub(super) fn finished(&mut self, network: &NetworkId, now: Instant) {
        if let Some(place) = self.0.get_mut(network) {
            (place.running, place.last) = (false, now);
        }
    }
}

// === impl Cause ===

impl Cause {
    fn add(&mut self, more: Self) {
        let (Self::Events(events), Self::Events(more)) = (&mut *self, more) else {
            *self = Self::Anything;
            return;
        };
        for event in more {
            // What was announced before of the same is no longer so.
            events.retain(|old| !event.replaces(old));
            events.push(event);
        }
        if events.len() > KEPT {
            *self = Self::Anything;
        }
    }
}

// === impl Place ===

impl Place {
    fn is_quiet(&self, now: Instant) -> bool {
        !self.running && self.due.is_none() && now.duration_since(self.last) > FORGOTTEN
    }
}

/// How long to gather after so many looks in a row.
fn delay(looks: u32) -> Duration {
    let doublings = looks.saturating_sub(PATIENT).min(LONGEST.as_millis().ilog2());
    GATHER.saturating_mul(1 << doublings).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(id: &str) -> NetworkId {
        id.parse().unwrap()
    }

    fn announce(schedule: &mut Schedule, id: &str, now: Instant) {
        schedule.announce(network(id), Cause::Anything, now);
    }

    fn start(schedule: &mut Schedule, now: Instant) -> Vec<NetworkId> {
        schedule.start(now).into_iter().map(|(network, _)| network).collect()
    }

    #[test]
    fn of_each_link_the_last_announcement_counts() {
        let port = |link: &str, hairpin| Event::Port {
            link: link.parse().unwrap(),
            hairpin,
            isolated: false,
        };
        let mut schedule = Schedule::default();
        let now = Instant::now();
        for event in [port("a0", false), port("a1", false), port("a0", true)] {
            schedule.announce(network("a"), Cause::Events(vec![event]), now);
        }
        let due = now + GATHER;
        let last = Cause::Events(vec![port("a1", false), port("a0", true)]);
        assert_eq!(schedule.start(due), [(network("a"), last)]);
        schedule.finished(&network("a"), due);
        schedule.announce(network("a"), Cause::Events(vec![port("a0", false)]), due);
        schedule.announce(network("a"), Cause::Anything, due);
        assert_eq!(schedule.start(due + GATHER), [(network("a"), Cause::Anything)]);
    }

    #[test]
    fn many_announcements_are_one_look_and_one_look_at_a_time() {
        let mut schedule = Schedule::default();
        let now = Instant::now();
        assert_eq!(schedule.due(), None);
        (0..100).for_each(|_| announce(&mut schedule, "a", now));
        announce(&mut schedule, "b", now);
        assert!(start(&mut schedule, now).is_empty(), "gathered for a while first");
        assert_eq!(schedule.due(), Some(now + GATHER));
        let now = now + GATHER;
        assert_eq!(start(&mut schedule, now), [network("a"), network("b")]);
        assert_eq!(schedule.due(), None);
        // What comes meanwhile has its turn afterwards.
        announce(&mut schedule, "a", now);
        let later = now + GATHER;
        assert_eq!(schedule.due(), None);
        assert!(start(&mut schedule, later).is_empty());
        schedule.finished(&network("a"), later);
        assert_eq!(start(&mut schedule, later), [network("a")]);
    }

    #[test]
    fn who_is_never_quiet_is_looked_at_less_often_but_within_a_second() {
        let mut schedule = Schedule::default();
        let begin = Instant::now();
        let mut now = begin;
        let mut looks = 0;
        while now < begin + Duration::from_secs(60) {
            announce(&mut schedule, "a", now);
            for network in start(&mut schedule, now) {
                looks += 1;
                schedule.finished(&network, now);
            }
            now += Duration::from_millis(1);
        }
        assert!((60..120).contains(&looks), "{looks} looks in a minute");
        now += LONGEST;
        start(&mut schedule, now).iter().for_each(|network| schedule.finished(network, now));
        now += FORGOTTEN + Duration::from_millis(1);
        announce(&mut schedule, "b", now);
        announce(&mut schedule, "a", now);
        assert_eq!(schedule.due(), Some(now + GATHER), "a is new again");
    }
}
