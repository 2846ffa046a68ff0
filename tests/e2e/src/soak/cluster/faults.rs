//! Faults that come and go.

use std::time::Instant;

use super::super::{random::Random, read_log, report::Report};
use crate::Sites;

/// How long a fault lasts, in milliseconds: mostly longer than a lease.
const LASTS: (usize, usize) = (500, 7_000);
/// How many there may be at once.
const AT_ONCE: usize = 3;
/// How many members of the store may be away: with all of them nobody could say that the
/// first is ready again.
const MEMBERS_AWAY: usize = 2;

/// Something that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// A host has no daemon.
    NoDaemon(usize),
    /// A host does not reach the store.
    NoStore(usize),
    /// A host does not reach the other hosts.
    NoHosts(usize),
    /// A host reaches nobody.
    Alone(usize),
    /// A member of the store is killed.
    NoMember(usize),
    /// A member of the store does nothing.
    Frozen(usize),
}

/// The faults of a cluster.
pub(super) struct Faults<'c> {
    cluster: &'c mut Sites,
    report: &'c Report,
    random: Random,
    active: Vec<(Instant, Fault)>,
}

// === impl Faults ===

impl<'c> Faults<'c> {
    pub(super) fn new(cluster: &'c mut Sites, report: &'c Report, random: Random) -> Self {
        Self { cluster, report, random, active: Vec::new() }
    }

    /// Ends what is over, and now and then begins something.
    pub(super) fn step(&mut self) {
        let now = Instant::now();
        self.end_those(|end| end <= now);
        if self.active.len() < AT_ONCE && self.random.percent(15) {
            let fault = self.some();
            if self.fits(fault) {
                let end = Instant::now() + self.random.milliseconds(LASTS.0, LASTS.1);
                self.begin(fault);
                self.active.push((end, fault));
            }
        }
    }

    /// Ends everything.
    pub(super) fn end(mut self) {
        self.end_those(|_| true);
    }

    fn end_those(&mut self, over: impl Fn(Instant) -> bool) {
        let (mut over, active): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.active).into_iter().partition(|(end, _)| over(*end));
        // Members that are frozen first: one that starts waits for the others.
        over.sort_by_key(|(_, fault)| !matches!(fault, Fault::Frozen(_)));
        self.active = active;
        for (_, fault) in over {
            self.take_back(fault);
            self.report.write(&format!("{fault:?} is over"));
        }
    }

    fn some(&mut self) -> Fault {
        let at = self.random.below(3);
        match self.random.below(8) {
            0..=1 => Fault::NoDaemon(at),
            2..=3 => Fault::NoStore(at),
            4 => Fault::NoHosts(at),
            5 => Fault::Alone(at),
            6 => Fault::NoMember(at),
            _ => Fault::Frozen(at),
        }
    }

    /// Whether it can be told from those that are there.
    fn fits(&self, fault: Fault) -> bool {
        let member = |fault: &Fault| match fault {
            Fault::NoMember(member) | Fault::Frozen(member) => Some(*member),
            _ => None,
        };
        let away: Vec<usize> = self.active.iter().filter_map(|(_, fault)| member(fault)).collect();
        match member(&fault) {
            Some(member) => away.len() < MEMBERS_AWAY && !away.contains(&member),
            None => self.active.iter().all(|(_, active)| *active != fault),
        }
    }

    fn begin(&mut self, fault: Fault) {
        self.report.write(&format!("{fault:?}"));
        let kind = match fault {
            Fault::NoDaemon(site) => {
                let daemon = &mut self.cluster.sites[site].daemon;
                daemon.kill();
                read_log(daemon, self.report);
                "daemons killed"
            }
            Fault::NoStore(site) => {
                let members: Vec<String> =
                    (0..3).map(|at| self.cluster.etcd.host(at).address().to_string()).collect();
                self.cut(site, fault, &members.join(", "));
                "cuts from the store"
            }
            Fault::NoHosts(site) => {
                let hosts: Vec<String> =
                    self.cluster.sites.iter().map(|site| site.host.address().to_string()).collect();
                self.cut(site, fault, &hosts.join(", "));
                "cuts from hosts"
            }
            Fault::Alone(site) => {
                self.cut(site, fault, "198.51.100.0/24");
                "cuts from all"
            }
            Fault::NoMember(member) => {
                self.cluster.etcd.kill(member);
                "store members killed"
            }
            Fault::Frozen(member) => {
                self.cluster.etcd.freeze(member, true);
                "store members frozen"
            }
        };
        self.report.count(kind, 1);
    }

    fn take_back(&mut self, fault: Fault) {
        match fault {
            Fault::NoDaemon(site) => self.cluster.sites[site].daemon.start_again(),
            Fault::NoStore(site) | Fault::NoHosts(site) | Fault::Alone(site) => {
                let table = table(fault);
                self.cluster.sites[site].host.sh(&format!("nft delete table ip {table}"));
            }
            // One that is frozen would not answer.
            Fault::NoMember(member) => {
                for (_, fault) in &self.active {
                    if let Fault::Frozen(member) = fault {
                        self.cluster.etcd.freeze(*member, false);
                    }
                }
                self.cluster.etcd.start(member);
            }
            Fault::Frozen(member) => self.cluster.etcd.freeze(member, false),
        }
    }

    /// Drops what a host and these send each other, silently as a broken network does.
    fn cut(&self, site: usize, fault: Fault, from: &str) {
        let table = table(fault);
        self.cluster.sites[site].host.sh(&format!(
            "nft 'table ip {table} {{
                chain in {{
                    type filter hook prerouting priority -400;
                    iifname eth0 ip saddr {{ {from} }} drop
                }}
                chain out {{
                    type filter hook postrouting priority 400;
                    oifname eth0 ip daddr {{ {from} }} drop
                }}
            }}'"
        ));
    }
}

fn table(fault: Fault) -> &'static str {
    match fault {
        Fault::NoStore(_) => "cut_store",
        Fault::NoHosts(_) => "cut_hosts",
        _ => "cut_all",
    }
}
