//! Hosts join a shared pool, and leave it.
//!
//! Every host that joins says so (`member/…`) before it reads the pool's facts, and counts
//! them up. The last one to leave looks for members after it has read the facts, and forgets
//! them only if they are still the same: so a host that joins meanwhile is either seen or makes
//! that fail. A host that comes back after the others may have missed it joins again before
//! all else.

use wasmnet_sdk::{Error, IpFamily, ipnet::IpNet};

use super::{
    Ipam,
    blocks::{ATTEMPTS, Place, place},
};
use crate::{
    agreed::{self, Facts},
    blocks, errors, net,
    options::{Cluster, PoolOptions},
    record::{PoolId, Space, Subnet},
    shared::{Shared, Sure, block_bits},
    store::{Store, World},
};

/// Blocks that one call gets back for what containers have.
const HOLD_MAX: usize = 64;

// === impl Ipam ===

impl<S: Store, W: World> Ipam<S, W> {
    /// The subnet that this host has of a shared pool.
    pub(super) fn shared_here(&self, space: Space, name: &str) -> Result<Option<IpNet>, Error> {
        for of in Space::ALL {
            for subnet in self.subnets_of(of)? {
                let id = PoolId { space: of, subnet, range: None };
                let shared = Subnet::read(&self.store, &id)?.and_then(|subnet| subnet.shared);
                if shared.is_some_and(|shared| shared.name == name) {
                    return match of == space {
                        true => Ok(Some(subnet)),
                        false => Err(errors::other_space(agreed::users_name(name))),
                    };
                }
            }
        }
        Ok(None)
    }

    /// The subnet that the hosts agreed on; without one, the one that is asked for, or a free one.
    pub(super) fn agreed_subnet(
        &mut self,
        space: Space,
        family: IpFamily,
        asked: Option<IpNet>,
        cluster: &Cluster,
        options: &PoolOptions,
    ) -> Result<IpNet, Error> {
        let key = agreed::pool_key(&agreed::name(&cluster.name, family));
        // A subnet of nothing but a length leaves the choice.
        let named = asked.filter(|net| !net.addr().is_unspecified());
        if let Some(facts) = self.world.agreed(&key)? {
            let facts = Facts::read(&facts)?;
            check(&facts, cluster, named)?;
            return Ok(facts.subnet);
        }
        if let Some(named) = named {
            return Ok(named);
        }
        let mut taken = self.taken()?;
        for key in self.world.agreed_keys(agreed::POOLS)? {
            if let Some(facts) = self.world.agreed(&key)? {
                taken.push(Facts::read(&facts)?.subnet);
            }
        }
        let blocks = self.blocks(space, family, options)?;
        blocks::first_free(&blocks, asked.map(|net| net.prefix_len()), &taken)
    }

    /// Joins a pool, which is made if there is none.
    pub(super) fn join(
        &mut self,
        number: u32,
        subnet: IpNet,
        family: IpFamily,
        cluster: &Cluster,
    ) -> Result<Shared, Error> {
        let sure = self.sure()?;
        let name = agreed::name(&cluster.name, family);
        let new = Facts {
            subnet,
            block_bits: block_bits(subnet),
            grace: cluster.grace.unwrap_or(cluster.grace_default),
            generation: self.new_generation(),
            gateway: None,
            joins: 0,
        };
        let facts = self.join_as(&name, &sure, new, |facts| check(facts, cluster, Some(subnet)))?;
        let mut shared = shared_of(name, &facts, sure.term);
        // So that the first addresses need no store any more. If it cannot be had, it is had later.
        let place = place(number, subnet);
        let span = Shared::choice(subnet, None);
        self.reserve(place, &mut shared, &sure, span);
        Ok(shared)
    }

    /// Joins again after a time in which the others may have missed this host.
    pub(super) fn rejoin(
        &mut self,
        id: &PoolId,
        place: Place,
        shared: &mut Shared,
        sure: &Sure,
    ) -> Result<(), Error> {
        if shared.term == sure.term {
            return Ok(());
        }
        let name = shared.name.clone();
        let new = Facts {
            subnet: id.subnet,
            block_bits: shared.block_bits,
            grace: shared.grace,
            generation: self.new_generation(),
            gateway: shared.gateway.map(|gateway| net::at(id.subnet, gateway)),
            joins: 0,
        };
        let facts = self.join_as(&name, sure, new, |facts| {
            let same = facts.subnet == id.subnet;
            let error = || errors::made_anew(agreed::users_name(&name), facts.subnet, id.subnet);
            if same { Ok(()) } else { Err(error()) }
        })?;
        if facts.generation != shared.generation {
            self.world.warn(&format!(
                "shared pool \"{}\" was forgotten while this host was away; it is joined anew",
                shared.users_name()
            ));
            for offset in shared.lent.iter().chain(&shared.common) {
                if crate::record::Lease::read(&self.store, place.number, *offset)?.is_none() {
                    self.mark(place.number, place.bits, *offset, false, false)?;
                }
            }
            *shared = shared_of(name, &facts, sure.term);
        }
        self.meet_singles(place, shared, sure, |_| true)?;
        self.hold_on(id, place, shared, sure)?;
        shared.term = sure.term;
        Ok(())
    }

    fn join_as(
        &self,
        name: &str,
        sure: &Sure,
        new: Facts,
        check: impl Fn(&Facts) -> Result<(), Error>,
    ) -> Result<Facts, Error> {
        self.put_member(name, sure)?;
        let key = agreed::pool_key(name);
        for _ in 0..ATTEMPTS {
            let old = self.world.agreed(&key)?;
            let facts = match &old {
                Some(old) => Facts::read(old)?,
                None => new.clone(),
            };
            if let Err(error) = check(&facts) {
                self.leave(name, &sure.node)?;
                return Err(error);
            }
            let facts = Facts { joins: facts.joins + 1, ..facts };
            if self.world.agree(&key, old.as_deref(), Some(&facts.write()))? {
                return Ok(facts);
            }
        }
        Err(errors::busy(agreed::users_name(name)))
    }

    /// Says that this host is a member, in a way that nobody takes for an earlier one.
    fn put_member(&self, name: &str, sure: &Sure) -> Result<(), Error> {
        let key = agreed::member_key(name, &sure.node);
        // If this call fails, the next one leaves the pool.
        self.world.call_later(0);
        let value = format!("{:x}", sure.term).into_bytes();
        for _ in 0..ATTEMPTS {
            let old = self.world.agreed(&key)?;
            if old.as_deref() == Some(&value)
                || self.world.agree(&key, old.as_deref(), Some(&value))?
            {
                return Ok(());
            }
        }
        Err(errors::busy(agreed::users_name(name)))
    }

    /// Claims free blocks again in which this host's containers have addresses.
    pub(super) fn hold_on(
        &mut self,
        id: &PoolId,
        place: Place,
        shared: &mut Shared,
        sure: &Sure,
    ) -> Result<(), Error> {
        let mut next = Some(0);
        for _ in 0..HOLD_MAX {
            let Some(from) = next else { break };
            let Some(offset) = self.next_of_ours(id, place, shared, from)? else { break };
            let block = shared.block_of(offset);
            next = shared.span(block).high.checked_add(1);
            if shared.has_single(offset) {
                next = offset.checked_add(1);
            } else if !shared.has_block(block) {
                self.claim(place, shared, sure, block)?;
            }
        }
        Ok(())
    }

    /// Leaves a pool; the last one forgets it.
    pub(super) fn leave(&self, name: &str, node: &str) -> Result<(), Error> {
        let key = agreed::pool_key(name);
        if let Some(facts) = self.world.agreed(&key)? {
            self.give_up_singles(&Facts::read(&facts)?.generation, node)?;
        }
        let member = agreed::member_key(name, node);
        if let Some(old) = self.world.agreed(&member)? {
            self.world.agree(&member, Some(&old), None)?;
        }
        for _ in 0..ATTEMPTS {
            let Some(old) = self.world.agreed(&key)? else { return Ok(()) };
            let facts = Facts::read(&old)?;
            if self.has_members(name, &facts)? {
                return Ok(());
            }
            if self.world.agree(&key, Some(&old), None)? {
                return self.forget(&facts.generation);
            }
        }
        Err(errors::busy(agreed::users_name(name)))
    }

    /// Whether somebody has a pool; members that are dead leave it.
    fn has_members(&self, name: &str, facts: &Facts) -> Result<bool, Error> {
        let dead = u64::from(facts.grace) * 1_000_000_000;
        for key in self.world.agreed_keys(&agreed::member_key(name, ""))? {
            let Some((_, node)) = agreed::read_member(&key) else { continue };
            // Before its absence: one that comes back writes another value.
            let Some(old) = self.world.agreed(&key)? else { continue };
            let is_dead = self.world.away(node)?.is_some_and(|away| away >= dead);
            if !is_dead || !self.world.agree(&key, Some(&old), None)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Deletes what there is of a pool that is no more.
    fn forget(&self, generation: &str) -> Result<(), Error> {
        for prefix in [
            agreed::own_prefix(generation),
            agreed::block_prefix(generation),
            agreed::tell_prefix(generation),
        ] {
            for key in self.world.agreed_keys(&prefix)? {
                if let Some(old) = self.world.agreed(&key)? {
                    self.world.agree(&key, Some(&old), None)?;
                }
            }
        }
        Ok(())
    }

    fn new_generation(&self) -> String {
        self.world.random().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Claims a first block without insisting.
    fn reserve(&mut self, place: Place, shared: &mut Shared, sure: &Sure, span: net::Span) {
        if self.claim_any(place, shared, sure, span).is_err() {
            // What may have been claimed is found when a block is needed.
            shared.blocks.clear();
        }
    }
}

fn check(facts: &Facts, cluster: &Cluster, asked: Option<IpNet>) -> Result<(), Error> {
    match (asked, cluster.grace) {
        (Some(asked), _) if asked != facts.subnet => {
            Err(errors::other_subnet(&cluster.name, facts.subnet, asked))
        }
        (_, Some(grace)) if grace != facts.grace => {
            Err(errors::other_grace(&cluster.name, facts.grace, grace))
        }
        _ => Ok(()),
    }
}

fn shared_of(name: String, facts: &Facts, term: u64) -> Shared {
    Shared {
        name,
        generation: facts.generation.clone(),
        block_bits: facts.block_bits,
        grace: facts.grace,
        term,
        gateway: facts.gateway.and_then(|gateway| net::offset(facts.subnet, gateway)),
        blocks: Vec::new(),
        singles: Vec::new(),
        lent: Vec::new(),
        common: Vec::new(),
    }
}
