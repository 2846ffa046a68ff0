//! What has happened, for people and for programs.
//!
//! Everything worth telling is an [`Event`] and goes over one [`Bus`]. The bus keeps the
//! newest of them and counts them ([`Metrics`]); whoever reads has a place in the row, and
//! if the bus has moved on too far, is told how much was lost and goes on. Nobody who
//! sends ever waits for somebody who reads.

mod changes;
mod metrics;
mod sentence;
mod time;

use std::{
    collections::{BTreeSet, VecDeque},
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use self::{
    changes::of_changes,
    metrics::{Metrics, TRAP},
    time::Time,
};
use crate::{
    cluster::Node,
    id::{DriverName, EndpointId, NetworkId},
    ledger::{EndpointKey, Scope},
    model::Protocol,
};

/// How many events are kept.
pub const KEPT: usize = 1000;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Counts up from 1 since the daemon started.
    pub sequence: u64,
    /// When.
    pub time: Time,
    /// To whom.
    #[serde(flatten)]
    pub about: About,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What an event is about, as far as that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<DriverName>,
    /// The network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkId>,
    /// The endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<EndpointId>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum What {
    /// A network was made.
    NetworkCreated,
    /// A network was made again after a reboot.
    NetworkRestored,
    /// A network was deleted.
    NetworkDeleted,
    /// An endpoint was made.
    EndpointCreated {
        /// Its addresses.
        addresses: Vec<IpAddr>,
    },
    /// An endpoint went into a sandbox.
    EndpointJoined {
        /// The sandbox's key.
        sandbox: String,
    },
    /// An endpoint left its sandbox.
    EndpointLeft,
    /// An endpoint was deleted.
    EndpointDeleted,
    /// The host deleted an endpoint that the engine had not given up.
    EndpointEvicted {
        /// Why.
        why: String,
    },
    /// A port was published.
    PortPublished(PublishedPort),
    /// A published port was given up.
    PortReleased(PublishedPort),
    /// Somebody had changed an object of ours; it is as before.
    Repaired {
        /// The object's key, as in the ledger.
        object: String,
        /// What was wrong with it.
        wrong: Wrong,
        /// Where it was changed: in what.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        fields: BTreeSet<String>,
    },
    /// Somebody had changed an object of ours, and it cannot be put back.
    RepairFailed {
        /// The object's key.
        object: String,
        /// Why.
        reason: String,
    },
    /// Somebody had changed our part of the firewall; it is as before.
    FirewallRepaired {
        /// What was wrong with it.
        what: String,
    },
    /// A driver is ready.
    DriverLoaded {
        /// The component's own version.
        version: String,
        /// Its SHA-256, in hex.
        digest: String,
    },
    /// A driver cannot be loaded.
    DriverFailed {
        /// Why, in one line.
        reason: String,
    },
    /// A driver is not called any more.
    DriverQuarantined {
        /// Why, in one line.
        reason: String,
    },
    /// A driver is called again.
    DriverReset,
    /// A driver was taken away.
    DriverRemoved,
    /// The engine's call was answered with an error.
    CallFailed {
        /// The method, as the engine calls it.
        method: String,
        /// For programs.
        code: String,
        /// What the engine was told.
        sentence: String,
    },
    /// A driver wanted what it may not.
    Denied {
        /// For programs.
        code: String,
        /// What it wanted.
        wanted: String,
        /// The grant that it would need.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        grant: Option<String>,
    },
    /// The cluster's store cannot be reached.
    ClusterLost {
        /// Why.
        reason: String,
    },
    /// It can again.
    ClusterBack,
    /// Another node is there.
    NodeAppeared {
        /// Which one.
        node: Node,
    },
    /// Another node is gone.
    NodeGone {
        /// Which one.
        node: Node,
    },
    /// Whoever reads this was too slow, or came too late.
    Lost {
        /// How many events were dropped before the next one.
        events: u64,
    },
}

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// The protocol.
    pub protocol: Protocol,
    /// Where the host listens; none if the container is reached by its own address.
    pub host: Option<SocketAddr>,
    /// The container's address and port.
    pub container: SocketAddr,
}

/// What was wrong with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wrong {
    /// It was not there.
    Missing,
    /// It was another.
    Changed,
}

/// Where events go and come from.
#[derive(Debug)]
pub struct Bus {
    kept: Mutex<Kept>,
    newest: watch::Sender<u64>,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Kept {
    last: u64,
    events: VecDeque<Arc<Event>>,
}

/// A place in the row of events.
#[derive(Debug)]
pub struct Reader {
    bus: Arc<Bus>,
    seen: u64,
    newest: watch::Receiver<u64>,
}

// === impl Bus ===

impl Default for Bus {
    fn default() -> Self {
        Self { kept: Mutex::default(), newest: watch::Sender::new(0), metrics: Metrics::default() }
    }
}

impl Bus {
    /// Tells everybody.
    pub fn send(&self, about: About, what: What) {
        self.metrics.count(&about, &what);
        let mut kept = self.lock();
        kept.last += 1;
        let sequence = kept.last;
        kept.events.push_back(Arc::new(Event { sequence, time: Time::now(), about, what }));
        if kept.events.len() > KEPT {
            kept.events.pop_front();
        }
        // Under the lock, or an older number could come last.
        self.newest.send_replace(sequence);
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// A reader of what is kept and of what will come, behind the event of this number; of
    /// everything with none, or with a number that another daemon must have given.
    pub fn read(self: &Arc<Self>, since: Option<u64>) -> Reader {
        let kept = self.lock();
        let first_kept = kept.events.front().map_or(kept.last, |event| event.sequence - 1);
        let seen = since.filter(|since| *since <= kept.last).unwrap_or(first_kept);
        drop(kept);
        Reader { bus: Arc::clone(self), seen, newest: self.newest.subscribe() }
    }

    /// The events after the one of this number; the first says how many are lost, if any.
    fn after(&self, seen: u64) -> Vec<Arc<Event>> {
        let kept = self.lock();
        let first = kept.events.front().map_or(kept.last + 1, |event| event.sequence);
        let lost = first.saturating_sub(seen + 1);
        let skip = usize::try_from(seen.saturating_sub(first - 1)).unwrap_or(usize::MAX);
        let mut events: Vec<_> = kept.events.iter().skip(skip).cloned().collect();
        if lost > 0 {
            let what = What::Lost { events: lost };
            let about = About::default();
            let event = Event { sequence: first - 1, time: Time::now(), about, what };
            events.insert(0, Arc::new(event));
        }
        events
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Reader ===

impl Reader {
    /// What there is that has not been read; nothing if all has.
    pub fn take(&mut self) -> Vec<Arc<Event>> {
        let events = self.bus.after(self.seen);
        if let Some(last) = events.last() {
            self.seen = last.sequence;
        }
        events
    }

    /// The same, when there is something. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Vec<Arc<Event>> {
        loop {
            let _ = self.newest.borrow_and_update();
            let events = self.take();
            // The sender lives as long as `self`.
            if !events.is_empty() || self.newest.changed().await.is_err() {
                return events;
            }
        }
    }
}

// === impl About ===

impl About {
    /// About a driver.
    pub fn driver(driver: &DriverName) -> Self {
        Self { driver: Some(driver.clone()), ..Self::default() }
    }

    /// About an endpoint of a driver's network.
    pub fn endpoint(driver: &DriverName, key: &EndpointKey) -> Self {
        let (network, endpoint) = (Some(key.network.clone()), Some(key.endpoint.clone()));
        Self { driver: Some(driver.clone()), network, endpoint }
    }
}

impl From<Scope> for About {
    fn from(scope: Scope) -> Self {
        let Scope { driver, network, endpoint } = scope;
        Self { driver: Some(driver), network: Some(network), endpoint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(events: &[Arc<Event>]) -> Vec<u64> {
        events.iter().map(|event| event.sequence).collect()
    }

    #[tokio::test]
    async fn readers_begin_where_they_say_and_get_everything_in_order() {
        let bus = Arc::new(Bus::default());
        (0..3).for_each(|_| bus.send(About::default(), What::DriverReset));
        assert_eq!(numbers(&bus.read(None).take()), [1, 2, 3]);
        assert_eq!(numbers(&bus.read(Some(0)).take()), [1, 2, 3]);
        let mut reader = bus.read(Some(2));
        assert_eq!(numbers(&reader.next().await), [3]);
        assert!(reader.take().is_empty());
        assert!(futures::poll!(Box::pin(reader.next())).is_pending());
        bus.send(About::default(), What::DriverReset);
        assert_eq!(numbers(&reader.next().await), [4]);
        assert_eq!(bus.read(Some(9)).take().len(), 4, "a number of another daemon's");
    }

    #[tokio::test]
    async fn who_is_too_slow_is_told_how_much_is_lost() {
        let bus = Arc::new(Bus::default());
        let mut slow = bus.read(None);
        (0..KEPT + 7).for_each(|_| bus.send(About::default(), What::DriverReset));
        let events = slow.next().await;
        assert_eq!(events[0].what, What::Lost { events: 7 });
        assert_eq!(events.len(), 1 + KEPT);
        assert_eq!(events[1].sequence, 8);
        bus.send(About::default(), What::DriverReset);
        assert_eq!(numbers(&slow.next().await), [KEPT as u64 + 8]);
        // Who asks for what there is has lost nothing.
        assert_eq!(bus.read(None).take().len(), KEPT);
    }

    #[test]
    fn an_event_is_one_flat_object_and_can_be_read_back() {
        let scope = Scope::network("acme".parse().unwrap(), "n1".parse().unwrap());
        let fields = BTreeSet::from(["mtu".to_owned()]);
        let object = "link wn0123456789ab".to_owned();
        let what = What::Repaired { object, wrong: Wrong::Changed, fields };
        let event = Event { sequence: 7, time: Time::now(), about: scope.into(), what };
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(json["event"], "repaired");
        assert_eq!(json["network"], "n1");
        assert_eq!(json["fields"][0], "mtu");
        assert!(json.get("endpoint").is_none(), "{json}");
        assert_eq!(serde_json::from_value::<Event>(json).unwrap(), event);
    }
}
