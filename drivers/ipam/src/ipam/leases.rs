//! What one address goes through: free, held, resting, free again.

use wasmnet_sdk::{Error, MacAddress};

use super::Ipam;
use crate::{
    net,
    record::{Lease, Pool, PoolId, Subnet},
    shared::Shared,
    store::{Store, World},
    tree::Tree,
};

const NANOSECONDS: u64 = 1_000_000_000;
/// Turns that one call looks at for addresses that have rested.
const TURNS_MAX: u32 = 16;
/// Addresses that one call takes back: more than one, so that none are left over.
const EXPIRED_MAX: u32 = 4;

// === impl Ipam ===

impl<S: Store, W: World> Ipam<S, W> {
    /// Gives an address to somebody; it is free, or rests.
    pub(super) fn hold(
        &mut self,
        id: &PoolId,
        subnet: &mut Subnet,
        offset: u128,
        lease: &Lease,
    ) -> Result<(), Error> {
        if let Some(old) = Lease::read(&self.store, subnet.number, offset)? {
            self.delete_rest(subnet.number, offset, &old)?;
            if let Some(pool) = subnet.numbered(old.pool) {
                pool.resting = pool.resting.saturating_sub(1);
            }
        }
        if let Some(pool) = subnet.numbered(lease.pool) {
            pool.held += 1;
        }
        self.mark(subnet.number, net::host_bits(id.subnet), offset, true, true)?;
        lease.write(&mut self.store, subnet.number, offset)
    }

    /// Takes an address from who holds it; it rests, or is free at once.
    pub(super) fn give_back(
        &mut self,
        id: &PoolId,
        subnet: &mut Subnet,
        offset: u128,
        mut lease: Lease,
    ) -> Result<(), Error> {
        let (number, bits) = (subnet.number, net::host_bits(id.subnet));
        let Some(pool) = subnet.numbered(lease.pool) else {
            // Nobody waits for addresses of a pool that is gone.
            return self.set_free(number, bits, offset);
        };
        pool.held = pool.held.saturating_sub(1);
        if pool.rest == 0 {
            return self.set_free(number, bits, offset);
        }
        let turn = pool.tail;
        pool.tail += 1;
        pool.resting += 1;
        (lease.turn, lease.since) = (Some(turn), self.world.now());
        self.store.set(&rest_key(number, lease.pool, turn), &offset.to_le_bytes())?;
        if let Some(mac) = lease.mac {
            self.store.set(&mac_key(number, mac), &offset.to_le_bytes())?;
        }
        self.mark(number, bits, offset, true, false)?;
        lease.write(&mut self.store, number, offset)
    }

    /// The same of a pool that is shared with other hosts.
    pub(super) fn give_back_shared(
        &mut self,
        id: &PoolId,
        subnet: &mut Subnet,
        shared: &Shared,
        offset: u128,
        lease: Lease,
    ) -> Result<(), Error> {
        let (number, bits) = (subnet.number, net::host_bits(id.subnet));
        let ours = shared.has_block(shared.block_of(offset));
        let after = u64::from(subnet.numbered(lease.pool).map_or(0, |pool| pool.rest));
        self.world.call_later((after + 1) * NANOSECONDS);
        if shared.common.contains(&offset) || !(ours || shared.has_single(offset)) {
            // Not this host's to give out again.
            if let Some(pool) = subnet.numbered(lease.pool) {
                pool.held = pool.held.saturating_sub(1);
            }
            self.set_free(number, bits, offset)?;
            if ours {
                self.mark(number, bits, offset, true, true)?;
            }
            return Ok(());
        }
        self.give_back(id, subnet, offset, lease)
    }

    /// Takes back some of a pool's addresses that have rested long enough.
    pub(super) fn take_back(&mut self, id: &PoolId, subnet: &mut Subnet) -> Result<(), Error> {
        let (number, bits) = (subnet.number, net::host_bits(id.subnet));
        let Some(pool) = subnet.pool(id.range) else { return Ok(()) };
        let (rest, now) = (u64::from(pool.rest) * NANOSECONDS, self.world.now());
        let mut expired = 0;
        for _ in 0..TURNS_MAX {
            if pool.head == pool.tail || expired == EXPIRED_MAX {
                break;
            }
            if let Some((offset, lease)) = self.resting(number, pool.number, pool.head)? {
                if lease.since.saturating_add(rest) > now {
                    break;
                }
                self.delete_rest(number, offset, &lease)?;
                self.set_free(number, bits, offset)?;
                pool.resting = pool.resting.saturating_sub(1);
                expired += 1;
            }
            // Otherwise somebody has asked for it by name.
            pool.head += 1;
        }
        Ok(())
    }

    /// In how many nanoseconds the address of a pool that has rested longest has rested enough.
    pub(super) fn rest_left(&self, number: u32, pool: &Pool) -> Result<u64, Error> {
        let rest = u64::from(pool.rest) * NANOSECONDS;
        let Some((_, lease)) = self.resting(number, pool.number, pool.head)? else { return Ok(0) };
        // Not longer when the clock was set back.
        Ok(lease.since.saturating_add(rest).saturating_sub(self.world.now()).min(rest))
    }

    /// The address of a pool that has rested longest, if it is soon found.
    pub(super) fn longest_rested(
        &self,
        subnet: &mut Subnet,
        id: &PoolId,
    ) -> Result<Option<u128>, Error> {
        let number = subnet.number;
        let Some(pool) = subnet.pool(id.range) else { return Ok(None) };
        for _ in 0..TURNS_MAX {
            if pool.head == pool.tail {
                break;
            }
            if let Some((offset, _)) = self.resting(number, pool.number, pool.head)? {
                return Ok(Some(offset));
            }
            pool.head += 1;
        }
        Ok(None)
    }

    /// The address that rests and was last of this MAC address.
    pub(super) fn last_of(&self, number: u32, mac: MacAddress) -> Result<Option<u128>, Error> {
        let bytes = self.store.get(&mac_key(number, mac))?;
        Ok(bytes.and_then(|bytes| bytes.try_into().ok()).map(u128::from_le_bytes))
    }

    /// Deletes what stands beside a lease while it rests.
    pub(super) fn delete_rest(
        &mut self,
        number: u32,
        offset: u128,
        lease: &Lease,
    ) -> Result<(), Error> {
        if let Some(turn) = lease.turn {
            self.store.delete(&rest_key(number, lease.pool, turn))?;
        }
        match lease.mac {
            Some(mac) if self.last_of(number, mac)? == Some(offset) => {
                self.store.delete(&mac_key(number, mac))
            }
            _ => Ok(()),
        }
    }

    /// Forgets an address's lease.
    pub(super) fn set_free(&mut self, number: u32, bits: u32, offset: u128) -> Result<(), Error> {
        self.mark(number, bits, offset, false, false)?;
        self.store.delete(&Lease::key(number, offset))
    }

    fn resting(&self, number: u32, pool: u32, turn: u64) -> Result<Option<(u128, Lease)>, Error> {
        let bytes = self.store.get(&rest_key(number, pool, turn))?;
        let offset = bytes.and_then(|bytes| bytes.try_into().ok()).map(u128::from_le_bytes);
        let Some(offset) = offset else { return Ok(None) };
        let lease = Lease::read(&self.store, number, offset)?;
        Ok(lease.map(|lease| (offset, lease)))
    }

    /// Notes whether an address is used, and held.
    pub(super) fn mark(
        &mut self,
        number: u32,
        bits: u32,
        offset: u128,
        used: bool,
        held: bool,
    ) -> Result<(), Error> {
        for (key, value) in Tree::new(&self.store, number, bits).changes(offset, used, held)? {
            match value {
                Some(value) => self.store.set(&key, &value)?,
                None => self.store.delete(&key)?,
            }
        }
        Ok(())
    }
}

fn rest_key(number: u32, pool: u32, turn: u64) -> String {
    format!("r/{number}/{pool}/{turn:x}")
}

fn mac_key(number: u32, mac: MacAddress) -> String {
    let [a, b, c, d, e, f] = <[u8; 6]>::from(mac);
    format!("m/{number}/{a:02x}{b:02x}{c:02x}{d:02x}{e:02x}{f:02x}")
}
