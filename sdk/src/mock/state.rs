//! What the host in memory holds.

use std::{cell::RefCell, collections::BTreeMap};

use super::object::{Link, Object};
use crate::{Error, ErrorCode, IpNetwork, MacAddress, log::Level};

/// Kernel operations and links that one call may do and make, as in the host's defaults.
pub const OPERATIONS_MAX: u32 = 1024;
pub const LINKS_MAX: u32 = 8;

/// Midnight of 2026-01-01 in nanoseconds since 1970: some time that is always the same.
const NEW_YEAR: u64 = 1_767_225_600_000_000_000;

thread_local! {
    static STATE: RefCell<State> = RefCell::new(State::default());
}

/// To what something belongs.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    /// The network's id; none for calls about no network.
    pub network: Option<String>,
    /// The endpoint's id.
    pub endpoint: Option<String>,
}

/// What is as it was before if a call fails.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// What the driver made, in order.
    pub objects: Vec<Row>,
    /// Its keys.
    pub keys: BTreeMap<(KeyScope, String), Vec<u8>>,
    /// What it publishes: by group and key.
    pub published: BTreeMap<(String, String), Row<Vec<u8>>>,
    /// Which network follows which group.
    pub followed: Vec<(String, String)>,
}

/// To what a key belongs; the driver's own stay.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyScope {
    Driver,
    Network(Scope),
    Endpoint(Scope),
}

/// Something that goes with its scope.
#[derive(Debug, Clone, PartialEq)]
pub struct Row<T = Object> {
    pub scope: Scope,
    pub is: T,
}

/// A call under way.
#[derive(Debug, Clone, Default)]
pub struct Call {
    pub scope: Scope,
    /// The network's subnets: what the driver may use without a grant.
    pub subnets: Vec<IpNetwork>,
    /// The values of the network's options: names that the user has said.
    pub named: Vec<String>,
    /// The endpoint's addresses.
    pub addresses: Vec<IpNetwork>,
    pub operations: u32,
    pub links: u32,
}

/// All of it.
#[derive(Debug)]
pub struct State {
    pub world: World,
    pub call: Call,
    /// Links that are there and not the driver's, with their MTU in bytes.
    pub others: BTreeMap<String, (u32, bool)>,
    /// What the operator allows beyond the networks' own subnets.
    pub allowed: Vec<IpNetwork>,
    pub config: BTreeMap<String, String>,
    pub log: Vec<(Level, String)>,
    pub wall: u64,
    pub monotonic: u64,
    pub random: u64,
    pub session: u64,
    pub in_use: Vec<IpNetwork>,
    pub agreed: BTreeMap<String, Vec<u8>>,
    /// Entries of other nodes: group, key, node and value.
    pub elsewhere: Vec<(String, String, String, Vec<u8>)>,
    /// Imports that could have failed since the start.
    pub steps: u64,
    /// The one of them that fails by order.
    pub failing: Option<u64>,
}

// === impl State ===

impl Default for State {
    fn default() -> Self {
        Self {
            world: World::default(),
            call: Call::default(),
            others: BTreeMap::from([("eth0".to_owned(), (1500, false))]),
            allowed: Vec::new(),
            config: BTreeMap::new(),
            log: Vec::new(),
            wall: NEW_YEAR,
            monotonic: 0,
            random: 1,
            session: 1,
            in_use: Vec::new(),
            agreed: BTreeMap::new(),
            elsewhere: Vec::new(),
            steps: 0,
            failing: None,
        }
    }
}

/// Works on this thread's host.
pub fn with<T>(work: impl FnOnce(&mut State) -> T) -> T {
    STATE.with_borrow_mut(work)
}

/// An import that can fail: it does if a test has ordered so.
pub fn step<T>(work: impl FnOnce(&mut State) -> Result<T, Error>) -> Result<T, Error> {
    with(|state| {
        let step = state.steps;
        state.steps += 1;
        if state.failing == Some(step) {
            return Err(error(ErrorCode::Kernel, format!("step {step} fails by order")));
        }
        work(state)
    })
}

/// The same for what does something to the kernel.
pub fn operation<T>(work: impl FnOnce(&mut State) -> Result<T, Error>) -> Result<T, Error> {
    step(|state| {
        if state.call.scope.network.is_none() {
            return Err(Error::invalid(
                "this call is about no network and can make nothing in the kernel",
            ));
        }
        state.call.operations += 1;
        if state.call.operations > OPERATIONS_MAX {
            return Err(Error::exhausted(format!(
                "a call may do at most {OPERATIONS_MAX} kernel operations"
            )));
        }
        work(state)
    })
}

pub fn error(code: ErrorCode, message: impl Into<String>) -> Error {
    Error { code, message: message.into() }
}

/// The operator has not granted this.
pub fn denied(what: &str) -> Error {
    error(ErrorCode::Denied, format!("denied: the driver may not {what}"))
}

impl State {
    /// Records something that the call made.
    pub fn make(&mut self, is: Object) {
        let scope = self.call.scope.clone();
        self.world.objects.push(Row { scope, is });
    }

    /// All links.
    pub fn links(&self) -> impl Iterator<Item = (&Scope, &Link)> {
        self.world.objects.iter().filter_map(|row| match &row.is {
            Object::Link(link) => Some((&row.scope, link)),
            _ => None,
        })
    }

    /// The link of this name, if it still stands.
    pub fn link(&mut self, name: &str) -> Result<&mut Link, Error> {
        let links = self.world.objects.iter_mut().filter_map(|row| match &mut row.is {
            Object::Link(link) => Some(link),
            _ => None,
        });
        let mut links = links.filter(|link| link.name == name);
        links.next().ok_or_else(|| Error::not_found(format!("link {name} is gone")))
    }

    /// The link with this label in a scope.
    pub fn labelled(&self, scope: &Scope, label: &str) -> Option<&Link> {
        let mut links = self.links();
        links.find(|(of, link)| *of == scope && link.label == label).map(|(_, link)| link)
    }

    /// Whether a link of this name, or the other end of one, is there.
    pub fn has_link(&self, name: &str) -> bool {
        let is = |link: &Link| link.name == name || link.peer.as_deref() == Some(name);
        self.others.contains_key(name) || self.links().any(|(_, link)| is(link))
    }

    /// Takes what does not pass off the host.
    pub fn retain(&mut self, stays: impl Fn(&Scope, &Object) -> bool) {
        self.world.objects.retain(|row| stays(&row.scope, &row.is));
    }

    /// Takes everything of a scope away.
    pub fn sweep(&mut self, scope: &Scope) {
        let goes: Vec<String> = self
            .links()
            .filter(|(of, _)| scope.contains(of))
            .map(|(_, link)| link.name.clone())
            .collect();
        self.retain(|of, object| {
            !scope.contains(of) && !goes.iter().any(|name| object.link() == name)
        });
        self.world.keys.retain(|(of, _), _| match of {
            KeyScope::Driver => true,
            KeyScope::Network(of) | KeyScope::Endpoint(of) => !scope.contains(of),
        });
        self.world.published.retain(|_, row| !scope.contains(&row.scope));
        if scope.endpoint.is_none() {
            self.world.followed.retain(|(network, _)| Some(network) != scope.network.as_ref());
        }
    }

    /// The next of random bytes that are the same in every test (SplitMix64).
    pub fn next_random(&mut self) -> u8 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 56) as u8
    }

    /// A name for a link, as the host picks them.
    pub fn pick_name(&mut self) -> String {
        let digits: String = (0..6).map(|_| format!("{:02x}", self.next_random())).collect();
        format!("wn{digits}")
    }

    /// An address for a bridge whose driver left it open.
    pub fn pick_mac(&mut self) -> MacAddress {
        (0x02, self.next_random(), self.next_random(), self.next_random(), 0, 1)
    }
}

// === impl Scope ===

impl Scope {
    /// A network's, or one of its endpoints'.
    pub fn new(network: &str, endpoint: Option<&str>) -> Self {
        Self { network: Some(network.to_owned()), endpoint: endpoint.map(str::to_owned) }
    }

    /// The scope of the network that this is, or is in.
    pub fn network(&self) -> Self {
        Self { network: self.network.clone(), endpoint: None }
    }

    /// Whether the other goes with this one.
    pub fn contains(&self, other: &Self) -> bool {
        self.network == other.network
            && (self.endpoint.is_none() || self.endpoint == other.endpoint)
    }
}
