//! What operators are told.

use std::net::IpAddr;

use wasmnet_sdk::{Error, PoolReport, SharedPool, ipnet::IpNet};

use super::{Ipam, blocks::meet};
use crate::{
    errors,
    net::{self, Span},
    record::{Lease, PoolId, Space, Subnet},
    shared::{Shared, Sure},
    store::{Store, World},
    tree::Tree,
};

/// Leases in one answer.
const LEASES_MAX: usize = 1000;

fn free_in<S: Store>(tree: &Tree<'_, S>, span: Span) -> Result<u128, Error> {
    let used = tree.count_used(span)?;
    let all = (span.high + 1).saturating_sub(span.low);
    Ok(all.saturating_sub(used))
}

// === impl Ipam ===

impl<S: Store, W: World> Ipam<S, W> {
    /// The pools that are reserved.
    pub fn pools(&self) -> Result<Vec<PoolReport>, Error> {
        let mut reports = Vec::new();
        for space in Space::ALL {
            for subnet in self.subnets_of(space)? {
                self.report(space, subnet, &mut reports)?;
            }
        }
        Ok(reports)
    }

    /// Up to 1,000 of a pool's leases, in the order of addresses. What is held of a pool
    /// that is gone from a shared subnet is told with the subnet's first pool.
    pub fn leases(
        &self,
        pool: &str,
        after: Option<IpAddr>,
    ) -> Result<Vec<wasmnet_sdk::Lease>, Error> {
        let id = PoolId::parse(pool).ok_or_else(errors::no_pool)?;
        let mut subnet = Subnet::read(&self.store, &id)?.ok_or_else(errors::no_pool)?;
        let pool = subnet.pool(id.range).ok_or_else(errors::no_pool)?.number;
        let known: Vec<u32> = subnet.pools.iter().map(|pool| pool.number).collect();
        let is_of = |lease: &Lease| match known.contains(&lease.pool) {
            true => lease.pool == pool,
            false => lease.turn.is_none() && known.first() == Some(&pool),
        };
        let tree = Tree::new(&self.store, subnet.number, net::host_bits(id.subnet));
        let mut next = after.and_then(|after| net::offset(id.subnet, after)?.checked_add(1));
        if after.is_none() {
            next = Some(0);
        }
        let mut leases = Vec::new();
        while leases.len() < LEASES_MAX
            && let Some(from) = next
            && let Some(offset) = tree.next_used(from)?
        {
            if let Some(lease) = Lease::read(&self.store, subnet.number, offset)?
                && is_of(&lease)
            {
                leases.push(wasmnet_sdk::Lease {
                    address: net::at(id.subnet, offset).into(),
                    state: lease.state(),
                    purpose: lease.purpose,
                    mac: lease.mac,
                    name: lease.name,
                    since: lease.since,
                });
            }
            next = offset.checked_add(1);
        }
        Ok(leases)
    }

    fn report(&self, space: Space, net: IpNet, reports: &mut Vec<PoolReport>) -> Result<(), Error> {
        let of = PoolId { space, subnet: net, range: None };
        let Some(mut subnet) = Subnet::read(&self.store, &of)? else { return Ok(()) };
        let shared = subnet.shared.take();
        let report = shared.as_ref().map(|shared| self.shared_report(net, shared));
        let tree = Tree::new(&self.store, subnet.number, net::host_bits(net));
        for pool in subnet.pools {
            let free = match &shared {
                Some(shared) => {
                    let choice = Shared::choice(net, pool.range);
                    let blocks = shared.blocks.iter();
                    let spans = blocks.filter_map(|mine| meet(shared.span(mine.at), choice));
                    spans.map(|span| free_in(&tree, span)).sum::<Result<u128, Error>>()?
                }
                None => free_in(&tree, net::choice(net, pool.range))?,
            };
            reports.push(PoolReport {
                id: PoolId { range: pool.range, ..of }.to_string(),
                address_space: space.name().to_owned(),
                subnet: net.into(),
                range: pool.range.map(Into::into),
                name: Some(pool.name).filter(|name| !name.is_empty()),
                held: pool.held,
                resting: pool.resting,
                free: u64::try_from(free).unwrap_or(u64::MAX),
                shared: report.clone(),
            });
        }
        Ok(())
    }

    fn shared_report(&self, net: IpNet, shared: &Shared) -> SharedPool {
        // Not if that takes long.
        let sure = self.sure().ok().filter(Sure::is_fresh);
        let others = sure.and_then(|sure| Some(self.listing(shared).ok()?.of_others(&sure.node)));
        let blocks = shared.blocks.iter().filter_map(|mine| shared.net(net, mine.at));
        SharedPool {
            name: shared.users_name().to_owned(),
            blocks: blocks.map(Into::into).collect(),
            others,
            all: shared.blocks_in(net),
        }
    }
}
