//! Shortcuts: frames between the containers of an overlay network go from link to link, past
//! the bridge between them.
//!
//! Where br_netfilter is in use, and Docker switches it on for the whole host, each frame that
//! a bridge carries goes through conntrack and all chains of the host's firewall. For frames
//! of an overlay network nobody has rules there: Docker's own overlay hides its bridge in
//! a network namespace for that reason. Ours stays where one can see it, and a frame to a
//! container whose Ethernet address is known does not come to it: nftables sends it on where
//! it comes in (`fwd`, in a chain of the link's ingress). All others, ARP and what goes to the
//! host among them, take the bridge as ever; so does everything if the kernel cannot do this
//! (CONFIG_NFT_FWD_NETDEV), which makes it slower, and nothing else.
//!
//! From a VTEP frames go to containers of this host only: two hosts that each take a container
//! for the other's would send its frames to and fro for ever.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    netdev::{self, Map, Piece},
    netlink::Batches,
};
use crate::{
    kernel::{FirewallBatch, FirewallEntry, LinkName, Refusal, Shortcut},
    mac::Mac,
};

/// What there is to know of the ends of shortcuts, and what stands in the kernel for it.
#[derive(Debug, Default)]
pub(super) struct Shortcuts {
    entries: BTreeSet<Shortcut>,
    /// Of bridges, by name.
    networks: BTreeMap<LinkName, Network>,
    /// The bridges of VTEPs.
    bridges: BTreeMap<LinkName, LinkName>,
    /// The kernel has refused them; that was said.
    refused: bool,
}

#[derive(Debug, Default)]
struct Network {
    vtep: Option<LinkName>,
    ports: BTreeSet<LinkName>,
    /// Ports by the address behind them; more than one for an address given twice.
    near: BTreeMap<Mac, BTreeSet<LinkName>>,
    far: BTreeSet<Mac>,
}

/// What a batch may change.
#[derive(Debug, Default)]
struct Touched {
    bridges: BTreeSet<LinkName>,
    ports: BTreeSet<(LinkName, LinkName)>,
    addresses: BTreeSet<(LinkName, Mac)>,
}

/// The shortcuts of a batch, and the rest of it.
pub(super) fn split(batch: &FirewallBatch) -> (FirewallBatch, FirewallBatch) {
    let split = |entries: &BTreeSet<FirewallEntry>| -> (BTreeSet<_>, BTreeSet<_>) {
        entries.iter().cloned().partition(|entry| matches!(entry, FirewallEntry::Shortcut(_)))
    };
    let (add, others) = split(&batch.add);
    let (remove, other) = split(&batch.remove);
    (FirewallBatch { add, remove }, FirewallBatch { add: others, remove: other })
}

// === impl Shortcuts ===

impl Shortcuts {
    /// Applies a batch. The kernel's refusal is logged: then the bridge carries the frames.
    pub(super) fn apply(&mut self, batches: &mut Batches, batch: &FirewallBatch) {
        let (before, after) = self.change(batch);
        if self.refused || before == after {
            return;
        }
        let gone: Vec<&Piece> = before.difference(&after).collect();
        let new: Vec<&Piece> = after.difference(&before).collect();
        let stands = self.networks.values().any(|network| network.vtep.is_some());
        let changed = match stands {
            true => netdev::change(batches, &gone, &new),
            false => netdev::clear(batches),
        };
        if changed.is_err() {
            // What went with its link without our doing is in the way of the difference.
            self.write(batches);
        }
    }

    /// Applies a batch to what is known. What the table has to hold of what the batch is about
    /// is returned as it was and as it is: it costs what the batch does, not the network.
    fn change(&mut self, batch: &FirewallBatch) -> (BTreeSet<Piece>, BTreeSet<Piece>) {
        let shortcuts = |entries: &BTreeSet<FirewallEntry>| -> BTreeSet<Shortcut> {
            entries.iter().filter_map(FirewallEntry::as_shortcut).cloned().collect()
        };
        let (mut add, mut remove) = (shortcuts(&batch.add), shortcuts(&batch.remove));
        remove.retain(|shortcut| !add.contains(shortcut) && self.entries.contains(shortcut));
        add.retain(|shortcut| !self.entries.contains(shortcut));
        // Those behind a VTEP are told from its bridge: it is there while they come or go.
        add.iter().for_each(|one| self.name(one));
        let touched = self.touched(add.iter().chain(&remove));
        let before = self.pieces(&touched);
        remove.iter().rev().for_each(|one| self.forget(one));
        add.iter().for_each(|one| self.learn(one));
        let after = self.pieces(&touched);
        for one in remove {
            self.entries.remove(&one);
        }
        self.entries.extend(add);
        (before, after)
    }

    /// Makes these be all of them, whatever stands in the kernel.
    pub(super) fn reset(&mut self, batches: &mut Batches, entries: &BTreeSet<FirewallEntry>) {
        *self = Self::default();
        for shortcut in entries.iter().filter_map(FirewallEntry::as_shortcut) {
            self.name(shortcut);
            self.learn(shortcut);
            self.entries.insert(shortcut.clone());
        }
        self.write(batches);
    }

    /// A link was made (again): what leads to and from it is too.
    pub(super) fn came(&mut self, batches: &mut Batches, link: &LinkName) {
        let known = self.networks.values().any(|network| {
            network.vtep.is_some()
                && (network.vtep.as_ref() == Some(link) || network.ports.contains(link))
        });
        if known && !self.refused {
            self.write(batches);
        }
    }

    /// Looks whether they stand, and puts them back if not; says whether they did.
    pub(super) fn repair(&mut self, batches: &mut Batches) -> Result<bool, Refusal> {
        if !self.refused && netdev::stands(batches, &self.all())? {
            return Ok(true);
        }
        let drifted = !self.refused;
        self.write(batches);
        Ok(!drifted)
    }

    fn write(&mut self, batches: &mut Batches) {
        let all = self.all();
        let written = match all.is_empty() {
            true => netdev::clear(batches),
            false => netdev::write(batches, &all),
        };
        let Err(error) = written else {
            self.refused = false;
            return;
        };
        if all.is_empty() {
            tracing::debug!(error = %crate::error::chain(&error), "no shortcuts to clear");
            return;
        }
        if !std::mem::replace(&mut self.refused, true) {
            tracing::warn!(
                error = %crate::error::chain(&error),
                "the kernel sends no frames past a bridge: those of overlay networks are slower"
            );
        }
        // Half of them would be worse than none.
        if let Err(error) = netdev::clear(batches) {
            tracing::debug!(error = %crate::error::chain(&error), "there was nothing to clear");
        }
    }

    fn touched<'a>(&self, shortcuts: impl Iterator<Item = &'a Shortcut>) -> Touched {
        let mut touched = Touched::default();
        for shortcut in shortcuts {
            match shortcut {
                Shortcut::Vtep { bridge, .. } => drop(touched.bridges.insert(bridge.clone())),
                Shortcut::Port { link, bridge, mac } => {
                    touched.ports.insert((bridge.clone(), link.clone()));
                    touched.addresses.insert((bridge.clone(), *mac));
                }
                Shortcut::Remote { link, mac } => {
                    let bridge = self.bridges.get(link).cloned();
                    touched.addresses.extend(bridge.map(|bridge| (bridge, *mac)));
                }
            }
        }
        touched
    }

    fn name(&mut self, shortcut: &Shortcut) {
        if let Shortcut::Vtep { link, bridge } = shortcut {
            self.bridges.insert(link.clone(), bridge.clone());
        }
    }

    fn learn(&mut self, shortcut: &Shortcut) {
        match shortcut {
            Shortcut::Vtep { link, bridge } => {
                self.networks.entry(bridge.clone()).or_default().vtep = Some(link.clone());
            }
            Shortcut::Port { link, bridge, mac } => {
                let network = self.networks.entry(bridge.clone()).or_default();
                network.ports.insert(link.clone());
                network.near.entry(*mac).or_default().insert(link.clone());
            }
            Shortcut::Remote { link, mac } => {
                if let Some(bridge) = self.bridges.get(link) {
                    self.networks.entry(bridge.clone()).or_default().far.insert(*mac);
                }
            }
        }
    }

    fn forget(&mut self, shortcut: &Shortcut) {
        let bridge = match shortcut {
            Shortcut::Vtep { bridge, .. } | Shortcut::Port { bridge, .. } => Some(bridge.clone()),
            Shortcut::Remote { link, .. } => self.bridges.get(link).cloned(),
        };
        let Some((bridge, network)) =
            bridge.and_then(|name| self.networks.get_mut(&name).map(|network| (name, network)))
        else {
            return;
        };
        match shortcut {
            Shortcut::Vtep { link, .. } => {
                network.vtep = None;
                self.bridges.remove(link);
            }
            Shortcut::Port { link, mac, .. } => {
                network.ports.remove(link);
                if let Some(ports) = network.near.get_mut(mac) {
                    ports.remove(link);
                    if ports.is_empty() {
                        network.near.remove(mac);
                    }
                }
            }
            Shortcut::Remote { mac, .. } => drop(network.far.remove(mac)),
        }
        if network.is_empty() {
            self.networks.remove(&bridge);
        }
    }

    fn pieces(&self, touched: &Touched) -> BTreeSet<Piece> {
        let mut pieces = BTreeSet::new();
        for bridge in &touched.bridges {
            pieces.extend(self.networks.get(bridge).into_iter().flat_map(|of| of.pieces(bridge)));
        }
        for (bridge, port) in &touched.ports {
            let network = self.networks.get(bridge).filter(|of| of.ports.contains(port));
            pieces.extend(network.and_then(|of| of.port(bridge, port)));
        }
        for (bridge, mac) in &touched.addresses {
            pieces
                .extend(self.networks.get(bridge).into_iter().flat_map(|of| of.ways(bridge, *mac)));
        }
        pieces
    }

    fn all(&self) -> BTreeSet<Piece> {
        self.networks.iter().flat_map(|(bridge, network)| network.pieces(bridge)).collect()
    }
}

// === impl Network ===

impl Network {
    fn is_empty(&self) -> bool {
        self.vtep.is_none() && self.ports.is_empty() && self.far.is_empty()
    }

    /// All there is of it, if it has shortcuts.
    fn pieces(&self, bridge: &LinkName) -> BTreeSet<Piece> {
        let Some(vtep) = &self.vtep else { return BTreeSet::new() };
        let map = |map: fn(LinkName) -> Map| map(bridge.clone());
        let mut pieces = BTreeSet::from([
            Piece::Map(map(Map::Near)),
            Piece::Map(map(Map::Far)),
            Piece::Chain { link: vtep.clone(), maps: vec![map(Map::Near)] },
        ]);
        pieces.extend(self.ports.iter().filter_map(|port| self.port(bridge, port)));
        let addresses: BTreeSet<Mac> = self.near.keys().chain(&self.far).copied().collect();
        pieces.extend(addresses.into_iter().flat_map(|mac| self.ways(bridge, mac)));
        pieces
    }

    fn port(&self, bridge: &LinkName, port: &LinkName) -> Option<Piece> {
        self.vtep.as_ref()?;
        // One of this host first: one that has just moved here may still be told from another.
        let maps = vec![Map::Near(bridge.clone()), Map::Far(bridge.clone())];
        Some(Piece::Chain { link: port.clone(), maps })
    }

    fn ways(&self, bridge: &LinkName, mac: Mac) -> Vec<Piece> {
        let Some(vtep) = &self.vtep else { return Vec::new() };
        let way = |map: fn(LinkName) -> Map, to: &LinkName| Piece::Way {
            map: map(bridge.clone()),
            mac,
            to: to.clone(),
        };
        let ports = self.near.get(&mac);
        // Of two ports with the same address the bridge knows who spoke last.
        let near = ports.filter(|ports| ports.len() == 1).into_iter().flatten();
        let near = near.map(|port| way(Map::Near, port));
        let far = self.far.contains(&mac) && ports.is_none_or(|ports| ports.len() == 1);
        near.chain(far.then(|| way(Map::Far, vtep))).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::{collection::vec, prelude::*};

    use super::*;

    const BRIDGES: [&str; 2] = ["one", "two"];

    fn name(kind: char, bridge: usize, number: u8) -> LinkName {
        format!("{kind}{bridge}{number}").parse().unwrap()
    }

    /// One of few, so that they meet: a network's VTEP, ports with addresses that are given
    /// twice, and remote containers with the same addresses.
    fn shortcut() -> impl Strategy<Value = Shortcut> {
        (0..BRIDGES.len(), 0..3_u8, 0..3_u8, 0..3).prop_map(|(at, number, mac, kind)| {
            let (bridge, mac) = (BRIDGES[at].parse().unwrap(), Mac([2, 0, 0, 0, 0, mac]));
            match kind {
                0 => Shortcut::Vtep { link: name('x', at, 0), bridge },
                1 => Shortcut::Port { link: name('p', at, number), bridge, mac },
                _ => Shortcut::Remote { link: name('x', at, 0), mac },
            }
        })
    }

    /// The transactions that the ledger makes of it: a port has one address, and a VTEP is there
    /// before the entries that stand on it, and goes with them.
    fn batch(standing: &mut BTreeSet<Shortcut>, chosen: Shortcut) -> FirewallBatch {
        let mut batch = FirewallBatch::default();
        let entry = |shortcut: &Shortcut| FirewallEntry::Shortcut(shortcut.clone());
        let gone: Vec<Shortcut> = match &chosen {
            one if !standing.contains(one) => standing
                .iter()
                .filter(|other| {
                    matches!(other, Shortcut::Port { .. }) && other.link() == one.link()
                })
                .cloned()
                .collect(),
            Shortcut::Vtep { link, .. } => {
                standing.iter().filter(|other| other.link() == link).cloned().collect()
            }
            one => vec![one.clone()],
        };
        if !standing.contains(&chosen) {
            let vtep = |other: &Shortcut| {
                matches!(other, Shortcut::Vtep { .. }) && other.link() == chosen.link()
            };
            if matches!(chosen, Shortcut::Remote { .. }) && !standing.iter().any(vtep) {
                return batch;
            }
            batch.add.insert(entry(&chosen));
            standing.insert(chosen);
        }
        for one in gone {
            batch.remove.insert(entry(&one));
            standing.remove(&one);
        }
        batch
    }

    proptest! {
        /// Step by step the table gets to what it would be if it was written anew.
        #[test]
        fn differences_lead_to_the_whole(chosen in vec(shortcut(), 1..60)) {
            let (mut shortcuts, mut standing) = (Shortcuts::default(), BTreeSet::new());
            let mut table = BTreeSet::new();
            for one in chosen {
                let batch = batch(&mut standing, one);
                let (before, after) = shortcuts.change(&batch);
                for piece in before.difference(&after) {
                    prop_assert!(table.remove(piece), "{piece:?} was not there");
                }
                for piece in after.difference(&before) {
                    prop_assert!(table.insert(piece.clone()), "{piece:?} was there");
                }
                prop_assert_eq!(&table, &shortcuts.all());
                let mut anew = Shortcuts::default();
                let add = standing.iter().cloned().map(FirewallEntry::Shortcut).collect();
                anew.change(&FirewallBatch { add, remove: BTreeSet::new() });
                prop_assert_eq!(&table, &anew.all());
            }
        }

        /// Nothing that comes out of a tunnel goes into one, and only what is there is sent to.
        #[test]
        fn ways_lead_where_they_should(chosen in vec(shortcut(), 1..60)) {
            let (mut shortcuts, mut standing) = (Shortcuts::default(), BTreeSet::new());
            for one in chosen {
                shortcuts.change(&batch(&mut standing, one));
            }
            for piece in shortcuts.all() {
                match piece {
                    Piece::Chain { link, maps } if link.as_str().starts_with('x') => {
                        prop_assert!(maps.iter().all(|map| matches!(map, Map::Near(_))));
                    }
                    Piece::Way { map: Map::Near(bridge), mac, to } => {
                        let port = Shortcut::Port { link: to, bridge, mac };
                        prop_assert!(standing.contains(&port));
                    }
                    Piece::Way { map: Map::Far(_), mac, to } => {
                        let remote = Shortcut::Remote { link: to, mac };
                        prop_assert!(standing.contains(&remote));
                    }
                    Piece::Chain { .. } | Piece::Map(_) => {}
                }
            }
        }
    }
}
