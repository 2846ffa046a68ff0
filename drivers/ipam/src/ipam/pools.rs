//! Pools come and go.

use wasmnet_sdk::{Error, IpFamily, IpamPool, PoolRequest, ipnet::IpNet};

use super::Ipam;
use crate::{
    agreed, blocks, codec, errors,
    net::{self, net_in},
    options::PoolOptions,
    record::{Lease, Pool, PoolId, Space, Subnet},
    store::{Store, World},
    tree::Tree,
};

/// Addresses of subnets that are gone that one call forgets.
const FORGET_MAX: u32 = 500;
/// The keys of numbers.
const NUMBERS: &str = "n/";

// === impl Ipam ===

impl<S: Store, W: World> Ipam<S, W> {
    /// Reserves a pool.
    pub fn request_pool(&mut self, request: &PoolRequest) -> Result<IpamPool, Error> {
        self.forget_subnets()?;
        let space = Space::of(&request.address_space).ok_or_else(errors::address_space)?;
        let options = PoolOptions::read(&request.options, &self.world)?;
        let asked = request.subnet.map(net_in).transpose()?;
        let range = request.sub_pool.map(net_in).transpose()?;
        if asked.is_some_and(|net| net.prefix_len() == 0 || !blocks::is_of(net, request.family)) {
            return Err(errors::pool());
        }
        let subnet = match asked.filter(|net| !net.addr().is_unspecified()) {
            _ if options.cluster.is_some() => {
                return self.request_shared(request, space, asked, range, options);
            }
            Some(subnet) => subnet,
            // A subnet of nothing but a length leaves the choice, too.
            None if range.is_some() => return Err(errors::sub_pool()),
            None => {
                let length = asked.map(|net| net.prefix_len());
                let taken = self.taken()?;
                let blocks = self.blocks(space, request.family, &options)?;
                blocks::first_free(&blocks, length, &taken)?
            }
        };
        if range.is_some_and(|range| !subnet.contains(&range)) {
            return Err(errors::sub_pool());
        }
        let id = PoolId { space, subnet, range };
        match Subnet::read(&self.store, &id)? {
            Some(known) if known.shared.is_some() => return Err(errors::overlap()),
            Some(known) => self.share(id, known, options)?,
            None => {
                self.check_block(&id, request.family, &options)?;
                self.check_overlap(&id)?;
                let number = self.take_number()?;
                let record = Subnet { number, next_pool: 0, shared: None, pools: Vec::new() };
                self.add(id, record, options)?;
            }
        }
        Ok(IpamPool { id: id.to_string(), subnet: subnet.into(), gateway: None })
    }

    /// Reserves a pool that other hosts have or may have, too.
    fn request_shared(
        &mut self,
        request: &PoolRequest,
        space: Space,
        asked: Option<IpNet>,
        range: Option<IpNet>,
        options: PoolOptions,
    ) -> Result<IpamPool, Error> {
        let Some(cluster) = options.cluster.clone() else { return Err(errors::pool()) };
        let family = request.family;
        let named = asked.filter(|net| !net.addr().is_unspecified());
        let here = self.shared_here(space, &agreed::name(&cluster.name, family))?;
        let subnet = match (here, named) {
            (Some(here), Some(named)) if here != named => {
                return Err(errors::other_subnet(&cluster.name, here, named));
            }
            (Some(here), _) => here,
            (None, _) => self.agreed_subnet(space, family, asked, &cluster, &options)?,
        };
        if range.is_some_and(|range| !subnet.contains(&range)) {
            return Err(errors::sub_pool());
        }
        let id = PoolId { space, subnet, range };
        match Subnet::read(&self.store, &id)? {
            Some(known) if here.is_some() => self.share(id, known, options)?,
            _ => {
                self.check_block(&id, family, &options)?;
                self.check_overlap(&id)?;
                let number = self.take_number()?;
                let shared = Some(self.join(number, subnet, family, &cluster)?);
                self.add(id, Subnet { number, next_pool: 0, shared, pools: Vec::new() }, options)?;
            }
        }
        Ok(IpamPool { id: id.to_string(), subnet: subnet.into(), gateway: None })
    }

    fn check_overlap(&self, id: &PoolId) -> Result<(), Error> {
        let mut others = self.subnets_of(id.space)?.into_iter();
        match others.any(|other| net::overlap(other, id.subnet)) {
            true => Err(errors::overlap()),
            false => Ok(()),
        }
    }

    /// Gives a pool back; one that nobody has is fine. A subnet goes with its last pool, and
    /// with it what leases there still are.
    pub fn release_pool(&mut self, pool: &str) -> Result<(), Error> {
        if let Some(id) = PoolId::parse(pool)
            && let Some(mut subnet) = Subnet::read(&self.store, &id)?
        {
            subnet.pools.retain(|pool| pool.range != id.range);
            if subnet.pools.is_empty() {
                self.store.delete(&id.key())?;
                let bits = net::host_bits(id.subnet) as u8;
                self.store.set(&number_key(subnet.number), &[bits])?;
                if subnet.shared.is_some() {
                    // When the books say so, this host leaves the others.
                    self.world.call_later(0);
                }
            } else {
                subnet.write(&mut self.store, &id)?;
            }
        }
        self.forget_subnets()
    }

    /// The subnets of an address space.
    pub(super) fn subnets_of(&self, space: Space) -> Result<Vec<IpNet>, Error> {
        let prefix = space.prefix();
        let keys = self.store.keys(&prefix)?;
        let subnet = |key: &String| {
            let net = key.strip_prefix(&prefix).and_then(|net| net.parse().ok());
            net.ok_or_else(|| codec::unreadable(key))
        };
        keys.iter().map(subnet).collect()
    }

    /// One more pool of a subnet that is known, or the one that is asked for again.
    fn share(&mut self, id: PoolId, mut subnet: Subnet, options: PoolOptions) -> Result<(), Error> {
        let session = self.world.session();
        if let Some(pool) = subnet.pool(id.range) {
            // The engine was started anew and repeats what it had asked for before.
            let is_replay = pool.session < session && pool.options == options.text;
            if !is_replay {
                return Err(errors::overlap());
            }
            pool.session = session;
            return subnet.write(&mut self.store, &id);
        }
        if id.range.is_none() {
            return Err(errors::overlap());
        }
        self.add(id, subnet, options)
    }

    fn add(&mut self, id: PoolId, mut subnet: Subnet, options: PoolOptions) -> Result<(), Error> {
        let number = subnet.next_pool;
        subnet.next_pool += 1;
        subnet.pools.push(Pool {
            number,
            range: id.range,
            session: self.world.session(),
            rest: options.rest,
            options: options.text,
            name: options.name.unwrap_or_default(),
            held: 0,
            resting: 0,
            head: 0,
            tail: 0,
            next: 0,
        });
        subnet.write(&mut self.store, &id)
    }

    /// Where an automatic pool may be from.
    pub(super) fn blocks(
        &mut self,
        space: Space,
        family: IpFamily,
        options: &PoolOptions,
    ) -> Result<Vec<blocks::Block>, Error> {
        match &options.name {
            Some(name) => {
                let mut blocks = blocks::named(&self.world, name)?;
                blocks.retain(|block| blocks::is_of(block.net, family));
                Ok(blocks)
            }
            None => blocks::defaults(&mut self.store, &self.world, space, family),
        }
    }

    /// A subnet that is asked for by number and by name must be of that name.
    fn check_block(
        &mut self,
        id: &PoolId,
        family: IpFamily,
        options: &PoolOptions,
    ) -> Result<(), Error> {
        let Some(name) = &options.name else { return Ok(()) };
        let blocks = self.blocks(id.space, family, options)?;
        if blocks.iter().any(|block| block.net.contains(&id.subnet)) {
            return Ok(());
        }
        let subnet = id.subnet;
        Err(Error::invalid(format!("option pool: {subnet} is not within pool \"{name}\"")))
    }

    /// What an automatic pool must keep off.
    pub(super) fn taken(&self) -> Result<Vec<IpNet>, Error> {
        let mut taken = self.world.networks()?;
        for space in Space::ALL {
            taken.extend(self.subnets_of(space)?);
        }
        Ok(taken)
    }

    /// The lowest number that no subnet has.
    fn take_number(&mut self) -> Result<u32, Error> {
        let keys = self.store.keys(NUMBERS)?;
        let number = |key: &String| key.strip_prefix(NUMBERS)?.parse::<u32>().ok();
        let mut taken: Vec<u32> = keys.iter().filter_map(number).collect();
        taken.sort_unstable();
        let gap = taken.iter().zip(0..).find(|(taken, expected)| **taken != *expected);
        let number = gap.map_or(taken.len() as u32, |(_, expected)| expected);
        self.store.set(&number_key(number), &[])?;
        Ok(number)
    }

    /// Forgets some of what was in subnets that are gone.
    fn forget_subnets(&mut self) -> Result<(), Error> {
        let mut left = FORGET_MAX;
        for key in self.store.keys(NUMBERS)? {
            let bits = match self.store.get(&key)?.as_deref() {
                Some([bits]) => u32::from(*bits),
                _ => continue,
            };
            let number = key.strip_prefix(NUMBERS).and_then(|number| number.parse().ok());
            let number: u32 = number.ok_or_else(|| codec::unreadable(&key))?;
            loop {
                let tree = Tree::new(&self.store, number, bits);
                let Some(offset) = tree.next_used(0)? else {
                    self.store.delete(&key)?;
                    break;
                };
                if left == 0 {
                    return Ok(());
                }
                left -= 1;
                if let Some(lease) = Lease::read(&self.store, number, offset)? {
                    self.delete_rest(number, offset, &lease)?;
                }
                self.set_free(number, bits, offset)?;
            }
        }
        Ok(())
    }
}

fn number_key(number: u32) -> String {
    format!("{NUMBERS}{number}")
}
