//! Blocks of a shared pool: whose they are.
//!
//! Whoever claims a block notes that first (`own/…`), so that a block is found again whose
//! claimer did not get as far as its books. Blocks go back the other way round: out of the
//! books in one call, to the others in a later one.

use std::collections::BTreeMap;

use wasmnet_sdk::{Error, cluster::Standing, ipnet::IpNet};

use super::Ipam;
use crate::{
    agreed::{self, Agreement, Claim, State},
    net::Span,
    record::PoolId,
    shared::{Shared, Sure},
    store::{Store, World},
    tree::{Map, Tree},
};

/// How often somebody else may be faster.
pub(super) const ATTEMPTS: usize = 64;

/// The blocks that are said to be somebody's.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// By block: the nodes that have it or are about to claim it.
    by_block: BTreeMap<u128, Vec<String>>,
}

/// A subnet of the books, as far as its blocks matter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Stands for it in keys.
    pub number: u32,
    /// Bits that tell its hosts apart.
    pub bits: u32,
}

// === impl Listing ===

impl Listing {
    /// How many blocks other nodes have.
    pub(super) fn of_others(&self, node: &str) -> u64 {
        let others = self.by_block.values().filter(|nodes| nodes.iter().any(|of| of != node));
        others.count() as u64
    }

    fn has(&self, block: u128) -> bool {
        self.by_block.contains_key(&block)
    }
}

// === impl Ipam ===

impl<S: Store, W: World> Ipam<S, W> {
    /// What this host can be sure of. Right after a start that takes the store.
    pub(super) fn sure(&self) -> Result<Sure, Error> {
        let node = self.world.node()?;
        let Standing { term, age } = self.world.presence()?;
        Ok(Sure { node, term, age })
    }

    /// Who is said to have which block.
    pub(super) fn listing(&self, shared: &Shared) -> Result<Listing, Error> {
        let mut listing = Listing::default();
        for key in self.world.agreed_keys(&agreed::own_prefix(&shared.generation))? {
            if let Some((_, node, block)) = agreed::read_own(&key) {
                listing.by_block.entry(block).or_default().push(node.to_owned());
            }
        }
        Ok(listing)
    }

    /// Whether a block of the books is still this host's; one that is not leaves the books.
    pub(super) fn is_ours(
        &self,
        shared: &mut Shared,
        sure: &Sure,
        block: u128,
    ) -> Result<bool, Error> {
        let Some(mine) = shared.blocks.iter().find(|mine| mine.at == block) else {
            return Ok(false);
        };
        sure.check(shared)?;
        if mine.term == sure.term {
            return Ok(true);
        }
        if self.make_sure(shared, sure, block)? {
            shared.add_block(block, sure.term);
            return Ok(true);
        }
        shared.blocks.retain(|mine| mine.at != block);
        self.world.warn(&format!(
            "shared pool \"{}\": block {block:x} was taken over while this host was away; its \
             containers keep what they have of it, new ones get none",
            shared.users_name()
        ));
        Ok(false)
    }

    /// Whether the block is this node's, and that it is so in this term.
    fn make_sure(&self, shared: &Shared, sure: &Sure, block: u128) -> Result<bool, Error> {
        let key = agreed::block_key(&shared.generation, block);
        let new = Claim { node: sure.node.clone(), term: sure.term }.write();
        for _ in 0..ATTEMPTS {
            match self.world.agreed(&key)? {
                Some(old) if old == new => return Ok(true),
                Some(old) if Claim::read(&old)?.node == sure.node => {
                    if self.world.agree(&key, Some(&old), Some(&new))? {
                        return Ok(true);
                    }
                }
                _ => return Ok(false),
            }
        }
        Ok(false)
    }

    /// Claims one more block with addresses of a span: one that a crash left over, else a free
    /// one, else a dead host's.
    pub(super) fn claim_any(
        &mut self,
        place: Place,
        shared: &mut Shared,
        sure: &Sure,
        span: Span,
    ) -> Result<bool, Error> {
        let listing = self.listing(shared)?;
        let within = |block: &u128| {
            let of = shared.span(*block);
            of.low <= span.high && of.high >= span.low && !shared.has_block(*block)
        };
        let listed: Vec<(u128, Vec<String>)> =
            listing.by_block.clone().into_iter().filter(|(block, _)| within(block)).collect();
        for (block, nodes) in &listed {
            if nodes.contains(&sure.node) && self.claim(place, shared, sure, *block)? {
                return Ok(true);
            }
        }
        if self.claim_free(place, shared, sure, span, &listing)? {
            return Ok(true);
        }
        let mut dead = BTreeMap::new();
        for (block, nodes) in listed {
            let mut all_dead = true;
            for node in nodes {
                if !dead.contains_key(&node) {
                    dead.insert(node.clone(), shared.is_dead(self.world.away(&node)?));
                }
                all_dead &= dead.get(&node) == Some(&true);
            }
            if all_dead && self.claim(place, shared, sure, block)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Claims the next free block with addresses of a span.
    fn claim_free(
        &mut self,
        place: Place,
        shared: &mut Shared,
        sure: &Sure,
        span: Span,
        listing: &Listing,
    ) -> Result<bool, Error> {
        if span.low > span.high {
            return Ok(false);
        }
        let all = shared.block_of(span.low)..=shared.block_of(span.high);
        let known: Vec<u128> = shared.blocks.iter().map(|mine| mine.at).collect();
        let free = all.filter(|block| !listing.has(*block) && !known.contains(block));
        for block in free.take(ATTEMPTS) {
            if self.claim(place, shared, sure, block)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Claims a free block before it is needed, if there is plenty.
    pub(super) fn claim_ahead(
        &mut self,
        place: Place,
        shared: &mut Shared,
        sure: &Sure,
        span: Span,
    ) -> Result<(), Error> {
        let listing = self.listing(shared)?;
        let all = shared.block_of(span.high) - shared.block_of(span.low) + 1;
        let free = all.saturating_sub(listing.by_block.len() as u128);
        if free > all / 4 {
            self.claim_free(place, shared, sure, span, &listing)?;
        }
        Ok(())
    }

    /// Claims this block if it is free, or of a host that is dead.
    pub(super) fn claim(
        &mut self,
        place: Place,
        shared: &mut Shared,
        sure: &Sure,
        block: u128,
    ) -> Result<bool, Error> {
        sure.check(shared)?;
        let generation = shared.generation.clone();
        let key = agreed::block_key(&generation, block);
        let old = self.world.agreed(&key)?;
        let owner = old.as_deref().map(Claim::read).transpose()?.map(|claim| claim.node);
        let other = owner.filter(|owner| *owner != sure.node);
        if let Some(other) = &other
            && !shared.is_dead(self.world.away(other)?)
        {
            return Ok(false);
        }
        let own = agreed::own_key(&generation, &sure.node, block);
        // If this call fails, the next one gives the block back.
        self.world.call_later(0);
        self.world.agree(&own, None, Some(b""))?;
        let new = Claim { node: sure.node.clone(), term: sure.term }.write();
        if !self.world.agree(&key, old.as_deref(), Some(&new))? {
            self.world.agree(&own, Some(b""), None)?;
            return Ok(false);
        }
        if let Some(other) = other {
            self.world.warn(&format!(
                "shared pool \"{}\": block {block:x} of host {other}, which is gone, is this host's \
                 now",
                shared.users_name()
            ));
            let own = agreed::own_key(&generation, &other, block);
            self.world.agree(&own, Some(b""), None)?;
        }
        shared.add_block(block, sure.term);
        let bits = shared.block_bits;
        let met = self.meet_singles(place, shared, sure, |offset| offset >> bits == block);
        if met.is_err() {
            // What others have of it is not known.
            shared.blocks.retain(|mine| mine.at != block);
        }
        met.map(|()| true)
    }

    /// Gives back a block that is in the books no more.
    pub(super) fn give_up(&self, generation: &str, node: &str, block: u128) -> Result<(), Error> {
        let key = agreed::block_key(generation, block);
        if let Some(old) = self.world.agreed(&key)?
            && Claim::read(&old)?.node == node
            && !self.world.agree(&key, Some(&old), None)?
        {
            return Ok(());
        }
        let own = agreed::own_key(generation, node, block);
        self.world.agree(&own, Some(b""), None).map(drop)
    }

    /// Notes which addresses of this host's blocks are others', or all hosts'.
    pub(super) fn meet_singles(
        &mut self,
        place: Place,
        shared: &mut Shared,
        sure: &Sure,
        which: impl Fn(u128) -> bool,
    ) -> Result<(), Error> {
        let generation = shared.generation.clone();
        for key in self.world.agreed_keys(&agreed::tell_prefix(&generation))? {
            let Some(offset) = agreed::read_tell(&generation, &key).filter(|at| which(*at)) else {
                continue;
            };
            let Some(value) = self.world.agreed(&key)? else { continue };
            let Agreement { state, node, .. } = Agreement::read(&value)?;
            let ours = shared.has_block(shared.block_of(offset));
            match state {
                State::Common => shared.add_common(offset),
                State::Given if ours && node != sure.node => {
                    if !shared.lent.contains(&offset) {
                        shared.lent.push(offset);
                    }
                }
                _ => continue,
            }
            if ours {
                self.keep_off(place, offset)?;
            }
        }
        Ok(())
    }

    /// The first address from an offset on that somebody has through this host, gateways and
    /// auxiliary addresses apart.
    pub(super) fn next_of_ours(
        &self,
        id: &PoolId,
        place: Place,
        shared: &Shared,
        from: u128,
    ) -> Result<Option<u128>, Error> {
        let first = crate::net::usable(id.subnet).low;
        let tree = Tree::new(&self.store, place.number, place.bits);
        let mut next = tree.next_used(from)?;
        while let Some(offset) = next
            && (offset == first || shared.common.contains(&offset))
        {
            next = tree.next_used(offset + 1)?;
        }
        Ok(next)
    }

    /// Marks an address so that it is not chosen.
    pub(super) fn keep_off(&mut self, place: Place, offset: u128) -> Result<(), Error> {
        self.mark(place.number, place.bits, offset, true, true)
    }

    /// Whether a block has room, and that its room is not about to end.
    pub(super) fn has_room(
        &self,
        place: Place,
        shared: &Shared,
        block: u128,
    ) -> Result<bool, Error> {
        let span = shared.span(block);
        let tree = Tree::new(&self.store, place.number, place.bits);
        let free = tree.lowest_free(Map::Used, span)?;
        Ok(free.is_some_and(|free| !is_nearly_full(span, free)))
    }
}

/// Whether an address, the lowest that is free in a block, is among its last.
pub(super) fn is_nearly_full(block: Span, free: u128) -> bool {
    let size = block.high - block.low + 1;
    free - block.low + (size / 4).max(1) >= size
}

/// The part of a span in a block; none if there is none.
pub(super) fn meet(one: Span, other: Span) -> Option<Span> {
    let span = Span { low: one.low.max(other.low), high: one.high.min(other.high) };
    (span.low <= span.high).then_some(span)
}

/// The place of a subnet.
pub(super) fn place(number: u32, subnet: IpNet) -> Place {
    Place { number, bits: crate::net::host_bits(subnet) }
}
