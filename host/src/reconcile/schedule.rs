//! When networks are compared with the kernel.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use crate::id::NetworkId;

/// How long announcements are gathered before a network is looked at.
const GATHER: Duration = Duration::from_millis(50);
/// So often in a row that is enough; then the time doubles, up to the longest.
const PATIENT: u32 = 10;
/// The longest: whatever is wrong is put back within a second.
const LONGEST: Duration = Duration::from_millis(800);
/// A network that was quiet for so long is new again.
const FORGOTTEN: Duration = Duration::from_secs(10);

/// Networks that are to be looked at, one look at a time each.
#[derive(Debug, Default)]
pub(super) struct Schedule(BTreeMap<NetworkId, Place>);

/// A network's place.
#[derive(Debug)]
struct Place {
    due: Option<Instant>,
    running: bool,
    /// Looks in a row.
    looks: u32,
    last: Instant,
}

// === impl Schedule ===

impl Schedule {
    /// Something was announced about a network.
    pub(super) fn announce(&mut self, network: NetworkId, now: Instant) {
        // Forgotten here, since only who is announced is remembered.
        self.0.retain(|_, place| !place.is_quiet(now));
        let place = self.0.entry(network).or_insert(Place {
            due: None,
            running: false,
            looks: 0,
            last: now,
        });
        place.due.get_or_insert(now + delay(place.looks));
    }

    /// When there is something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        self.0.values().filter(|place| !place.running).filter_map(|place| place.due).min()
    }

    /// The networks that are due; they count as being looked at until they are
    /// [`finished`](Self::finished).
    pub(super) fn start(&mut self, now: Instant) -> Vec<NetworkId> {
        let mut started = Vec::new();
        for (network, place) in &mut self.0 {
            if !place.running && place.due.is_some_and(|due| due <= now) {
                (place.due, place.running, place.last) = (None, true, now);
                place.looks = place.looks.saturating_add(1);
                started.push(network.clone());
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

    #[test]
    fn many_announcements_are_one_look_and_one_look_at_a_time() {
        let mut schedule = Schedule::default();
        let now = Instant::now();
        assert_eq!(schedule.due(), None);
        (0..100).for_each(|_| schedule.announce(network("a"), now));
        schedule.announce(network("b"), now);
        assert!(schedule.start(now).is_empty(), "gathered for a while first");
        assert_eq!(schedule.due(), Some(now + GATHER));
        let now = now + GATHER;
        assert_eq!(schedule.start(now), [network("a"), network("b")]);
        assert_eq!(schedule.due(), None);
        // What comes meanwhile has its turn afterwards.
        schedule.announce(network("a"), now);
        let later = now + GATHER;
        assert_eq!(schedule.due(), None);
        assert!(schedule.start(later).is_empty());
        schedule.finished(&network("a"), later);
        assert_eq!(schedule.start(later), [network("a")]);
    }

    #[test]
    fn who_is_never_quiet_is_looked_at_less_often_but_within_a_second() {
        let mut schedule = Schedule::default();
        let start = Instant::now();
        let mut now = start;
        let mut looks = 0;
        while now < start + Duration::from_secs(60) {
            schedule.announce(network("a"), now);
            for network in schedule.start(now) {
                looks += 1;
                schedule.finished(&network, now);
            }
            now += Duration::from_millis(1);
        }
        assert!((60..120).contains(&looks), "{looks} looks in a minute");
        now += LONGEST;
        schedule.start(now).iter().for_each(|network| schedule.finished(network, now));
        now += FORGOTTEN + Duration::from_millis(1);
        schedule.announce(network("b"), now);
        schedule.announce(network("a"), now);
        assert_eq!(schedule.due(), Some(now + GATHER), "a is new again");
    }
}
