use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::task::JoinHandle;
use wasmnet::{
    cluster::{Cluster, Error, Identity, Listener, Memory, Prefix, Settings},
    id::{DriverName, NetworkId, NodeId},
    ledger::{Changes, EntryKey, FollowedKey, Group, Ledger, Published, PublishedKey},
    store::{Lasting, Store as Durable},
};

use super::counted::{Counted, Counts};

/// How long all may take, in virtual time, until everybody knows.
const PATIENCE: Duration = Duration::from_secs(60);
/// So many looks without news are quiet.
const QUIET: usize = 30;

/// Nodes that share a store.
pub struct Simulation {
    store: Memory,
    counts: Arc<Counts>,
    nodes: Vec<Node>,
    lease: Duration,
    values: usize,
    /// What looking whether all is done has had of a processor.
    checking: Duration,
}

/// One of them.
struct Node {
    cluster: Arc<Cluster>,
    ledger: Arc<Ledger>,
    store: Memory,
    task: JoinHandle<()>,
    told: Arc<Told>,
    /// What it publishes.
    values: BTreeMap<String, usize>,
}

/// How often a node's driver was told something.
#[derive(Debug, Default)]
struct Told(AtomicUsize);

/// What something cost all nodes together.
pub struct Cost {
    nodes: usize,
    processor: Duration,
    pub requests: usize,
    pub read_rows: usize,
    pub read_bytes: usize,
    pub written_rows: usize,
}

// === impl Told ===

#[async_trait]
impl Listener for Told {
    async fn entries_changed(
        &self,
        _network: &NetworkId,
        _group: &Group,
        _keys: Option<Vec<String>>,
    ) -> Result<bool, String> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(false)
    }

    fn sharers(&self) -> Vec<DriverName> {
        Vec::new()
    }

    async fn agreed_changed(&self, _driver: &DriverName) -> Result<bool, String> {
        Ok(false)
    }
}

// === impl Simulation ===

impl Simulation {
    pub fn new(lease: Duration) -> Self {
        let (store, counts) = (Memory::default(), Arc::default());
        Self { store, counts, nodes: Vec::new(), lease, values: 0, checking: Duration::ZERO }
    }

    /// Starts so many nodes, and waits until everybody knows everybody.
    pub async fn start(&mut self, nodes: usize) {
        for _ in 0..nodes {
            self.add().await;
        }
        self.settle().await;
    }

    /// One more.
    pub async fn come(&mut self) {
        self.add().await;
        self.settle().await;
    }

    /// One stops, and is forgotten with its lease.
    pub async fn go(&mut self, node: usize) {
        let node = self.nodes.remove(node);
        node.task.abort();
        let _ = node.task.await;
        // The others have renewed theirs meanwhile.
        tokio::time::sleep(self.lease + Duration::from_secs(1)).await;
        self.store.expire();
        self.settle().await;
    }

    /// A node's endpoint gets another value.
    pub async fn change(&mut self, node: usize) {
        self.publish(node, "endpoint").await;
        self.settle().await;
    }

    /// A node publishes something new.
    pub async fn publish(&mut self, node: usize, key: &str) {
        self.values += 1;
        self.nodes[node].publish(key, Some(self.values)).await;
    }

    /// A node publishes something no more.
    pub async fn withdraw(&mut self, node: usize, key: &str) {
        self.nodes[node].publish(key, None).await;
    }

    /// The next write of a node, which is of `what`, is not done for now, and gets no answer.
    pub async fn hold(&mut self, node: usize, what: impl AsyncFnOnce(&mut Self)) {
        let store = self.nodes[node].store.clone();
        store.hold_writes(1);
        what(self).await;
        let held = async {
            while store.held_writes() == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, held).await.expect("a write");
    }

    /// It is done now, if at all; nobody is to see it.
    pub async fn let_go(&mut self, node: usize) {
        self.nodes[node].store.let_writes_go();
        self.settle().await;
    }

    /// Sets the one agreed value, if it is `old`, as a node's driver.
    pub async fn agree(
        &self,
        node: usize,
        old: Option<&str>,
        new: Option<&str>,
    ) -> Result<bool, Error> {
        let value = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
        let cluster = &self.nodes[node].cluster;
        cluster.compare_and_set(&driver(), "agreed", value(old), value(new)).await
    }

    /// What a node's driver finds agreed.
    pub async fn agreed(&self, node: usize) -> Option<String> {
        let value = self.nodes[node].cluster.get(&driver(), "agreed").await.unwrap();
        value.map(|value| String::from_utf8(value).unwrap())
    }

    /// A node's next write is done, but it does not hear of it.
    pub fn lose_answer(&self, node: usize) {
        self.nodes[node].store.lose_answers(1);
    }

    /// A node publishes so many values in a group that nobody else follows.
    pub async fn publish_elsewhere(&mut self, node: usize, values: usize) {
        let group = Group { driver: driver(), name: "elsewhere".to_owned() };
        for value in 0..values {
            let changes =
                self.nodes[node].published(group.clone(), &value.to_string(), Some(value));
            self.nodes[node].ledger.commit(changes, Lasting::Relaxed).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }

    /// Nobody reaches the store for a while.
    pub async fn lose_store(&mut self, time: Duration) {
        self.nodes.iter().for_each(|node| node.store.set_reachable(false));
        tokio::time::sleep(time).await;
        self.nodes.iter().for_each(|node| node.store.set_reachable(true));
        self.settle().await;
    }

    /// One does not.
    pub async fn lose_store_of(&mut self, node: usize, time: Duration) {
        self.nodes[node].store.set_reachable(false);
        tokio::time::sleep(time).await;
        self.nodes[node].store.set_reachable(true);
        self.settle().await;
    }

    /// What something costs until all is quiet: the mean of so many times.
    pub async fn cost(&mut self, times: usize, mut what: impl AsyncFnMut(&mut Self)) -> Cost {
        let read = |count: &AtomicUsize| count.swap(0, Ordering::Relaxed);
        let reset = |counts: &Counts| {
            (
                read(&counts.requests),
                read(&counts.read_rows),
                read(&counts.read_bytes),
                read(&counts.written_rows),
            )
        };
        reset(&self.counts);
        self.checking = Duration::ZERO;
        let processor = processor_time();
        for _ in 0..times {
            what(self).await;
        }
        let processor = (processor_time() - processor).saturating_sub(self.checking);
        let (requests, read_rows, read_bytes, written_rows) = reset(&self.counts);
        Cost {
            nodes: self.nodes.len(),
            processor: processor / u32::try_from(times).unwrap(),
            requests: requests / times,
            read_rows: read_rows / times,
            read_bytes: read_bytes / times,
            written_rows: written_rows / times,
        }
    }

    async fn add(&mut self) {
        let (store, id) = (self.store.another(), NodeId::random().unwrap());
        let counted = Counted { memory: store.clone(), counts: Arc::clone(&self.counts) };
        let name = format!("node{}", self.nodes.len());
        let address = Some("192.0.2.1".parse().unwrap());
        let identity = Identity { id, name, address };
        let settings = Settings { prefix: Prefix::default(), lease: self.lease };
        let cluster = Arc::new(Cluster::new(Arc::new(counted), identity, settings));
        let ledger = Arc::new(Ledger::open(Durable::in_memory().unwrap()).unwrap());
        let told = Arc::<Told>::default();
        let run =
            Arc::clone(&cluster).run(Arc::clone(&ledger), Arc::default(), Arc::clone(&told) as _);
        let task = tokio::spawn(run);
        let values = BTreeMap::new();
        let mut node = Node { cluster, ledger, store, task, told, values };
        node.follow().await;
        node.publish("host", Some(0)).await;
        node.publish("endpoint", Some(0)).await;
        self.nodes.push(node);
    }

    /// Waits until nobody is told anything, and each node knows what all publish.
    pub async fn settle(&mut self) {
        let began = tokio::time::Instant::now();
        let (mut quiet, mut told) = (0, 0);
        loop {
            assert!(began.elapsed() < PATIENCE, "{:?}", self.nodes[0].knows());
            tokio::time::sleep(Duration::from_millis(50)).await;
            let now = self.nodes.iter().map(|node| node.told.0.load(Ordering::Relaxed)).sum();
            quiet = if now == told { quiet + 1 } else { 0 };
            told = now;
            if quiet >= QUIET {
                let checked = processor_time();
                let published = self.nodes.iter().flat_map(|node| node.values.values());
                let (entries, sum) = published.fold((0, 0), |(n, sum), value| (n + 1, sum + value));
                let all = (self.nodes.len(), entries, sum);
                let known = self.nodes.iter().all(|node| node.knows() == all);
                self.checking += processor_time() - checked;
                if known {
                    return;
                }
                quiet = 0;
            }
        }
    }
}

// === impl Node ===

impl Node {
    /// Makes the network, as a driver does.
    async fn follow(&self) {
        let key = FollowedKey { group: group(), network: network() };
        let followed = [(key, true)].into();
        let changes = Changes { followed, ..Changes::default() };
        self.ledger.commit(changes, Lasting::Relaxed).await.unwrap();
    }

    /// Publishes a value in it, or none any more.
    async fn publish(&mut self, key: &str, value: Option<usize>) {
        match value {
            Some(value) => self.values.insert(key.to_owned(), value),
            None => self.values.remove(key),
        };
        let changes = self.published(group(), &format!("{key}/{}", self.cluster.id()), value);
        self.ledger.commit(changes, Lasting::Relaxed).await.unwrap();
    }

    fn published(&self, group: Group, key: &str, value: Option<usize>) -> Changes {
        let entry = EntryKey { group, key: key.to_owned() };
        let key = PublishedKey { entry, network: network(), endpoint: None };
        // As long as an endpoint's record.
        let published = value
            .map(|value| Published { sequence: 0, value: format!("{value:048}").into_bytes() });
        Changes { published: [(key, published)].into(), ..Changes::default() }
    }

    /// How many nodes and entries it knows, and the sum of these.
    fn knows(&self) -> (usize, usize, usize) {
        let entries = self.cluster.entries(&group(), None).unwrap_or_default();
        let value = |value: &Vec<u8>| String::from_utf8_lossy(value).parse::<usize>().unwrap();
        let sum = entries.iter().map(|entry| value(&entry.value)).sum();
        (self.cluster.nodes().unwrap().len(), entries.len(), sum)
    }
}

// === impl Cost ===

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_each = |all: usize| {
            let all = u32::try_from(all).unwrap();
            f64::from(all) / f64::from(u32::try_from(self.nodes).unwrap())
        };
        write!(
            f,
            "of each node {:.0} µs of a processor, {:.1} requests, {:.1} rows and {:.1} kB read, \
             {:.1} rows written",
            self.processor.as_secs_f64() * 1e6 / f64::from(u32::try_from(self.nodes).unwrap()),
            of_each(self.requests),
            of_each(self.read_rows),
            of_each(self.read_bytes) / 1000.0,
            of_each(self.written_rows),
        )
    }
}

/// The bytes that this process has in memory.
pub fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = pages.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// What this thread has had of a processor: all nodes run on it.
fn processor_time() -> Duration {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(times.split(' ').next().unwrap().parse().unwrap())
}

fn driver() -> DriverName {
    "overlay".parse().unwrap()
}

fn group() -> Group {
    Group { driver: driver(), name: "subnet:10.0.0.0/8".to_owned() }
}

fn network() -> NetworkId {
    "network".parse().unwrap()
}
