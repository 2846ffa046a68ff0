//! What the books say: subnets with their pools, and leases.
//!
//! | key | is |
//! |---|---|
//! | `s/SPACE/SUBNET` | a subnet: its number and its pools |
//! | `n/NUMBER` | that the number is taken; what was the subnet's prefix length, once it is gone |
//! | `b/NUMBER/DIGITS` | a node of its tree |
//! | `l/NUMBER/OFFSET` | a lease |
//! | `r/NUMBER/POOL/TURN` | an address that rests: its offset |
//! | `m/NUMBER/MAC` | the address that this MAC address had last, while it rests |
//! | `ula` | the random part of this host's own IPv6 networks |

use std::net::IpAddr;

use wasmnet_sdk::{Error, LeasePurpose, LeaseState, MacAddress, ipnet::IpNet};

use crate::{
    codec::{Reader, Writer, unreadable},
    net,
    shared::Shared,
    store::Store,
};

/// What records begin with.
const VERSION: u8 = 1;
/// The same of a subnet that is shared with other hosts.
const VERSION_SHARED: u8 = 2;

/// The two address spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// Networks of one host.
    Local,
    /// Networks of a cluster.
    Global,
}

/// A pool by its name, `SPACE/SUBNET` or `SPACE/SUBNET/RANGE` as Docker's own IPAM has it: the
/// same pool has the same name also when all books are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolId {
    /// Its address space.
    pub space: Space,
    /// Its subnet.
    pub subnet: IpNet,
    /// The part that addresses are chosen from.
    pub range: Option<IpNet>,
}

/// A subnet, shared by its pools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// Stands for it in keys.
    pub number: u32,
    /// The next pool's number.
    pub next_pool: u32,
    /// What is known of the other hosts that have it.
    pub shared: Option<Shared>,
    /// The pools, of which no two have the same range.
    pub pools: Vec<Pool>,
}

/// A pool that is reserved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Stands for it in leases.
    pub number: u32,
    /// The part that addresses are chosen from.
    pub range: Option<IpNet>,
    /// The engine's session in which it was last asked for.
    pub session: u64,
    /// How long its addresses rest, in seconds.
    pub rest: u32,
    /// The options it was asked for with.
    pub options: String,
    /// The operator's name for where it is from.
    pub name: String,
    /// Addresses that are held.
    pub held: u64,
    /// Addresses that rest.
    pub resting: u64,
    /// The turn of the address that has rested longest, if there is one.
    pub head: u64,
    /// The turn of the next address that is given back.
    pub tail: u64,
    /// The offset after the one that was chosen last.
    pub next: u128,
}

/// An address that is held or rests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The pool it was asked of.
    pub pool: u32,
    /// What it is for.
    pub purpose: LeasePurpose,
    /// Whose it is.
    pub mac: Option<MacAddress>,
    /// What the engine calls the endpoint.
    pub name: String,
    /// The engine's session in which it was last asked for.
    pub session: u64,
    /// Since when it is in this state, in nanoseconds since 1970.
    pub since: u64,
    /// Its turn, if it rests.
    pub turn: Option<u64>,
}

// === impl Space ===

impl Space {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Local, Self::Global];

    /// Its name in Docker.
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "wasm-local",
            Self::Global => "wasm-global",
        }
    }

    /// The space of a name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|space| space.name() == name)
    }

    /// What the keys of its subnets begin with.
    pub fn prefix(self) -> String {
        format!("s/{}/", self.name())
    }
}

// === impl PoolId ===

impl PoolId {
    /// Reads a pool's name.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let space = Space::of(parts.next()?)?;
        let mut net = || -> Option<Option<IpNet>> {
            let Some(address) = parts.next() else { return Some(None) };
            let address: IpAddr = address.parse().ok()?;
            Some(Some(IpNet::new(address, parts.next()?.parse().ok()?).ok()?))
        };
        let (subnet, range) = (net()??, net()?);
        parts.next().is_none().then_some(Self { space, subnet, range })
    }

    /// The key of its subnet.
    pub fn key(&self) -> String {
        format!("{}{}", self.space.prefix(), self.subnet)
    }
}

impl std::fmt::Display for PoolId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.space.name(), self.subnet)?;
        self.range.map_or(Ok(()), |range| write!(f, "/{range}"))
    }
}

// === impl Subnet ===

impl Subnet {
    /// Reads a subnet's record.
    pub fn read(store: &impl Store, id: &PoolId) -> Result<Option<Self>, Error> {
        let key = id.key();
        let Some(bytes) = store.get(&key)? else { return Ok(None) };
        Self::from_bytes(&bytes).map(Some).ok_or_else(|| unreadable(&key))
    }

    /// Writes it.
    pub fn write(&self, store: &mut impl Store, id: &PoolId) -> Result<(), Error> {
        store.set(&id.key(), &self.to_bytes())
    }

    /// The pool of a range.
    pub fn pool(&mut self, range: Option<IpNet>) -> Option<&mut Pool> {
        self.pools.iter_mut().find(|pool| pool.range == range)
    }

    /// The pool of a number; none if it was given back.
    pub fn numbered(&mut self, number: u32) -> Option<&mut Pool> {
        self.pools.iter_mut().find(|pool| pool.number == number)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut to = Writer::default();
        match &self.shared {
            None => drop(to.u8(VERSION)),
            Some(shared) => shared.write(to.u8(VERSION_SHARED)),
        }
        to.u32(self.number).u32(self.next_pool).u32(self.pools.len() as u32);
        for pool in &self.pools {
            to.u32(pool.number);
            match pool.range {
                None => to.u8(0),
                Some(net @ IpNet::V4(_)) => {
                    to.u8(4).u128(net::number(net.network())).u8(net.prefix_len())
                }
                Some(net @ IpNet::V6(_)) => {
                    to.u8(6).u128(net::number(net.network())).u8(net.prefix_len())
                }
            };
            to.u64(pool.session).u32(pool.rest).text(&pool.options).text(&pool.name);
            to.u64(pool.held).u64(pool.resting).u64(pool.head).u64(pool.tail).u128(pool.next);
        }
        to.finish()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader::new(bytes);
        let shared = match from.u8()? {
            VERSION => None,
            VERSION_SHARED => Some(Shared::read(&mut from)?),
            _ => return None,
        };
        let (number, next_pool, count) = (from.u32()?, from.u32()?, from.u32()?);
        let mut pools = Vec::new();
        for _ in 0..count {
            let number = from.u32()?;
            let range = match from.u8()? {
                0 => None,
                4 => {
                    let address = IpAddr::V4(u32::try_from(from.u128()?).ok()?.into());
                    Some(IpNet::new(address, from.u8()?).ok()?)
                }
                _ => {
                    let address = IpAddr::V6(from.u128()?.into());
                    Some(IpNet::new(address, from.u8()?).ok()?)
                }
            };
            pools.push(Pool {
                number,
                range,
                session: from.u64()?,
                rest: from.u32()?,
                options: from.text()?,
                name: from.text()?,
                held: from.u64()?,
                resting: from.u64()?,
                head: from.u64()?,
                tail: from.u64()?,
                next: from.u128()?,
            });
        }
        from.end()?;
        Some(Self { number, next_pool, shared, pools })
    }
}

// === impl Lease ===

impl Lease {
    /// The key of an address's lease.
    pub fn key(number: u32, offset: u128) -> String {
        format!("l/{number}/{offset:x}")
    }

    /// Reads a lease.
    pub fn read(store: &impl Store, number: u32, offset: u128) -> Result<Option<Self>, Error> {
        let key = Self::key(number, offset);
        let Some(bytes) = store.get(&key)? else { return Ok(None) };
        Self::from_bytes(&bytes).map(Some).ok_or_else(|| unreadable(&key))
    }

    /// Writes it.
    pub fn write(&self, store: &mut impl Store, number: u32, offset: u128) -> Result<(), Error> {
        store.set(&Self::key(number, offset), &self.to_bytes())
    }

    /// Held or resting.
    pub fn state(&self) -> LeaseState {
        if self.turn.is_some() { LeaseState::Resting } else { LeaseState::Held }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut to = Writer::default();
        to.u8(VERSION).u32(self.pool).u64(self.session).u64(self.since);
        to.u8(match self.purpose {
            LeasePurpose::Endpoint => 0,
            LeasePurpose::Gateway => 1,
            LeasePurpose::Auxiliary => 2,
        });
        to.u8(self.mac.is_some().into()).bytes(&self.mac.map(<[u8; 6]>::from).unwrap_or_default());
        to.u8(self.turn.is_some().into()).u64(self.turn.unwrap_or_default());
        to.text(&self.name).finish()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader::new(bytes);
        if from.u8()? != VERSION {
            return None;
        }
        let lease = Self {
            pool: from.u32()?,
            session: from.u64()?,
            since: from.u64()?,
            purpose: match from.u8()? {
                0 => LeasePurpose::Endpoint,
                1 => LeasePurpose::Gateway,
                _ => LeasePurpose::Auxiliary,
            },
            mac: {
                let (is_some, mac) = (from.u8()? != 0, from.array::<6>()?);
                is_some.then(|| mac.into())
            },
            turn: {
                let (is_some, turn) = (from.u8()? != 0, from.u64()?);
                is_some.then_some(turn)
            },
            name: from.text()?,
        };
        from.end()?;
        Some(lease)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_written() {
        let pool = |range: Option<&str>| Pool {
            number: 7,
            range: range.map(|range| range.parse().unwrap()),
            session: 1,
            rest: 30,
            options: "pool=blue".to_owned(),
            name: "ü".to_owned(),
            held: 2,
            resting: 3,
            head: 4,
            tail: 5,
            next: u128::MAX,
        };
        let pools = vec![pool(None), pool(Some("10.1.0.0/24")), pool(Some("fd00::/70"))];
        let shared = Shared {
            name: "blue/4".to_owned(),
            generation: "01".to_owned(),
            block_bits: 4,
            grace: 300,
            term: 1,
            gateway: None,
            blocks: Vec::new(),
            singles: Vec::new(),
            lent: vec![7],
            common: Vec::new(),
        };
        for shared in [None, Some(shared)] {
            let subnet = Subnet { number: 1, next_pool: 9, shared, pools: pools.clone() };
            assert_eq!(Subnet::from_bytes(&subnet.to_bytes()), Some(subnet));
        }
        for (mac, turn) in [(None, None), (Some((2, 4, 6, 8, 10, 12)), Some(u64::MAX))] {
            let lease = Lease {
                pool: 7,
                purpose: LeasePurpose::Auxiliary,
                mac,
                name: "web".to_owned(),
                session: 3,
                since: 4,
                turn,
            };
            assert_eq!(Lease::from_bytes(&lease.to_bytes()), Some(lease.clone()));
            assert_eq!(Lease::from_bytes(&lease.to_bytes()[1..]), None);
        }
    }

    #[test]
    fn pools_have_names_like_dockers() {
        for name in ["wasm-local/10.1.0.0/16", "wasm-global/fd00::/48/fd00::/64"] {
            assert_eq!(PoolId::parse(name).unwrap().to_string(), name);
        }
        for name in
            ["", "wasm-local", "else/10.1.0.0/16", "wasm-local/10.1.0.0/16/", "wasm-local/x/1"]
        {
            assert_eq!(PoolId::parse(name), None, "{name}");
        }
    }
}
