//! What is done when nobody asks for anything: blocks go back, others' questions are answered.
//!
//! Whatever the cluster's store has of this host that its books do not know, from a call that
//! failed or a crash, or because it left the books in an earlier call, goes back to the others.

use std::collections::BTreeSet;

use wasmnet_sdk::{Error, ErrorCode};

use super::{
    Ipam,
    blocks::{Place, place},
};
use crate::{
    agreed,
    record::{PoolId, Space, Subnet},
    shared::{Shared, Sure},
    store::{Store, World},
    tree::Tree,
};

/// Rounds of taking rested addresses back in one call.
const ROUNDS_MAX: u32 = 64;
/// How soon, in nanoseconds, to look again at what rests, at the earliest.
const SOON: u64 = 1_000_000_000;

// === impl Ipam ===

impl<S: Store, W: World> Ipam<S, W> {
    /// Agreed values may have changed, or the store can be reached. Says whether it wants to
    /// be called again when the books are written.
    pub fn agreed_changed(&mut self) -> Result<bool, Error> {
        let node = self.world.node()?;
        let (mut again, mut names, mut generations) = (false, BTreeSet::new(), BTreeSet::new());
        for space in Space::ALL {
            for net in self.subnets_of(space)? {
                let id = PoolId { space, subnet: net, range: None };
                let Some(mut subnet) = Subnet::read(&self.store, &id)? else { continue };
                let Some(mut shared) = subnet.shared.take() else { continue };
                let sure = self.sure()?;
                names.insert(shared.name.clone());
                again |= self.tend(&id, &mut subnet, &mut shared, &sure)?;
                generations.insert(shared.generation.clone());
                subnet.shared = Some(shared);
                subnet.write(&mut self.store, &id)?;
            }
        }
        self.leave_others(&node, &names, &generations)?;
        Ok(again)
    }

    /// Leaves pools that are in the books no more.
    fn leave_others(
        &self,
        node: &str,
        names: &BTreeSet<String>,
        generations: &BTreeSet<String>,
    ) -> Result<(), Error> {
        for key in self.world.agreed_keys(agreed::OWN)? {
            if let Some((generation, of, block)) = agreed::read_own(&key)
                && of == node
                && !generations.contains(generation)
            {
                self.give_up(generation, node, block)?;
            }
        }
        for key in self.world.agreed_keys(agreed::MEMBERS)? {
            if let Some((name, of)) = agreed::read_member(&key)
                && of == node
                && !names.contains(name)
            {
                self.leave(name, node)?;
            }
        }
        Ok(())
    }

    fn tend(
        &mut self,
        id: &PoolId,
        subnet: &mut Subnet,
        shared: &mut Shared,
        sure: &Sure,
    ) -> Result<bool, Error> {
        let place = place(subnet.number, id.subnet);
        // What went out of the books in an earlier call goes back in this one.
        self.give_back_blocks(shared, sure)?;
        match self.rejoin(id, place, shared, sure) {
            Err(error) if error.code != ErrorCode::Unavailable => {
                self.world.warn(&error.message);
                return Ok(false);
            }
            joined => joined?,
        }
        for mine in shared.blocks.clone() {
            self.is_ours(shared, sure, mine.at)?;
        }
        self.hold_on(id, place, shared, sure)?;
        let mut again = self.answer(id, subnet, shared, sure)?;
        let next = self.take_all_back(id, subnet)?;
        again |= self.drop_empty(id, place, shared)?;
        if let Some(next) = next
            && (shared.blocks.len() > 1 || !shared.singles.is_empty())
        {
            self.world.call_later(next.max(SOON));
        }
        Ok(again)
    }

    /// Gives back blocks that are this host's and not in its books.
    fn give_back_blocks(&self, shared: &Shared, sure: &Sure) -> Result<(), Error> {
        let of_node = agreed::own_prefix(&shared.generation) + &sure.node + "/";
        for key in self.world.agreed_keys(&of_node)? {
            if let Some((generation, node, block)) = agreed::read_own(&key)
                && !shared.has_block(block)
            {
                self.give_up(generation, node, block)?;
            }
        }
        Ok(())
    }

    /// Takes back what has rested; says in how many nanoseconds the next has, if something
    /// still rests.
    fn take_all_back(&mut self, id: &PoolId, subnet: &mut Subnet) -> Result<Option<u64>, Error> {
        let ranges: Vec<_> = subnet.pools.iter().map(|pool| pool.range).collect();
        let (number, mut next) = (subnet.number, None);
        for range in ranges {
            for _ in 0..ROUNDS_MAX {
                let before = subnet.pool(range).map(|pool| pool.head);
                self.take_back(&PoolId { range, ..*id }, subnet)?;
                if subnet.pool(range).map(|pool| pool.head) == before {
                    break;
                }
            }
            if let Some(pool) = subnet.pool(range).filter(|pool| pool.resting > 0) {
                let left = self.rest_left(number, pool)?;
                next = Some(next.map_or(left, |next: u64| next.min(left)));
            }
        }
        Ok(next)
    }

    /// Takes out of the books what nobody here has anything of, but for a block with room.
    fn drop_empty(
        &mut self,
        id: &PoolId,
        place: Place,
        shared: &mut Shared,
    ) -> Result<bool, Error> {
        let mut dropped = false;
        for mine in shared.blocks.clone() {
            let span = shared.span(mine.at);
            let used = self.next_of_ours(id, place, shared, span.low)?;
            if used.is_some_and(|used| used <= span.high) {
                continue;
            }
            for other in shared.blocks.clone() {
                if other.at != mine.at && self.has_room(place, shared, other.at)? {
                    shared.blocks.retain(|kept| kept.at != mine.at);
                    dropped = true;
                    break;
                }
            }
        }
        for mine in shared.singles.clone() {
            let tree = Tree::new(&self.store, place.number, place.bits);
            if tree.next_used(mine.at)? != Some(mine.at) {
                shared.singles.retain(|kept| kept.at != mine.at);
                dropped = true;
            }
        }
        Ok(dropped)
    }
}
