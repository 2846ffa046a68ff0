//! Single addresses of a shared pool that somebody asks for by name.
//!
//! One in a block of another host can only be had from that host, which gives its addresses out
//! without asking: it is asked, notes in its books that the address is not its own any more,
//! and says so. An address of all hosts (a gateway, an auxiliary address) is asked for in the
//! same way, once.

use std::net::IpAddr;

use wasmnet_sdk::Error;

use super::{
    Ipam,
    blocks::{ATTEMPTS, Place, place},
};
use crate::{
    agreed::{self, Agreement, Facts, State},
    errors, net,
    record::{Lease, PoolId, Subnet},
    shared::{Shared, Sure},
    store::{Store, World},
};

/// How long another host may take to answer, in milliseconds.
const PATIENCE: u32 = 1500;

// === impl Ipam ===

impl<S: Store, W: World> Ipam<S, W> {
    /// Whether a single address of the books is still this host's; one that is not leaves them.
    pub(super) fn is_single(
        &self,
        shared: &mut Shared,
        sure: &Sure,
        offset: u128,
    ) -> Result<bool, Error> {
        let Some(mine) = shared.singles.iter().find(|mine| mine.at == offset) else {
            return Ok(false);
        };
        sure.check(shared)?;
        if mine.term == sure.term {
            return Ok(true);
        }
        let key = agreed::tell_key(&shared.generation, offset);
        if let Some(old) = self.world.agreed(&key)? {
            let agreement = Agreement::read(&old)?;
            if agreement.state == State::Given && agreement.node == sure.node {
                let new = Agreement { term: sure.term, ..agreement }.write();
                if old == new || self.world.agree(&key, Some(&old), Some(&new))? {
                    shared.add_single(offset, sure.term);
                    return Ok(true);
                }
            }
        }
        shared.singles.retain(|mine| mine.at != offset);
        Ok(false)
    }

    /// Has an address that is not this host's yet: with its block, if that is free, or alone.
    pub(super) fn agree_single(
        &mut self,
        id: &PoolId,
        place: Place,
        shared: &mut Shared,
        sure: &Sure,
        offset: u128,
    ) -> Result<(), Error> {
        let block = shared.block_of(offset);
        if !shared.has_block(block) && self.claim(place, shared, sure, block)? {
            return match self.is_here(shared, sure, offset)? {
                true => Ok(()),
                false => Err(errors::in_use()),
            };
        }
        if shared.has_block(block) {
            // Lent.
            return Err(errors::in_use());
        }
        self.ask(id, shared, sure, offset, State::Asked)?;
        shared.add_single(offset, sure.term);
        Ok(())
    }

    /// Makes an address all hosts'.
    pub(super) fn agree_common(
        &mut self,
        id: &PoolId,
        place: Place,
        shared: &mut Shared,
        sure: &Sure,
        offset: u128,
    ) -> Result<(), Error> {
        let key = agreed::tell_key(&shared.generation, offset);
        let block = shared.block_of(offset);
        let old = self.world.agreed(&key)?;
        let state = old.as_deref().map(Agreement::read).transpose()?.map(|old| old.state);
        if state != Some(State::Common) {
            if !shared.has_block(block) {
                self.claim(place, shared, sure, block)?;
            }
            if self.is_ours(shared, sure, block)? {
                self.refuse_held(place, offset)?;
                if shared.lent.contains(&offset) {
                    return Err(errors::in_use());
                }
                let (state, node) = (State::Common, sure.node.clone());
                let new = Agreement { state, node, term: sure.term }.write();
                if !self.world.agree(&key, old.as_deref(), Some(&new))? {
                    return Err(errors::busy(shared.users_name()));
                }
            } else {
                self.ask(id, shared, sure, offset, State::AskedForAll)?;
            }
        }
        shared.add_common(offset);
        shared.singles.retain(|mine| mine.at != offset);
        if shared.has_block(block) {
            self.keep_off(place, offset)?;
        }
        Ok(())
    }

    /// Asks the host that has the block of an address, and waits for the answer.
    fn ask(
        &self,
        id: &PoolId,
        shared: &Shared,
        sure: &Sure,
        offset: u128,
        question: State,
    ) -> Result<(), Error> {
        let key = agreed::tell_key(&shared.generation, offset);
        let asked = Agreement { state: question, node: sure.node.clone(), term: sure.term };
        let (asked, yes) = (asked.write(), question.granted());
        let address = net::at(id.subnet, offset);
        for _ in 0..ATTEMPTS {
            let Some(old) = self.world.agreed(&key)? else {
                if self.world.agree(&key, None, Some(&asked))? {
                    return self.hear(&key, &asked, &sure.node, yes, address);
                }
                continue;
            };
            let agreement = Agreement::read(&old)?;
            let is_own = agreement.node == sure.node;
            match agreement.state {
                State::Common if yes == State::Common => return Ok(()),
                // From an attempt that ended in between: begin again.
                _ if is_own && agreement.state != State::Common => {
                    if self.world.agree(&key, Some(&old), Some(&asked))? {
                        return self.hear(&key, &asked, &sure.node, yes, address);
                    }
                }
                _ => return Err(errors::in_use()),
            }
        }
        Err(errors::busy(shared.users_name()))
    }

    /// Waits for the answer; without one takes the question back.
    fn hear(
        &self,
        key: &str,
        asked: &[u8],
        node: &str,
        yes: State,
        address: IpAddr,
    ) -> Result<(), Error> {
        let mut answer = self.world.wait(key, Some(asked), PATIENCE)?;
        if answer.as_deref() == Some(asked) {
            if self.world.agree(key, Some(asked), None)? {
                return Err(errors::no_answer(address));
            }
            answer = self.world.agreed(key)?;
        }
        let answer = answer.as_deref().map(Agreement::read).transpose()?;
        match answer {
            Some(answer) if answer.state == yes && answer.node == node => Ok(()),
            _ => Err(errors::in_use()),
        }
    }

    /// Answers what others ask this host for, as its books were when the call began: first the
    /// books say that an address is another's, and in a later call the other is told.
    /// Says whether such a call is needed.
    pub(super) fn answer(
        &mut self,
        id: &PoolId,
        subnet: &mut Subnet,
        shared: &mut Shared,
        sure: &Sure,
    ) -> Result<bool, Error> {
        let place = place(subnet.number, id.subnet);
        let (generation, mut again) = (shared.generation.clone(), false);
        let mut lent = Vec::new();
        for key in self.world.agreed_keys(&agreed::tell_prefix(&generation))? {
            let Some(offset) = agreed::read_tell(&generation, &key) else { continue };
            let Some(old) = self.world.agreed(&key)? else { continue };
            let agreement = Agreement::read(&old)?;
            let is_own = agreement.node == sure.node;
            let block = shared.block_of(offset);
            match agreement.state {
                State::Given if is_own => {
                    if !shared.has_single(offset) {
                        // Given back, or never heard of.
                        self.world.agree(&key, Some(&old), None)?;
                    }
                }
                State::Asked | State::AskedForAll if is_own => {
                    // Nobody waits for it any more: calls happen one after the other.
                    self.world.agree(&key, Some(&old), None)?;
                }
                State::Common => {
                    shared.add_common(offset);
                    if shared.has_block(block) {
                        self.keep_off(place, offset)?;
                    }
                }
                State::Given => lent.push(offset),
                State::Asked | State::AskedForAll => {
                    if !self.is_ours(shared, sure, block)? {
                        continue;
                    }
                    if shared.lent.contains(&offset) {
                        let state = agreement.state.granted();
                        let new = Agreement { state, ..agreement };
                        if self.world.agree(&key, Some(&old), Some(&new.write()))? {
                            match state {
                                State::Common => shared.add_common(offset),
                                _ => lent.push(offset),
                            }
                        }
                    } else if self.may_lend(id, place, shared, offset)? {
                        self.lend(place, subnet, shared, offset)?;
                        lent.push(offset);
                        again = true;
                    } else {
                        self.world.agree(&key, Some(&old), None)?;
                    }
                }
            }
        }
        self.set_lent(place, shared, lent)?;
        Ok(again)
    }

    /// Keeps those addresses lent; others are this host's again.
    fn set_lent(
        &mut self,
        place: Place,
        shared: &mut Shared,
        lent: Vec<u128>,
    ) -> Result<(), Error> {
        for offset in std::mem::take(&mut shared.lent) {
            if !lent.contains(&offset) && !shared.common.contains(&offset) {
                self.mark(place.number, place.bits, offset, false, false)?;
            }
        }
        for offset in lent {
            if shared.has_block(shared.block_of(offset)) {
                shared.lent.push(offset);
                self.keep_off(place, offset)?;
            }
        }
        Ok(())
    }

    fn may_lend(
        &self,
        id: &PoolId,
        place: Place,
        shared: &Shared,
        offset: u128,
    ) -> Result<bool, Error> {
        let usable = net::usable(id.subnet);
        let in_subnet = (usable.low + 1..=usable.high).contains(&offset);
        let held = Lease::read(&self.store, place.number, offset)?;
        let is_held = held.is_some_and(|lease| lease.turn.is_none());
        Ok(in_subnet && !is_held && !shared.common.contains(&offset))
    }

    /// Takes an address out of what this host gives out; it may still rest.
    fn lend(
        &mut self,
        place: Place,
        subnet: &mut Subnet,
        shared: &mut Shared,
        offset: u128,
    ) -> Result<(), Error> {
        if let Some(lease) = Lease::read(&self.store, place.number, offset)? {
            self.delete_rest(place.number, offset, &lease)?;
            self.set_free(place.number, place.bits, offset)?;
            if let Some(pool) = subnet.numbered(lease.pool) {
                pool.resting = pool.resting.saturating_sub(1);
            }
        }
        shared.lent.push(offset);
        self.keep_off(place, offset)
    }

    /// Gives back all that a node has of a generation's single addresses.
    pub(super) fn give_up_singles(&self, generation: &str, node: &str) -> Result<(), Error> {
        for key in self.world.agreed_keys(&agreed::tell_prefix(generation))? {
            let Some(old) = self.world.agreed(&key)? else { continue };
            let agreement = Agreement::read(&old)?;
            if agreement.node == node && agreement.state != State::Common {
                self.world.agree(&key, Some(&old), None)?;
            }
        }
        Ok(())
    }

    /// Takes single addresses back that dead hosts have of this host's blocks.
    pub(super) fn take_from_dead(
        &mut self,
        place: Place,
        shared: &mut Shared,
        sure: &Sure,
    ) -> Result<bool, Error> {
        let mut left = Vec::new();
        for offset in shared.lent.clone() {
            let key = agreed::tell_key(&shared.generation, offset);
            let old = self.world.agreed(&key)?;
            let is_free = match &old {
                None => true,
                Some(old) => {
                    let node = Agreement::read(old)?.node;
                    node != sure.node
                        && shared.is_dead(self.world.away(&node)?)
                        && self.world.agree(&key, Some(old), None)?
                }
            };
            if !is_free {
                left.push(offset);
            }
        }
        let found = left.len() < shared.lent.len();
        self.set_lent(place, shared, left)?;
        Ok(found)
    }

    /// The pool's gateway: the agreed one, or else its first address, which is agreed on then.
    pub(super) fn gateway(&mut self, id: &PoolId, shared: &mut Shared) -> Result<u128, Error> {
        match shared.gateway {
            Some(gateway) => Ok(gateway),
            None => self.name_gateway(id, shared, net::usable(id.subnet).low),
        }
    }

    /// Makes an address the gateway of hosts that name none, unless there is one; says which.
    pub(super) fn name_gateway(
        &mut self,
        id: &PoolId,
        shared: &mut Shared,
        offset: u128,
    ) -> Result<u128, Error> {
        let key = agreed::pool_key(&shared.name);
        for _ in 0..ATTEMPTS {
            let Some(old) = self.world.agreed(&key)? else { break };
            let facts = Facts::read(&old)?;
            if facts.generation != shared.generation {
                break;
            }
            let gateway = match facts.gateway {
                Some(gateway) => net::offset(id.subnet, gateway).ok_or_else(errors::pool)?,
                None => {
                    let gateway = Some(net::at(id.subnet, offset));
                    let new = Facts { gateway, ..facts }.write();
                    if !self.world.agree(&key, Some(&old), Some(&new))? {
                        continue;
                    }
                    offset
                }
            };
            shared.gateway = Some(gateway);
            return Ok(gateway);
        }
        Err(errors::busy(shared.users_name()))
    }
}
