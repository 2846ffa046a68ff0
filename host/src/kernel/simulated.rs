//! A kernel in memory, for unit and property tests and for plans.
//!
//! It refuses what Linux refuses (a second link of a name, an address on a link
//! that is not there) and drops what Linux drops (addresses with their link,
//! both ends of a veth pair), so that the same driver tests run on both.

mod state;

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use ipnet::IpNet;
use tokio::sync::{mpsc, watch};

use self::state::State;
use super::{
    Address, Beside, DEFAULT_MTU, Error, Event, FirewallBatch, FirewallDrift, FirewallEntry,
    Kernel, Link, LinkName, Object, ObjectKey, ObservedLink, Route, SharedLink, Snapshot, Sysctl,
    Undo,
};

/// A kernel in memory.
#[derive(Debug)]
pub struct Simulated {
    state: Mutex<State>,
    events: tokio::sync::Mutex<mpsc::UnboundedReceiver<Event>>,
    notify: mpsc::UnboundedSender<Event>,
    hung: watch::Sender<bool>,
}

// === impl Simulated ===

impl Default for Simulated {
    fn default() -> Self {
        let (notify, events) = mpsc::unbounded_channel();
        let hung = watch::Sender::new(false);
        Self { state: Mutex::default(), events: tokio::sync::Mutex::new(events), notify, hung }
    }
}

impl Simulated {
    /// First and last of the ports that the host may pick by itself.
    pub const EPHEMERAL: (u16, u16) = (32768, 32867);

    /// Lets verbs fail as if the kernel had no memory: `count` of them, beginning with
    /// the `n`th from now (0: the next).
    pub fn fail_at(&self, n: u64, count: u64) {
        let mut state = self.lock();
        state.failing = state.verbs + n..state.verbs + n + count;
    }

    /// No verb fails by order any more; says how many there were since the start.
    pub fn fail_never(&self) -> u64 {
        let mut state = self.lock();
        state.failing = 0..0;
        state.verbs
    }

    /// Makes verbs pend, or goes on with them.
    pub fn hang(&self, hung: bool) {
        self.hung.send_replace(hung);
    }

    async fn until_it_answers(&self) {
        // The sender lives as long as `self`.
        let _ = self.hung.subscribe().wait_for(|hung| !hung).await;
    }

    /// All objects but firewall entries, sorted.
    pub fn objects(&self) -> Vec<Object> {
        self.lock().objects.values().cloned().collect()
    }

    /// All firewall entries.
    pub fn firewall_entries(&self) -> BTreeSet<FirewallEntry> {
        self.lock().firewall.clone()
    }

    /// Takes a link away behind the host's back, as a dying namespace does.
    pub fn lose_link(&self, name: &LinkName) {
        let lost = self.lock().remove_link(name);
        for name in lost {
            self.announce(Event::Object(ObjectKey::link(&name)));
        }
    }

    /// Makes a link behind the host's back.
    pub fn gain_link(&self, link: Link) {
        let key = ObjectKey::link(&link.name);
        self.lock().objects.insert(key.clone(), Object::Link(link));
        self.announce(Event::Object(key));
    }

    /// Adds an address behind the host's back, or removes it.
    pub fn set_address(&self, address: Address, is: bool) {
        let link = address.link.clone();
        let object = Object::Address(address);
        match is {
            true => self.lock().objects.insert(object.key(), object),
            false => self.lock().objects.remove(&object.key()),
        };
        self.announce(Event::Addresses(link));
    }

    fn announce(&self, event: Event) {
        // The receiver lives as long as `self`.
        let _ = self.notify.send(event);
    }

    /// Closes all published ports, as the daemon's end does: they are its sockets.
    pub fn close_ports(&self) {
        self.lock().objects.retain(|_, object| !matches!(object, Object::Port(_)));
    }

    /// Empties it, as a reboot does.
    pub fn reboot(&self) {
        let mut state = self.lock();
        state.objects.clear();
        state.firewall.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Kernel for Simulated {
    async fn create(&self, object: &Object) -> Result<Undo, Error> {
        self.until_it_answers().await;
        self.lock().create(object)
    }

    async fn replace(&self, old: &Object, new: &Object) -> Result<Undo, Error> {
        let mut state = self.lock();
        state.count(new)?;
        if let (Object::Shared(old), Object::Shared(new)) = (old, new) {
            let link = Object::Link(new.link.clone());
            state.objects.insert(link.key(), link);
            return Ok(Undo::Replace(Object::Shared(old.clone()), Object::Shared(new.clone())));
        }
        match (state.objects.get_mut(&new.key()), new) {
            // What the host does not know of a link that was there before stays.
            (Some(Object::Link(is)), Object::Link(new)) if new.adopted => is.up = new.up,
            _ => drop(state.objects.insert(new.key(), new.clone())),
        }
        Ok(Undo::Replace(old.clone(), new.clone()))
    }

    async fn delete(&self, object: &Object) -> Result<(), Error> {
        self.until_it_answers().await;
        let mut state = self.lock();
        state.count(object)?;
        match object {
            Object::Link(link) if link.adopted => {}
            Object::Sysctl(setting) if setting.before.is_some() => {
                let value = setting.before.clone().unwrap_or_default();
                let old = Sysctl { value, before: None, ..setting.clone() };
                state.objects.insert(object.key(), Object::Sysctl(old));
            }
            Object::Link(link) | Object::Shared(SharedLink { link, .. }) => {
                drop(state.remove_link(&link.name));
            }
            Object::Proxy(proxy) => {
                state.proxies.retain(|(link, _)| *link != proxy.link);
                state.objects.remove(&object.key());
            }
            Object::Firewall(entry) => drop(state.firewall.remove(entry)),
            _ => drop(state.objects.remove(&object.key())),
        }
        Ok(())
    }

    async fn firewall(&self, batch: &FirewallBatch) -> Result<(), Error> {
        self.until_it_answers().await;
        let mut state = self.lock();
        state.tick().map_err(Error::Firewall)?;
        for entry in &batch.remove {
            state.firewall.remove(entry);
        }
        state.firewall.extend(batch.add.iter().cloned());
        Ok(())
    }

    async fn reset_firewall(&self, entries: &BTreeSet<FirewallEntry>) -> Result<(), Error> {
        self.lock().firewall = entries.clone();
        Ok(())
    }

    async fn repair_firewall(&self) -> Result<Option<FirewallDrift>, Error> {
        // Nobody but the host touches it.
        Ok(None)
    }

    async fn tidy_firewall(&self) -> Result<(), Error> {
        // It has entries and nothing else.
        Ok(())
    }

    async fn is_firewall_silent(&self) -> bool {
        false
    }

    async fn ephemeral_ports(&self) -> Result<Vec<u16>, Error> {
        let (first, last) = Self::EPHEMERAL;
        Ok((first..=last).collect())
    }

    async fn look(&self, beside: &Beside) -> Result<Snapshot, Error> {
        let state = self.lock();
        let mut snapshot = Snapshot {
            routes: beside.routes.then(BTreeSet::new),
            neighbours: beside.neighbours.then(BTreeSet::new),
            fdb: beside.fdb.then(BTreeSet::new),
            proxies: beside.proxies.then(|| state.proxies.clone()),
            ..Snapshot::default()
        };
        for object in state.objects.values() {
            match object {
                Object::Link(link) => {
                    snapshot.links.insert(
                        link.name.clone(),
                        ObservedLink {
                            kind: link.kind.to_string(),
                            alias: link.alias.clone(),
                            mtu: link.mtu.or(link.kind.default_mtu()).unwrap_or(DEFAULT_MTU),
                            mac: link.mac,
                            master: link.master.clone(),
                            up: link.up,
                            hairpin: link.hairpin,
                            isolated: link.isolated,
                        },
                    );
                }
                Object::Address(address) => {
                    snapshot.addresses.entry(address.link.clone()).or_default().insert(address.net);
                }
                Object::Route(route) => {
                    snapshot.routes.iter_mut().for_each(|all| {
                        all.insert(Route { source: None, ..route.clone() });
                    });
                }
                Object::Neighbour(entry) => {
                    snapshot.neighbours.iter_mut().for_each(|all| {
                        all.insert(entry.clone());
                    });
                }
                Object::Fdb(entry) => {
                    snapshot.fdb.iter_mut().for_each(|all| {
                        all.insert(entry.clone());
                    });
                }
                Object::Sysctl(setting)
                    if beside.settings.iter().any(|one| one.is_same(setting)) =>
                {
                    snapshot.settings.insert(object.key(), setting.value.clone());
                }
                Object::Shared(_)
                | Object::Proxy(_)
                | Object::Sysctl(_)
                | Object::Firewall(_)
                | Object::Port(_) => {}
            }
        }
        Ok(snapshot)
    }

    async fn networks(&self) -> Result<BTreeSet<IpNet>, Error> {
        let net = |object: &Object| match object {
            Object::Address(address) => Some(address.net.trunc()),
            Object::Route(route) => Some(route.destination.trunc()),
            _ => None,
        };
        let nets = self.lock().objects.values().filter_map(net).collect::<Vec<_>>();
        Ok(nets.into_iter().filter(|net| net.prefix_len() > 0).collect())
    }

    async fn next_event(&self) -> Event {
        match self.events.lock().await.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }
}
