//! A switch with hosts on it.

use std::sync::Arc;

use crate::etcd::{Etcd, EtcdOptions};
use crate::host::Host;
use crate::switch::{self, Switch};
use crate::{janitor, needs};

/// Test hosts on one network. See the [crate's documentation](crate).
///
/// A host keeps the switch alive: it does not matter which is dropped first.
#[derive(Clone)]
pub struct Lab {
    switch: Arc<Switch>,
    outside: Host,
}

impl Lab {
    /// A switch and the outside world; also removes what tests left behind
    /// that were killed.
    ///
    /// # Panics
    /// In one sentence, when the machine lacks something.
    #[track_caller]
    #[allow(clippy::new_without_default, reason = "making a lab is not making a plain value")]
    pub fn new() -> Self {
        needs::check();
        janitor::clean();
        let switch = Arc::new(Switch::new());
        let outside = Host::new(&switch, "outside", switch::OUTSIDE);
        Self { switch, outside }
    }

    /// A new host with its uplink `eth0` on the switch. `name` is of letters
    /// and digits, and no living host has it.
    #[track_caller]
    pub fn host(&self, name: &str) -> Host {
        assert!(
            !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric()),
            "a host's name is of letters and digits, not {name:?}"
        );
        let host = Host::new(&self.switch, name, self.switch.next_number());
        let (via, via6) = (self.outside.address(), self.outside.address6());
        host.sh(&format!("ip route add default via {via}; ip route add default via {via6}"));
        host
    }

    /// An etcd cluster of so many members, on hosts `etcd0`, `etcd1` and so on.
    #[track_caller]
    pub fn etcd(&self, members: usize) -> Etcd {
        let hosts = (0..members).map(|member| self.host(&format!("etcd{member}"))).collect();
        Etcd::new(hosts, EtcdOptions::default())
    }

    /// An etcd of one member on this host, with options.
    #[track_caller]
    pub fn etcd_on(&self, host: &Host, options: EtcdOptions) -> Etcd {
        Etcd::new(vec![host.clone()], options)
    }

    /// Somebody outside: on the hosts' network and the hosts' default gateway,
    /// but without a route to anything behind a host.
    pub fn outside(&self) -> &Host {
        &self.outside
    }
}
