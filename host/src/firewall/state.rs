//! What stands in the kernel, as far as we know, and how it becomes what is wanted.

use std::collections::{BTreeMap, BTreeSet};

use netlink_packet_netfilter::NetfilterProtoFamily;

use super::{
    elements::{Element, foreign_bridge},
    held::{Change, Held},
    netlink::{Batches, RawElement},
    pass,
    script::{script, sets},
    shortcuts::Shortcuts,
    tool,
};
use crate::kernel::{Error, FirewallBatch, FirewallDrift, FirewallEntry, LinkName, Refusal};

/// What we know, and the socket by which it is changed.
#[derive(Debug)]
pub(super) struct State {
    /// What our table holds, as far as we know.
    pub(super) held: Held,
    /// Whether our table may be there.
    pub(super) stands: bool,
    /// Docker's bridges.
    foreign: BTreeSet<LinkName>,
    /// The rules that stand in Docker's chains, as far as we know; none if we do not.
    pub(super) passing: Option<BTreeSet<String>>,
    /// The rules of our table when it was made.
    rules: Vec<u64>,
    pub(super) shortcuts: Shortcuts,
    pub(super) batches: Batches,
}

// === impl State ===

impl State {
    /// Before anybody has looked.
    pub(super) fn new(batches: Batches) -> Self {
        Self {
            held: Held::default(),
            // A table that an earlier daemon left is not ours to take away until it is known
            // what it has to hold.
            stands: false,
            foreign: BTreeSet::new(),
            passing: Some(BTreeSet::new()),
            rules: Vec::new(),
            shortcuts: Shortcuts::default(),
            batches,
        }
    }

    /// Applies a batch, which is not about shortcuts: all of it, or nothing.
    pub(super) async fn apply(&mut self, batch: &FirewallBatch) -> Result<(), Error> {
        let change = self.held.change(batch);
        let policy = |entry: &FirewallEntry| matches!(entry, FirewallEntry::Policy(_));
        let networks_change = batch.add.iter().chain(&batch.remove).any(policy);
        // For the first network the table itself has to come; and if somebody has flushed the
        // ruleset behind our back, the whole of it helps.
        let sent = change.is_empty() || (self.stands && self.batches.apply(&change).is_ok());
        if sent && !networks_change {
            self.held.apply(batch);
            return Ok(());
        }
        let back = self.held.apply(batch);
        let settled = self.settle(sent).await;
        if settled.is_err() {
            // All or nothing: what was there before is put back.
            self.held.apply(&back);
            let put_back = match self.held.is_empty() {
                true => self.tidy().await,
                false => self.write().await,
            };
            put_back.map_err(Error::Firewall)?;
        }
        settled.map_err(Error::Firewall)
    }

    /// Makes what is held hold: the table, unless its elements have been sent, and the pass.
    pub(super) async fn settle(&mut self, sent: bool) -> Result<(), Refusal> {
        // A network more changes nothing there, as a rule; what others change is heard of.
        let passes = self.passing.as_ref() == Some(&pass::rules(self.held.bridges()));
        match (self.held.is_empty(), sent, passes) {
            // Nobody is waited for: see `tidy`.
            (true, _, _) | (false, true, true) => Ok(()),
            (false, false, true) => self.write().await,
            (false, true, false) => self.let_pass().await,
            (false, false, false) => {
                // Both are processes for the most part, and it is a call that waits.
                self.passing = None;
                let script = script(self.stands, &self.held, &self.foreign);
                let (written, foreign) =
                    tokio::join!(tool::nft(&script), pass::let_pass(self.held.bridges()));
                match written {
                    Ok(()) => self.written()?,
                    // Somebody may have made a table meanwhile.
                    Err(_) => self.write().await?,
                }
                self.passed(foreign?)
            }
        }
    }

    /// Takes away what only networks need, if there is none.
    pub(super) async fn tidy(&mut self) -> Result<(), Refusal> {
        if !self.held.is_empty() {
            return Ok(());
        }
        if self.stands {
            // By our own socket, since nft(8) would wait for the end of it.
            match self.batches.delete_table() {
                Err(refusal) if !refusal.is_gone() => return Err(refusal),
                _ => (self.stands, self.rules) = (false, Vec::new()),
            }
        }
        if self.passing != Some(BTreeSet::new()) {
            self.let_pass().await?;
        }
        Ok(())
    }

    /// Writes our whole table in one transaction.
    pub(super) async fn write(&mut self) -> Result<(), Refusal> {
        let stood = std::mem::replace(&mut self.stands, true);
        let mut written = tool::nft(&script(stood, &self.held, &self.foreign)).await;
        if written.is_err() && !stood {
            // Somebody may have made one.
            written = tool::nft(&script(true, &self.held, &self.foreign)).await;
        }
        written?;
        self.written()
    }

    /// Notes that the whole table has been written.
    fn written(&mut self) -> Result<(), Refusal> {
        self.stands = true;
        self.rules = self.batches.rules()?;
        Ok(())
    }

    /// What is wrong with our table.
    pub(super) fn drift(&self) -> Result<Option<FirewallDrift>, Refusal> {
        if let Some(drift) = self.drift_of_rules()? {
            return Ok(Some(drift));
        }
        let foreign: Vec<Element> = self.foreign.iter().map(foreign_bridge).collect();
        let mut wanted: BTreeMap<&str, BTreeSet<RawElement>> = BTreeMap::new();
        for element in self.held.elements().chain(&foreign) {
            wanted.entry(element.set).or_default().insert(element.into());
        }
        let mut wrong = BTreeSet::new();
        for set in sets() {
            if self.batches.elements(NetfilterProtoFamily::Inet, set)?
                != wanted.remove(set).unwrap_or_default()
            {
                wrong.insert(set);
            }
        }
        if wrong.is_empty() {
            return Ok(None);
        }
        // The whole table may have gone while its sets were read.
        Ok(self.drift_of_rules()?.or(Some(FirewallDrift::Elements(wrong))))
    }

    fn drift_of_rules(&self) -> Result<Option<FirewallDrift>, Refusal> {
        let rules = self.batches.rules()?;
        Ok(match rules.as_slice() {
            same if same == self.rules => None,
            [] => Some(FirewallDrift::Table),
            _ => Some(FirewallDrift::Rules),
        })
    }

    /// Sees to the pass through Docker's chains, and to Docker's bridges in our table.
    pub(super) async fn let_pass(&mut self) -> Result<(), Refusal> {
        self.passing = None;
        let foreign = pass::let_pass(self.held.bridges()).await?;
        self.passed(foreign)
    }

    /// Notes that our bridges pass, and which are Docker's.
    fn passed(&mut self, mut foreign: BTreeSet<LinkName>) -> Result<(), Refusal> {
        let bridges = self.held.bridges();
        self.passing = Some(pass::rules(bridges));
        if self.held.is_empty() {
            self.foreign.clear();
            return Ok(());
        }
        // Somebody may have flushed the rules that name them: while the bridges stand, they
        // are Docker's.
        let stands = |bridge: &&LinkName| {
            !bridges.contains(*bridge) && nix::net::if_::if_nametoindex(bridge.as_str()).is_ok()
        };
        foreign.extend(self.foreign.iter().filter(stands).cloned());
        let elements = |bridges: &BTreeSet<LinkName>, others: &BTreeSet<LinkName>| {
            bridges.difference(others).map(foreign_bridge).collect()
        };
        let change = Change {
            delete: elements(&self.foreign, &foreign),
            add: elements(&foreign, &self.foreign),
        };
        if !change.is_empty() {
            self.batches.apply(&change)?;
        }
        self.foreign = foreign;
        Ok(())
    }
}
