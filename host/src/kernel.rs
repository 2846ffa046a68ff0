//! The kernel, behind a trait: what a driver call does to it, one object at a time.
//!
//! Everything the host ever makes is an [`Object`], and there are three verbs:
//! create, replace, delete. That is little enough to be undone (each verb has an
//! inverse), recorded (an object is a row of the ledger), compared (the ledger's
//! objects against a [`Snapshot`]) and simulated ([`Simulated`]), all in one way
//! for all kinds of objects.
//!
//! Firewall entries are the exception: they go to the kernel in batches, all or
//! nothing, since that is what nftables offers.

mod error;
mod link;
pub mod linux;
mod name;
mod object;
mod simulated;
mod snapshot;

use std::collections::BTreeSet;

use async_trait::async_trait;
use ipnet::IpNet;

pub use self::{
    error::{Error, Refusal, out_of_memory},
    link::{DEFAULT_MTU, IpvlanFlag, IpvlanMode, Link, LinkKind, MacvlanMode, SharedLink},
    name::{InvalidLinkName, LinkName},
    object::{
        Access, Address, Fdb, FirewallEntry, Neighbour, Object, ObjectKey, Policy, Port, Proxy,
        Route, Shortcut, SourceNat, Subnet, Sysctl,
    },
    simulated::Simulated,
    snapshot::{Beside, ObservedLink, Snapshot},
};

/// What takes a successful verb back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undo {
    /// The object was made: delete it.
    Delete(Object),
    /// The first object was replaced by the second: put it back.
    Replace(Object, Object),
    /// Nothing has to be done, the state goes away with another object.
    Nothing,
}

/// Firewall entries that come and go together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FirewallBatch {
    /// Entries to add.
    pub add: BTreeSet<FirewallEntry>,
    /// Entries to remove; ones that are not there are ignored.
    pub remove: BTreeSet<FirewallEntry>,
}

/// What happened, seen by whoever watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The object of this key came, went or may be another, if there is one.
    Object(ObjectKey),
    /// A link may have changed; this is how it is now.
    Link(LinkName, ObservedLink),
    /// The addresses of a link may have changed.
    Addresses(LinkName),
    /// What holds for a link as a port of its bridge may have changed.
    Port {
        /// The link.
        link: LinkName,
        /// See [`Link::hairpin`].
        hairpin: bool,
        /// See [`Link::isolated`].
        isolated: bool,
    },
    /// The firewall, or what stands beside it, may have changed.
    Firewall,
    /// Events were lost; compare everything.
    Overrun,
}

// === impl Event ===

impl Event {
    /// Whether it says how something is now that an older one said of the same.
    pub fn replaces(&self, old: &Self) -> bool {
        match (self, old) {
            (Self::Link(link, _), Self::Link(same, _))
            | (Self::Port { link, .. }, Self::Port { link: same, .. }) => link == same,
            (new, old) => new == old,
        }
    }
}

/// What was wrong with the firewall.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FirewallDrift {
    /// Our table was not there.
    #[error("the table was gone")]
    Table,
    /// Its rules were not those we wrote.
    #[error("rules of the table had been changed")]
    Rules,
    /// These sets or maps did not hold what they should.
    #[error("elements had been changed in {}", .0.iter().copied().collect::<Vec<_>>().join(", "))]
    Elements(BTreeSet<&'static str>),
    /// What sends frames past the bridges of overlay networks was not as it should.
    #[error("shortcuts past the bridges had been changed")]
    Shortcuts,
}

/// A kernel's network state.
#[async_trait]
pub trait Kernel: Send + Sync + 'static {
    /// Makes an object that is not a firewall entry.
    async fn create(&self, object: &Object) -> Result<Undo, Error>;

    /// Turns `old` into `new`, which has the same key.
    async fn replace(&self, old: &Object, new: &Object) -> Result<Undo, Error>;

    /// Deletes an object; one that is not there is fine.
    async fn delete(&self, object: &Object) -> Result<(), Error>;

    /// Applies a batch of firewall entries, all or nothing.
    async fn firewall(&self, batch: &FirewallBatch) -> Result<(), Error>;

    /// Makes the firewall hold these entries and no others of ours, whatever is there now.
    async fn reset_firewall(&self, entries: &BTreeSet<FirewallEntry>) -> Result<(), Error>;

    /// Looks whether the firewall still stands and puts back what does not; says what
    /// was wrong.
    async fn repair_firewall(&self) -> Result<Option<FirewallDrift>, Error>;

    /// Takes away what of the firewall only networks need, if there is none. Slow.
    async fn tidy_firewall(&self) -> Result<(), Error>;

    /// Whether the firewall may change without an event.
    async fn is_firewall_silent(&self) -> bool;

    /// The ports from which the host may pick one by itself.
    async fn ephemeral_ports(&self) -> Result<Vec<u16>, Error>;

    /// What is there now: links, addresses, and what else is asked for.
    async fn look(&self, beside: &Beside) -> Result<Snapshot, Error>;

    /// What the host's routes lead to, default ones left out, and the subnets of its
    /// addresses. Host bits are zero.
    async fn networks(&self) -> Result<BTreeSet<IpNet>, Error>;

    /// Links and addresses that are there now.
    async fn snapshot(&self) -> Result<Snapshot, Error> {
        self.look(&Beside::default()).await
    }

    /// The next thing that happens; pends for ever when nothing will.
    async fn next_event(&self) -> Event;
}

/// Takes verbs back, the last one first. Goes on after a failure and returns
/// what could not be taken back.
pub async fn undo(kernel: &dyn Kernel, done: Vec<Undo>) -> Vec<(Undo, Error)> {
    let mut failed = Vec::new();
    for step in done.into_iter().rev() {
        let result = match &step {
            Undo::Delete(object) => kernel.delete(object).await,
            Undo::Replace(old, new) => kernel.replace(new, old).await.map(drop),
            Undo::Nothing => Ok(()),
        };
        if let Err(error) = result {
            failed.push((step, error));
        }
    }
    failed
}
