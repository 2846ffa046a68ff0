//! What the nodes of a cluster know in common, behind one [`Store`]: etcd, or where there is
//! one node only, its own state.
//!
//! Two kinds of things are shared. *Agreed values* are read and written in the store itself,
//! and need it. *Entries* are published by one node each and are gone when it is: what a call
//! publishes stands in the ledger, from where [`publish`] brings the store up to date;
//! what others publish [`follow`] keeps in memory and tells the drivers of. So only what
//! needs agreement needs the store to be there, and what is known stays while it is not.

mod embedded;
mod etcd;
mod follow;
mod keys;
mod known;
mod kv;
mod memory;
mod publish;
mod session;
mod standing;
mod store;
mod told;

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, UdpSocket},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use tokio::{task::JoinSet, time::Instant};

pub(crate) use self::etcd::check as check_endpoint;
pub use self::{
    embedded::Embedded,
    etcd::{Etcd, InvalidEndpoint, Options as EtcdOptions, SetupError},
    follow::Listener,
    keys::{InvalidPrefix, Prefix},
    memory::Memory,
    session::Session,
    standing::Standing,
    store::{Change, Error, Lease, Listing, Row, Store, Watch, Write},
};
use self::{keys::node_of, known::Known, session::Current, standing::Presence, told::Alarms};
use crate::{
    events::{About, Bus, What},
    id::{DriverName, NodeId},
    ledger::{Group, Ledger},
};

/// How long the store may take for an answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How soon it is asked again for what is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long calls under way are waited for when the daemon stops.
const LAST_CALLS: Duration = Duration::from_secs(6);

/// A host of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Node {
    /// What tells it apart.
    pub id: NodeId,
    /// What people call it.
    pub name: String,
    /// Where the others reach it.
    pub address: IpAddr,
}

/// A value that a node has published in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is published as.
    pub key: String,
    /// Who has published it.
    pub node: Node,
    /// The value.
    pub value: Vec<u8>,
    /// A later value has a greater one.
    pub revision: u64,
}

/// Who this host is to the others.
#[derive(Debug, Clone)]
pub struct Identity {
    /// What tells it apart.
    pub id: NodeId,
    /// What people call it.
    pub name: String,
    /// Where the others reach it; none: where its default route leads out.
    pub address: Option<IpAddr>,
}

/// How a cluster is used.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What all keys begin with.
    pub prefix: Prefix,
    /// How long a node may be away until what it published is gone.
    pub lease: Duration,
}

/// This host's part of a cluster.
pub struct Cluster {
    store: Arc<dyn Store>,
    identity: Identity,
    settings: Settings,
    known: Known,
    presence: Presence,
    session: Arc<Current>,
    alarms: Alarms,
    reach: Mutex<Reach>,
    /// Held, shared, by each call of a driver about entries.
    calls: Arc<tokio::sync::RwLock<()>>,
}

/// Whether the store can be reached, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// Whether it can.
    pub reachable: bool,
    /// Since when that is so: seconds since 1970.
    pub since: u64,
    /// Why not.
    pub reason: Option<String>,
}

// === impl Cluster ===

impl Cluster {
    /// This host's part of the cluster that shares a store.
    pub fn new(store: Arc<dyn Store>, identity: Identity, settings: Settings) -> Self {
        // Nobody has tried yet.
        let reach = Reach { reachable: true, since: now(), reason: None };
        Self {
            store,
            identity,
            settings,
            known: Known::default(),
            presence: Presence::default(),
            session: Arc::default(),
            alarms: Alarms::default(),
            reach: Mutex::new(reach),
            calls: Arc::default(),
        }
    }

    /// A part of the same cluster for a call that is only rehearsed: it agrees on nothing.
    pub fn rehearsal(&self) -> Self {
        let store = Arc::new(store::Rehearsal::new(Arc::clone(&self.store)));
        let session = Arc::clone(&self.session);
        Self { session, ..Self::new(store, self.identity.clone(), self.settings.clone()) }
    }

    /// Gets ready to agree on something without [`run`](Self::run): for a store that nobody
    /// else has.
    pub async fn stand_alone(&self) -> Result<(), Error> {
        let lease = self.store.grant(self.settings.lease).await?;
        Session::begin(self, lease).await.map(drop)
    }

    /// This host.
    pub fn this_node(&self) -> Result<Node, Error> {
        let Identity { id, name, address } = self.identity.clone();
        let address = address.or_else(address_of_default_route).ok_or(Error::NoAddress)?;
        Ok(Node { id, name, address })
    }

    /// This host's id.
    pub fn id(&self) -> &NodeId {
        &self.identity.id
    }

    /// The hosts that are there, this one included, by id.
    pub fn nodes(&self) -> Result<Vec<Node>, Error> {
        let own = self.this_node()?;
        let mut nodes = self.known.nodes();
        nodes.insert(own.id.clone(), own);
        Ok(nodes.into_values().collect())
    }

    /// How this host stands with the others. Right after the start that takes a moment.
    pub async fn standing(&self) -> Result<Standing, Error> {
        match self.reach() {
            Reach { reachable: false, reason, .. } if self.presence.now().is_none() => {
                Err(Error::Unreachable(reason.unwrap_or_default()))
            }
            _ => {
                let seen = tokio::time::timeout(PATIENCE, self.presence.wait()).await;
                let late = |_| Error::Unreachable("it does not know of this host yet".to_owned());
                seen.map_err(late)
            }
        }
    }

    /// For how long a node has not been there, as far as this host has seen without a break;
    /// none: it is there, or nobody knows.
    pub async fn away(&self, node: &NodeId) -> Result<Option<Duration>, Error> {
        let Some(away) = self.known.away(node).filter(|_| *node != self.identity.id) else {
            return Ok(None);
        };
        // It may have come back this moment.
        let row = in_time(self.store.get(&self.settings.prefix.node(node))).await?;
        Ok(row.is_none().then_some(away))
    }

    /// The entries of a group that is followed: with this key, or all.
    pub fn entries(&self, group: &Group, key: Option<&str>) -> Result<Vec<Entry>, Error> {
        self.known.entries(group, key).ok_or(Error::NotKnownYet)
    }

    /// An agreed value of a driver's.
    pub async fn get(&self, driver: &DriverName, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let key = self.settings.prefix.agreed(driver, key);
        self.in_session(self.store.get(&key)).await
    }

    /// The keys of a driver's agreed values that begin with `prefix`, sorted.
    pub async fn keys(&self, driver: &DriverName, prefix: &str) -> Result<Vec<String>, Error> {
        let all = self.settings.prefix.agreed(driver, "");
        let from = format!("{all}{prefix}");
        let listing = self.in_session(self.store.list(&from, true)).await?;
        let keys = listing.rows.iter().filter_map(|row| row.key.strip_prefix(&all));
        Ok(keys.map(str::to_owned).collect())
    }

    /// Writes `new` if a driver's agreed value is `old`, and says whether it did.
    pub async fn compare_and_set(
        &self,
        driver: &DriverName,
        key: &str,
        old: Option<Vec<u8>>,
        new: Option<Vec<u8>>,
    ) -> Result<bool, Error> {
        let key = self.settings.prefix.agreed(driver, key);
        let until = after(PATIENCE);
        loop {
            let session = self.session(until).await?;
            let done = self.store.compare_and_set(&session, &key, old.as_deref(), new.as_deref());
            let done = tokio::time::timeout_at(until, done).await.unwrap_or(Err(Error::Unknown));
            if matches!(done, Err(Error::Unknown | Error::Superseded)) {
                self.session.doubt(&session);
            }
            match done {
                // Certainly not done.
                Err(Error::Superseded) if Instant::now() < until => {}
                done => return done,
            }
        }
    }

    /// Has a driver told of agreed values after a while, if not before.
    pub fn tell_later(&self, driver: &DriverName, after: Duration) {
        self.alarms.set(driver, after);
    }

    /// Waits until a driver's agreed value is not `old`, for a while, and says what it is.
    pub async fn wait(
        &self,
        driver: &DriverName,
        key: &str,
        old: Option<&[u8]>,
        patience: Duration,
    ) -> Result<Option<Vec<u8>>, Error> {
        let until = after(patience.min(PATIENCE));
        loop {
            let value = self.get(driver, key).await?;
            if value.as_deref() != old || Instant::now() >= until {
                return Ok(value);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// What the store is, for people.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Whether it can be reached, as far as is known.
    pub fn reach(&self) -> Reach {
        self.lock_reach().clone()
    }

    /// Publishes and follows for as long as this is polled, and tells `listener`, `events`.
    pub async fn run(
        self: Arc<Self>,
        ledger: Arc<Ledger>,
        events: Arc<Bus>,
        listener: Arc<dyn Listener>,
    ) {
        let mut tasks = JoinSet::new();
        tasks.spawn(publish::run(Arc::clone(&self), Arc::clone(&ledger), Arc::clone(&events)));
        tasks.spawn(follow::run_nodes(Arc::clone(&self), events));
        tasks.spawn(told::run(Arc::clone(&self), Arc::clone(&listener)));
        tasks.spawn(follow::run(self, ledger, listener));
        while tasks.join_next().await.is_some() {}
    }

    /// Waits for the calls of drivers that are under way.
    pub async fn finish(&self) {
        if tokio::time::timeout(LAST_CALLS, self.calls.write()).await.is_err() {
            tracing::warn!("a driver is still busy with what other nodes have published");
        }
    }

    /// The session in which this host reads and writes what is agreed.
    async fn session(&self, until: Instant) -> Result<Session, Error> {
        let session = tokio::time::timeout_at(until, self.session.wait()).await;
        session.map_err(|_elapsed| {
            let reason = self.reach().reason;
            Error::Unreachable(reason.unwrap_or_else(|| "it does not answer".to_owned()))
        })
    }

    /// Reads what is agreed.
    async fn in_session<T>(
        &self,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let until = after(PATIENCE);
        self.session(until).await?;
        by(until, answer).await
    }

    /// Notes that the store can be reached.
    fn is_reachable(&self, events: &Bus) {
        let mut reach = self.lock_reach();
        if !reach.reachable {
            *reach = Reach { reachable: true, since: now(), reason: None };
            tracing::info!("the cluster store can be reached again");
            events.send(About::default(), What::ClusterBack);
        }
    }

    /// Notes that it cannot.
    fn is_lost(&self, error: &Error, events: &Bus) {
        let mut reach = self.lock_reach();
        let reason = match error {
            Error::Unreachable(reason) => reason.clone(),
            error => crate::error::chain(error),
        };
        if reach.reachable {
            *reach = Reach { reachable: false, since: now(), reason: Some(reason.clone()) };
            tracing::warn!(%reason, "the cluster store cannot be reached");
            events.send(About::default(), What::ClusterLost { reason });
        } else {
            reach.reason = Some(reason);
        }
    }

    fn lock_reach(&self) -> MutexGuard<'_, Reach> {
        self.reach.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("store", &self.store).finish_non_exhaustive()
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.address)
    }
}

/// The address that packets to elsewhere leave this host with. Nothing is sent.
fn address_of_default_route() -> Option<IpAddr> {
    // Addresses of the documentation (RFC 5737, RFC 3849), which only a default route leads to.
    [("0.0.0.0:0", "203.0.113.1:9"), ("[::]:0", "[2001:db8::1]:9")].iter().find_map(|(from, to)| {
        let socket = UdpSocket::bind(from).ok()?;
        socket.connect(to).ok()?;
        Some(socket.local_addr().ok()?.ip())
    })
}

/// Waits for an answer of the store for as long as it may take.
async fn in_time<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    by(after(PATIENCE), answer).await
}

async fn by<T>(until: Instant, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let late = || Err(Error::Unreachable("it does not answer".to_owned()));
    tokio::time::timeout_at(until, answer).await.unwrap_or_else(|_elapsed| late())
}

fn after(time: Duration) -> Instant {
    Instant::now() + time
}

fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_secs())
}

/// Rows that say who is there, as nodes by id.
fn nodes_of(rows: Vec<Row>) -> BTreeMap<NodeId, Node> {
    let nodes = rows.iter().filter_map(|row| node_of(&row.value));
    nodes.map(|node| (node.id.clone(), node)).collect()
}
