//! What this host has of a pool that several hosts share.
//!
//! A block is this host's as long as it is sure that nobody took it for dead ([`Sure`]): then
//! it gives out its addresses without asking anybody.

use wasmnet_sdk::{Error, ipnet::IpNet};

use crate::{
    agreed,
    codec::{Reader, Writer},
    net::{self, Span},
};

/// Blocks have at most so many bits: a host that dies takes no more along.
const BLOCK_BITS_MAX: u32 = 16;
/// With this much of an age (in nanoseconds) a store can be expected to answer.
const FRESH: u64 = 6_000_000_000;
const NANOSECONDS: u64 = 1_000_000_000;

/// This host's part of a shared subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// The pool's name among agreed values.
    pub name: String,
    /// What tells it apart from a pool that had its name before.
    pub generation: String,
    /// How many bits tell the addresses of a block apart.
    pub block_bits: u8,
    /// How long a host is away until its blocks are others', in seconds.
    pub grace: u32,
    /// The term in which this host last joined.
    pub term: u64,
    /// The agreed gateway.
    pub gateway: Option<u128>,
    /// The blocks this host gives addresses out of, by number.
    pub blocks: Vec<Mine>,
    /// Addresses of others' blocks that this host has.
    pub singles: Vec<Mine>,
    /// Addresses of this host's blocks that others have.
    pub lent: Vec<u128>,
    /// Gateways and auxiliary addresses of all hosts, as far as this one has met them.
    pub common: Vec<u128>,
}

/// A block, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mine {
    /// The block's number, or the address's offset.
    pub at: u128,
    /// The term in which this host last made sure that it has it.
    pub term: u64,
}

/// What this host can be sure of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sure {
    /// This host's id.
    pub node: String,
    /// Its term: what it made sure of in this term is still its own.
    pub term: u64,
    /// How long it may have been missed, in nanoseconds.
    pub age: u64,
}

/// How many bits the blocks of a subnet have: as many blocks as addresses in each, but for
/// tiny subnets more blocks, and for huge ones not too much in one.
pub fn block_bits(subnet: IpNet) -> u8 {
    (net::host_bits(subnet) / 2).min(BLOCK_BITS_MAX) as u8
}

// === impl Shared ===

impl Shared {
    /// The block of an address.
    pub fn block_of(&self, offset: u128) -> u128 {
        offset >> self.block_bits
    }

    /// The addresses of a block.
    pub fn span(&self, block: u128) -> Span {
        let low = block << self.block_bits;
        Span { low, high: low | ((1 << self.block_bits) - 1) }
    }

    /// The block as a net.
    pub fn net(&self, subnet: IpNet, block: u128) -> Option<IpNet> {
        let length = subnet.max_prefix_len() - self.block_bits;
        IpNet::new(net::at(subnet, self.span(block).low), length).ok()
    }

    /// How many blocks a subnet has.
    pub fn blocks_in(&self, subnet: IpNet) -> u64 {
        let bits = net::host_bits(subnet) - u32::from(self.block_bits);
        1_u64.checked_shl(bits).unwrap_or(u64::MAX)
    }

    /// Whether a block is in the books.
    pub fn has_block(&self, block: u128) -> bool {
        self.blocks.iter().any(|mine| mine.at == block)
    }

    /// Whether a single address is in the books.
    pub fn has_single(&self, offset: u128) -> bool {
        self.singles.iter().any(|mine| mine.at == offset)
    }

    /// Notes a block.
    pub fn add_block(&mut self, at: u128, term: u64) {
        self.blocks.retain(|mine| mine.at != at);
        self.blocks.push(Mine { at, term });
        self.blocks.sort_unstable();
    }

    /// Notes a single address.
    pub fn add_single(&mut self, at: u128, term: u64) {
        self.singles.retain(|mine| mine.at != at);
        self.singles.push(Mine { at, term });
    }

    /// Notes an address of all hosts.
    pub fn add_common(&mut self, offset: u128) {
        if !self.common.contains(&offset) {
            self.common.push(offset);
        }
    }

    /// The part of a subnet that endpoints' addresses are chosen from: its first address is
    /// kept for the gateway.
    pub fn choice(subnet: IpNet, range: Option<IpNet>) -> Span {
        let span = net::choice(subnet, range);
        Span { low: span.low.max(net::usable(subnet).low + 1), ..span }
    }

    /// As the user calls it.
    pub fn users_name(&self) -> &str {
        agreed::users_name(&self.name)
    }

    /// Whether a host that is away for so long (in nanoseconds) is taken for dead.
    pub fn is_dead(&self, away: Option<u64>) -> bool {
        away.is_some_and(|away| away >= u64::from(self.grace) * NANOSECONDS)
    }

    /// Writes it into a record.
    pub fn write(&self, to: &mut Writer) {
        to.text(&self.name).text(&self.generation).u8(self.block_bits).u32(self.grace);
        to.u64(self.term).u8(self.gateway.is_some().into()).u128(self.gateway.unwrap_or_default());
        for mine in [&self.blocks, &self.singles] {
            to.u32(mine.len() as u32);
            for mine in mine {
                to.u128(mine.at).u64(mine.term);
            }
        }
        for offsets in [&self.lent, &self.common] {
            to.u32(offsets.len() as u32);
            for offset in offsets {
                to.u128(*offset);
            }
        }
    }

    /// And reads it.
    pub fn read(from: &mut Reader<'_>) -> Option<Self> {
        let (name, generation, block_bits) = (from.text()?, from.text()?, from.u8()?);
        let (grace, term) = (from.u32()?, from.u64()?);
        let (is_some, gateway) = (from.u8()? != 0, from.u128()?);
        let mine = |from: &mut Reader<'_>| -> Option<Vec<Mine>> {
            let count = from.u32()?;
            (0..count).map(|_| Some(Mine { at: from.u128()?, term: from.u64()? })).collect()
        };
        let (blocks, singles) = (mine(from)?, mine(from)?);
        let offsets = |from: &mut Reader<'_>| -> Option<Vec<u128>> {
            let count = from.u32()?;
            (0..count).map(|_| from.u128()).collect()
        };
        let (lent, common) = (offsets(from)?, offsets(from)?);
        let gateway = is_some.then_some(gateway);
        Some(Self {
            name,
            generation,
            block_bits,
            grace,
            term,
            gateway,
            blocks,
            singles,
            lent,
            common,
        })
    }
}

// === impl Sure ===

impl Sure {
    /// Fails if others may have taken this host for dead already, or may soon.
    pub fn check(&self, shared: &Shared) -> Result<(), Error> {
        // Others begin to count when they miss this host, which is later than it could last
        // be sure; and clocks differ by less than this.
        if self.age < u64::from(shared.grace) * NANOSECONDS / 8 * 7 {
            return Ok(());
        }
        let (name, seconds) = (shared.users_name(), self.age / NANOSECONDS);
        Err(Error::unavailable(format!(
            "shared pool \"{name}\": the cluster store could not be reached for {seconds} seconds, so \
             that other hosts may have taken over this host's addresses; new ones wait for it"
        )))
    }

    /// Whether the store was there a moment ago.
    pub fn is_fresh(&self) -> bool {
        self.age < FRESH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(subnet: IpNet) -> Shared {
        Shared {
            name: "blue/4".to_owned(),
            generation: "0102".to_owned(),
            block_bits: block_bits(subnet),
            grace: 300,
            term: 1,
            gateway: Some(1),
            blocks: vec![Mine { at: 3, term: 1 }],
            singles: vec![Mine { at: 7, term: 2 }],
            lent: vec![50],
            common: vec![1, 2],
        }
    }

    #[test]
    fn blocks_are_cut_by_the_subnets_size() {
        for (subnet, second, count) in [
            ("10.1.0.0/16", "10.1.1.0/24", 256),
            ("10.1.0.0/24", "10.1.0.16/28", 16),
            ("10.1.0.0/28", "10.1.0.4/30", 4),
            ("10.1.0.0/29", "10.1.0.2/31", 4),
            ("10.1.0.0/30", "10.1.0.2/31", 2),
            ("10.0.0.0/8", "10.0.16.0/20", 4096),
            ("fd00::/64", "fd00::1:0/112", 1 << 48),
            ("fd00::/48", "fd00::1:0/112", u64::MAX),
            ("fd00::/120", "fd00::10/124", 16),
        ] {
            let subnet: IpNet = subnet.parse().unwrap();
            let shared = shared(subnet);
            assert_eq!(shared.net(subnet, 1).unwrap().to_string(), second);
            assert_eq!(shared.blocks_in(subnet), count, "{subnet}");
        }
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let shared = shared("10.1.0.0/24".parse().unwrap());
        let mut to = Writer::default();
        shared.write(&mut to);
        let bytes = to.finish();
        assert_eq!(Shared::read(&mut Reader::new(&bytes)), Some(shared));
        assert_eq!(Shared::read(&mut Reader::new(&bytes[1..])), None);
    }

    #[test]
    fn a_host_stops_before_others_may_begin() {
        let shared = shared("10.1.0.0/24".parse().unwrap());
        let sure =
            |seconds: u64| Sure { node: "n".to_owned(), term: 1, age: seconds * NANOSECONDS };
        assert!(sure(262).check(&shared).is_ok());
        assert!(sure(263).check(&shared).is_err());
        assert!(
            !shared.is_dead(Some(299 * NANOSECONDS)) && shared.is_dead(Some(300 * NANOSECONDS))
        );
        assert!(!shared.is_dead(None));
    }
}
