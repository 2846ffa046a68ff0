//! Addresses of a shared pool: out of this host's own blocks where nobody asked for one by name.

use wasmnet_sdk::{Error, LeasePurpose};

use super::{
    Ipam,
    blocks::{Place, is_nearly_full, meet, place},
};
use crate::{
    errors,
    net::{self, Span},
    options::AddressOptions,
    record::{Lease, PoolId, Subnet},
    shared::{Shared, Sure},
    store::{Store, World},
    tree::{Map, Tree},
};

// === impl Ipam ===

impl<S: Store, W: World> Ipam<S, W> {
    /// Chooses an address of a shared pool for an endpoint, or the pool's gateway.
    pub(super) fn choose_shared(
        &mut self,
        id: &PoolId,
        subnet: &mut Subnet,
        shared: &mut Shared,
        options: &AddressOptions,
        lease: &Lease,
    ) -> Result<u128, Error> {
        let place = place(subnet.number, id.subnet);
        if options.purpose == LeasePurpose::Gateway {
            let offset = self.gateway(id, shared)?;
            self.refuse_held(place, offset)?;
            self.hold(id, subnet, offset, lease)?;
            return Ok(offset);
        }
        let sure = self.sure()?;
        self.rejoin(id, place, shared, &sure)?;
        self.take_back(id, subnet)?;
        let span = Shared::choice(id.subnet, id.range);
        let from = subnet.pool(id.range).map_or(0, |pool| pool.next);
        let from = if options.serial { from } else { 0 };
        let before = match options.mac {
            Some(mac) => self.last_of(subnet.number, mac)?,
            None => None,
        };
        let before = before.filter(|before| (span.low..=span.high).contains(before));
        let offset = match before {
            Some(before) if self.is_here(shared, &sure, before)? => before,
            _ => match self.find(place, shared, &sure, Map::Used, span, from)? {
                Some(found) => found,
                None => self.find_more(id, place, shared, &sure, span)?,
            },
        };
        self.hold(id, subnet, offset, lease)?;
        if let Some(pool) = subnet.pool(id.range) {
            pool.next = offset + 1;
        }
        self.prepare(place, shared, &sure, span);
        Ok(offset)
    }

    /// Whether an address is this host's to give out, for certain.
    pub(super) fn is_here(
        &mut self,
        shared: &mut Shared,
        sure: &Sure,
        offset: u128,
    ) -> Result<bool, Error> {
        if shared.lent.contains(&offset) || shared.common.contains(&offset) {
            return Ok(false);
        }
        let block = shared.block_of(offset);
        Ok(self.is_ours(shared, sure, block)? || self.is_single(shared, sure, offset)?)
    }

    /// The lowest address of this host's blocks that is not in a map; from `from` on if there is
    /// one.
    fn find(
        &mut self,
        place: Place,
        shared: &mut Shared,
        sure: &Sure,
        map: Map,
        span: Span,
        from: u128,
    ) -> Result<Option<u128>, Error> {
        let later = Span { low: span.low.max(from), ..span };
        for span in [later, span] {
            for mine in shared.blocks.clone() {
                let Some(within) = meet(shared.span(mine.at), span) else { continue };
                let tree = Tree::new(&self.store, place.number, place.bits);
                if let Some(found) = tree.lowest_free(map, within)?
                    && self.is_ours(shared, sure, mine.at)?
                {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// An address of one more block, or else one that still rests.
    fn find_more(
        &mut self,
        id: &PoolId,
        place: Place,
        shared: &mut Shared,
        sure: &Sure,
        span: Span,
    ) -> Result<u128, Error> {
        let claimed = loop {
            match self.claim_any(place, shared, sure, span) {
                Ok(true) => {
                    // It may be full of what this host's containers have, or others have.
                    if let Some(found) = self.find(place, shared, sure, Map::Used, span, 0)? {
                        return Ok(found);
                    }
                }
                claimed => break claimed,
            }
        };
        if let Some(found) = self.find(place, shared, sure, Map::Held, span, 0)? {
            return Ok(found);
        }
        claimed?;
        if self.take_from_dead(place, shared, sure)?
            && let Some(found) = self.find(place, shared, sure, Map::Used, span, 0)?
        {
            return Ok(found);
        }
        let others = self.listing(shared)?.of_others(&sure.node);
        let all = shared.blocks_in(id.subnet);
        Err(errors::no_addresses_here(id, shared.users_name(), others, all))
    }

    /// Claims another block when the room of those there are is about to end, so that there is
    /// some when the store is away.
    fn prepare(&mut self, place: Place, shared: &mut Shared, sure: &Sure, span: Span) {
        let mut ahead = || {
            if !sure.is_fresh() {
                return Ok(());
            }
            for mine in &shared.blocks {
                let Some(within) = meet(shared.span(mine.at), span) else { continue };
                let tree = Tree::new(&self.store, place.number, place.bits);
                let free = tree.lowest_free(Map::Used, within)?;
                if free.is_some_and(|free| !is_nearly_full(shared.span(mine.at), free)) {
                    return Ok(());
                }
            }
            self.claim_ahead(place, shared, sure, span)
        };
        // It can be had when it is needed; what was claimed and is not in the books is found.
        let _ = ahead();
    }

    /// Fails if somebody here has an address.
    pub(super) fn refuse_held(&self, place: Place, offset: u128) -> Result<(), Error> {
        match Lease::read(&self.store, place.number, offset)? {
            Some(lease) if lease.turn.is_none() => Err(errors::in_use()),
            _ => Ok(()),
        }
    }

    /// Takes an address that was asked for by name and that nobody here has.
    pub(super) fn take_shared(
        &mut self,
        id: &PoolId,
        subnet: &mut Subnet,
        shared: &mut Shared,
        offset: u128,
        lease: &Lease,
    ) -> Result<(), Error> {
        let place = place(subnet.number, id.subnet);
        let is_first = offset == net::usable(id.subnet).low;
        match lease.purpose {
            LeasePurpose::Endpoint if is_first || shared.common.contains(&offset) => {
                return Err(errors::kept_for_gateway(net::at(id.subnet, offset)));
            }
            LeasePurpose::Endpoint => {
                let sure = self.sure()?;
                self.rejoin(id, place, shared, &sure)?;
                if !self.is_here(shared, &sure, offset)? {
                    self.agree_single(id, place, shared, &sure, offset)?;
                }
            }
            purpose => {
                if !is_first && !shared.common.contains(&offset) {
                    let sure = self.sure()?;
                    self.rejoin(id, place, shared, &sure)?;
                    self.agree_common(id, place, shared, &sure, offset)?;
                }
                if purpose == LeasePurpose::Gateway && shared.gateway.is_none() {
                    self.name_gateway(id, shared, offset)?;
                }
            }
        }
        self.hold(id, subnet, offset, lease)
    }
}
