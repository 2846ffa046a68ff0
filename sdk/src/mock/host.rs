//! What a test sees of the host, and does to it.

use std::marker::PhantomData;

use super::{
    object::{Link, Object},
    state::{Call, KeyScope, Scope, State, with},
};
use crate::{Error, IpNetwork, log::Level};

/// The host in memory of this thread. Making one empties it; so does dropping the [`Docker`]
/// or [`Ipam`] that it is from.
///
/// [`Docker`]: crate::mock::Docker
/// [`Ipam`]: crate::mock::Ipam
#[derive(Debug, Clone)]
pub struct Host {
    /// It is the thread's, and stays there.
    thread: PhantomData<*const ()>,
}

// === impl Host ===

impl Host {
    /// An empty host.
    pub(super) fn new() -> Self {
        with(|state| *state = State::default());
        Self { thread: PhantomData }
    }

    /// Everything that drivers have made and that stands, in the order in which it was made.
    pub fn objects(&self) -> Vec<Object> {
        with(|state| state.world.objects.iter().map(|row| row.is.clone()).collect())
    }

    /// The same, each in a line: "bridge n1/bridge", "address 10.1.0.1/24 on n1/bridge".
    pub fn standing(&self) -> Vec<String> {
        with(|state| {
            let place = |name: &str| {
                let link = state.links().find(|(_, link)| link.name == name);
                link.map_or_else(|| name.to_owned(), |(_, link)| link.place.clone())
            };
            state.world.objects.iter().map(|row| row.is.line(place)).collect()
        })
    }

    /// The link at a place: "n1/bridge", "n1/e1/port".
    pub fn link(&self, place: &str) -> Option<Link> {
        with(|state| {
            state.links().find(|(_, link)| link.place == place).map(|(_, link)| link.clone())
        })
    }

    /// The driver's keys, each as its scope and name with slashes between them:
    /// "driver/KEY", "n1/KEY", "n1/e1/KEY".
    pub fn keys(&self) -> Vec<String> {
        let name = |(scope, key): &(KeyScope, String)| {
            let scope = match scope {
                KeyScope::Driver => "driver".to_owned(),
                KeyScope::Network(scope) | KeyScope::Endpoint(scope) => {
                    let parts = [scope.network.as_deref(), scope.endpoint.as_deref()];
                    parts.into_iter().flatten().collect::<Vec<_>>().join("/")
                }
            };
            format!("{scope}/{key}")
        };
        with(|state| state.world.keys.keys().map(name).collect())
    }

    /// What the driver has published to other nodes: group, key and value.
    pub fn published(&self) -> Vec<(String, String, Vec<u8>)> {
        let row = |((group, key), row): (&(String, String), &super::state::Row<Vec<u8>>)| {
            (group.clone(), key.clone(), row.is.clone())
        };
        with(|state| state.world.published.iter().map(row).collect())
    }

    /// What the driver has logged.
    pub fn logged(&self) -> Vec<(Level, String)> {
        with(|state| state.log.clone())
    }

    /// Lets the nth import from now that can fail do so (0: the next), once.
    pub fn fail_at(&self, n: u64) {
        with(|state| state.failing = Some(state.steps + n));
    }

    /// No import fails by order any more; says how many that could have failed there were.
    pub fn fail_never(&self) -> u64 {
        with(|state| {
            state.failing = None;
            state.steps
        })
    }

    /// Writes a value of the operator's (`[config]` in the driver's file).
    pub fn config(&self, key: &str, value: &str) {
        with(|state| state.config.insert(key.to_owned(), value.to_owned()));
    }

    /// Lets drivers use a subnet for addresses and routes that is none of their networks', as
    /// the grants `addresses` and `routes` do.
    pub fn allow(&self, subnet: IpNetwork) {
        with(|state| state.allowed.push(subnet));
    }

    /// Puts a link of somebody else's on the host, with its MTU in bytes. There is "eth0" with
    /// 1500 already.
    pub fn add_link(&self, name: &str, mtu: u32) {
        with(|state| state.others.insert(name.to_owned(), (mtu, false)));
    }

    /// The same for a bridge, which a driver may adopt.
    pub fn add_bridge(&self, name: &str) {
        with(|state| state.others.insert(name.to_owned(), (1500, true)));
    }

    /// Says that the host itself uses a subnet.
    pub fn uses(&self, subnet: IpNetwork) {
        with(|state| state.in_use.push(subnet));
    }

    /// Lets time go by, in nanoseconds.
    pub fn advance(&self, nanoseconds: u64) {
        with(|state| {
            state.wall += nanoseconds;
            state.monotonic += nanoseconds;
        });
    }

    /// Makes one call: if it fails, everything is as before.
    pub(super) fn call<T>(
        &self,
        call: Call,
        work: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let before = with(|state| {
            state.call = call;
            state.world.clone()
        });
        let answer = work();
        with(|state| {
            state.call = Call::default();
            if answer.is_err() {
                state.world = before;
            }
        });
        answer
    }

    /// Takes everything of a scope away.
    pub(super) fn sweep(&self, scope: &Scope) {
        with(|state| state.sweep(scope));
    }
}
