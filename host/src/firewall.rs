//! The firewall: one nftables table of our own, and a pass through Docker's.
//!
//! All that differs between networks stands in sets and maps of table
//! `inet wasmnet` ([`elements`]); its chains ([`script`]) are the same on every
//! host and have a fixed number of rules, so the cost of a packet and of a change
//! does not grow with the number of networks. Each change is one nft transaction.
//!
//! An accept in one table cannot undo a drop in another, and Docker sets the
//! policy of its FORWARD chain to DROP. So our links pass Docker's chains by a rule
//! each way ([`pass`]), and what may really pass is decided in our own chains, which
//! come first.
//!
//! Somebody may flush all of it, or delete an element. [`Watch`] hears of that, and
//! [`Firewall::repair`] looks and puts back what is missing.
//!
//! While no network stands, there is neither table nor rule of ours. The kernel takes its time to
//! take chains and rules away (an RCU grace period for each process that does so), so those that
//! the last network leaves go when no call waits ([`Firewall::tidy`]).
//!
//! A second table, of the ingress of links, carries frames of overlay networks past all
//! that: see [`shortcuts`].

mod elements;
mod held;
mod netdev;
mod netlink;
mod pass;
mod script;
mod shortcuts;
mod state;
mod tool;
mod watch;

use std::{collections::BTreeSet, io};

use tokio::sync::Mutex;

pub use self::watch::Watch;
use self::{held::Held, netlink::Batches, state::State};
use crate::kernel::{Error, FirewallBatch, FirewallDrift, FirewallEntry, LinkName};

/// Our table's name.
const TABLE: &str = "wasmnet";

/// The firewall of one network namespace.
#[derive(Debug)]
pub struct Firewall {
    port: u32,
    state: Mutex<State>,
}

// === impl Firewall ===

impl Firewall {
    /// Opens the sockets, in the calling thread's network namespace.
    pub fn open() -> io::Result<Self> {
        let batches = Batches::open()?;
        let port = batches.port()?;
        Ok(Self { port, state: Mutex::new(State::new(batches)) })
    }

    /// The number of the netlink socket by which elements are added and deleted.
    pub fn port(&self) -> u32 {
        self.port
    }

    /// Applies a batch: all of it, or nothing. Shortcuts a kernel may do without.
    pub async fn apply(&self, batch: &FirewallBatch) -> Result<(), Error> {
        let (shortcuts, batch) = shortcuts::split(batch);
        let mut state = self.state.lock().await;
        if batch != FirewallBatch::default() {
            state.apply(&batch).await?;
        }
        let State { shortcuts: of, batches, .. } = &mut *state;
        of.apply(batches, &shortcuts);
        Ok(())
    }

    /// Says that a link was made, if only again: what was said about it may have gone with
    /// the one before.
    pub async fn link_came(&self, link: &LinkName) {
        let State { shortcuts, batches, .. } = &mut *self.state.lock().await;
        shortcuts.came(batches, link);
    }

    /// Makes our table hold exactly these entries, whatever is there now.
    pub async fn reset(&self, entries: &BTreeSet<FirewallEntry>) -> Result<(), Error> {
        let mut state = self.state.lock().await;
        let State { shortcuts, batches, .. } = &mut *state;
        shortcuts.reset(batches, entries);
        let before = std::mem::replace(&mut state.held, Held::of(entries));
        (state.stands, state.passing) = (true, None);
        let settled = match state.held.is_empty() {
            true => state.tidy().await,
            false => state.settle(false).await,
        };
        if settled.is_err() {
            state.held = before;
        }
        settled.map_err(Error::Firewall)
    }

    /// Looks whether our table and our pass through Docker's chains still stand, and puts
    /// back what does not. Says what was wrong with our table.
    pub async fn repair(&self) -> Result<Option<FirewallDrift>, Error> {
        let mut state = self.state.lock().await;
        if state.held.is_empty() {
            return state.tidy().await.map(|()| None).map_err(Error::Firewall);
        }
        let drift = state.drift().map_err(Error::Firewall)?;
        if drift.is_some() {
            state.write().await.map_err(Error::Firewall)?;
        }
        state.let_pass().await.map_err(Error::Firewall)?;
        let State { shortcuts, batches, .. } = &mut *state;
        let stood = shortcuts.repair(batches).map_err(Error::Firewall)?;
        Ok(drift.or_else(|| (!stood).then_some(FirewallDrift::Shortcuts)))
    }

    /// Takes away what the last network has left, if there is none now.
    pub async fn tidy(&self) -> Result<(), Error> {
        self.state.lock().await.tidy().await.map_err(Error::Firewall)
    }

    /// Whether a bridge is one of Docker's own.
    pub async fn is_foreign(&self, bridge: &LinkName) -> bool {
        pass::foreign().await.contains(bridge)
    }

    /// Whether changes may happen that nobody announces, so that one has to look.
    pub async fn is_silent(&self) -> bool {
        pass::is_silent() && !self.state.lock().await.held.is_empty()
    }
}
