//! Addresses come and go.

use std::net::IpAddr;

use wasmnet_sdk::{DriverOption, Error, ipnet::IpNet};

use super::Ipam;
use crate::{
    errors,
    net::{self, Span},
    options::AddressOptions,
    record::{Lease, PoolId, Subnet},
    shared::Shared,
    store::{Store, World},
    tree::{Map, Tree},
};

// === impl Ipam ===

impl<S: Store, W: World> Ipam<S, W> {
    /// Reserves an address: this one, or any. It has the subnet's prefix length.
    pub fn request_address(
        &mut self,
        pool: &str,
        address: Option<IpAddr>,
        options: &[DriverOption],
    ) -> Result<IpNet, Error> {
        let id = PoolId::parse(pool).ok_or_else(errors::no_pool)?;
        let mut subnet = Subnet::read(&self.store, &id)?.ok_or_else(errors::no_pool)?;
        let number = subnet.pool(id.range).ok_or_else(errors::no_pool)?.number;
        let options = AddressOptions::read(options, address.is_some());
        let lease = Lease {
            pool: number,
            purpose: options.purpose,
            mac: options.mac,
            name: options.name.clone(),
            session: self.world.session(),
            since: self.world.now(),
            turn: None,
        };
        let mut shared = subnet.shared.take();
        let offset = match (address, &mut shared) {
            (Some(address), shared) => self.take(&id, &mut subnet, shared, address, &lease)?,
            (None, Some(shared)) => {
                self.choose_shared(&id, &mut subnet, shared, &options, &lease)?
            }
            (None, None) => self.choose(&id, &mut subnet, &options, &lease)?,
        };
        subnet.shared = shared;
        subnet.write(&mut self.store, &id)?;
        let net = IpNet::new(net::at(id.subnet, offset), id.subnet.prefix_len());
        net.map_err(|_| errors::pool())
    }

    /// Gives an address back; one that nobody has is fine.
    pub fn release_address(&mut self, pool: &str, address: IpAddr) -> Result<(), Error> {
        let Some(id) = PoolId::parse(pool) else { return Ok(()) };
        let Some(mut subnet) = Subnet::read(&self.store, &id)? else { return Ok(()) };
        let Some(offset) = net::offset(id.subnet, address) else { return Ok(()) };
        match Lease::read(&self.store, subnet.number, offset)? {
            Some(lease) if lease.turn.is_none() => {
                match subnet.shared.take() {
                    Some(shared) => {
                        self.give_back_shared(&id, &mut subnet, &shared, offset, lease)?;
                        subnet.shared = Some(shared);
                    }
                    None => self.give_back(&id, &mut subnet, offset, lease)?,
                }
                subnet.write(&mut self.store, &id)
            }
            _ => Ok(()),
        }
    }

    /// Takes the address that is asked for. It may be outside the pool's range.
    fn take(
        &mut self,
        id: &PoolId,
        subnet: &mut Subnet,
        shared: &mut Option<Shared>,
        address: IpAddr,
        lease: &Lease,
    ) -> Result<u128, Error> {
        let offset = net::offset(id.subnet, address).ok_or_else(errors::out_of_range)?;
        let Span { low, high } = net::usable(id.subnet);
        if !(low..=high).contains(&offset) {
            return Err(errors::in_use());
        }
        match Lease::read(&self.store, subnet.number, offset)? {
            Some(held) if held.turn.is_none() => {
                // The engine repeats what it asked before it was started anew, or who asks
                // has it already.
                let is_replay = held.session < lease.session;
                let is_owner = held.mac.is_some() && held.mac == lease.mac;
                if !is_replay && !is_owner {
                    return Err(errors::in_use());
                }
                let mac = held.mac.or(lease.mac);
                let held = Lease { session: lease.session, mac, ..held };
                held.write(&mut self.store, subnet.number, offset)?;
            }
            _ => match shared {
                Some(shared) => self.take_shared(id, subnet, shared, offset, lease)?,
                None => self.hold(id, subnet, offset, lease)?,
            },
        }
        Ok(offset)
    }

    /// Chooses an address of the pool's range: the one that this MAC address had last, else
    /// the lowest that is free, else the one that has rested longest.
    fn choose(
        &mut self,
        id: &PoolId,
        subnet: &mut Subnet,
        options: &AddressOptions,
        lease: &Lease,
    ) -> Result<u128, Error> {
        let span = net::choice(id.subnet, id.range);
        let within = |offset: &u128| (span.low..=span.high).contains(offset);
        let before = match options.mac {
            Some(mac) => self.last_of(subnet.number, mac)?.filter(within),
            None => None,
        };
        let offset = match before {
            Some(before) => before,
            None => {
                self.take_back(id, subnet)?;
                let bits = net::host_bits(id.subnet);
                let next = subnet.pool(id.range).map_or(0, |pool| pool.next);
                let next = if options.serial && within(&next) { next } else { span.low };
                let tree = Tree::new(&self.store, subnet.number, bits);
                let mut found = tree.lowest_free(Map::Used, Span { low: next, ..span })?;
                if found.is_none() && next > span.low {
                    found = tree.lowest_free(Map::Used, Span { high: next - 1, ..span })?;
                }
                if found.is_none() {
                    found = self.longest_rested(subnet, id)?.filter(within);
                }
                if found.is_none() {
                    // One that rests for another pool of the subnet, or not yet for long.
                    let tree = Tree::new(&self.store, subnet.number, bits);
                    found = tree.lowest_free(Map::Held, span)?;
                }
                found.ok_or_else(|| errors::no_addresses(id))?
            }
        };
        self.hold(id, subnet, offset, lease)?;
        if let Some(pool) = subnet.pool(id.range) {
            pool.next = offset + 1;
        }
        Ok(offset)
    }
}
