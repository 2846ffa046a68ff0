//! What the hosts that share a pool agree on, and how it stands among the cluster's agreed
//! values:
//!
//! | key | is |
//! |---|---|
//! | `pool/NAME` | the pool's [`Facts`] |
//! | `member/NAME/NODE` | that a node has the pool: its term |
//! | `own/GENERATION/NODE/BLOCK` | that a node has a block or is about to claim it |
//! | `block/GENERATION/BLOCK` | whose a block is: a [`Claim`] |
//! | `tell/GENERATION/OFFSET` | whose a single address is: an [`Agreement`] |
//!
//! NAME is the user's with the family behind it, `blue/4`. Values are lines of KEY=VALUE, so
//! that later versions can say more.

use std::net::IpAddr;

use wasmnet_sdk::{Error, IpFamily, ipnet::IpNet};

/// What a pool is, on all hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its subnet.
    pub subnet: IpNet,
    /// How many bits tell the addresses of a block apart.
    pub block_bits: u8,
    /// How long a host is away until its blocks are others', in seconds.
    pub grace: u32,
    /// What tells it apart from a pool that had its name before.
    pub generation: String,
    /// The gateway of who names none.
    pub gateway: Option<IpAddr>,
    /// Counted up by everybody who joins, so that nobody forgets it meanwhile.
    pub joins: u64,
}

/// Whose a block is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The node.
    pub node: String,
    /// The node's term in which it last made sure of it.
    pub term: u64,
}

/// What was agreed about a single address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// How far it is.
    pub state: State,
    /// Who asked.
    pub node: String,
    /// The node's term in which it last made sure of it.
    pub term: u64,
}

/// How far an agreement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The host that has the block is asked to let the node have it.
    Asked,
    /// It is asked to leave it to all hosts.
    AskedForAll,
    /// The node has it.
    Given,
    /// It is all hosts': a gateway or an auxiliary address.
    Common,
}

/// The name of a pool among agreed values.
pub fn name(user: &str, family: IpFamily) -> String {
    let family = if family == IpFamily::Ipv4 { 4 } else { 6 };
    format!("{user}/{family}")
}

/// The name as the user knows it.
pub fn users_name(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(user, _)| user)
}

/// The key of a pool.
pub fn pool_key(name: &str) -> String {
    format!("pool/{name}")
}

/// What all pools' keys begin with.
pub const POOLS: &str = "pool/";
/// What the keys of all members begin with.
pub const MEMBERS: &str = "member/";
/// What the keys of what all nodes have begin with.
pub const OWN: &str = "own/";

/// The key of a member; of no node: what all begin with.
pub fn member_key(name: &str, node: &str) -> String {
    format!("{MEMBERS}{name}/{node}")
}

/// The pool and the node of a member's key.
pub fn read_member(key: &str) -> Option<(&str, &str)> {
    key.strip_prefix(MEMBERS)?.rsplit_once('/')
}

/// What the keys of a generation's owners begin with.
pub fn own_prefix(generation: &str) -> String {
    format!("{OWN}{generation}/")
}

/// The key of what a node has.
pub fn own_key(generation: &str, node: &str, block: u128) -> String {
    format!("{OWN}{generation}/{node}/{block:x}")
}

/// The generation, the node and the block of such a key.
pub fn read_own(key: &str) -> Option<(&str, &str, u128)> {
    let mut parts = key.strip_prefix(OWN)?.split('/');
    let (generation, node) = (parts.next()?, parts.next()?);
    Some((generation, node, u128::from_str_radix(parts.next()?, 16).ok()?))
}

/// What the keys of a generation's blocks begin with.
pub fn block_prefix(generation: &str) -> String {
    format!("block/{generation}/")
}

/// The key of a block.
pub fn block_key(generation: &str, block: u128) -> String {
    format!("block/{generation}/{block:x}")
}

/// What the keys of a generation's single addresses begin with.
pub fn tell_prefix(generation: &str) -> String {
    format!("tell/{generation}/")
}

/// The key of a single address.
pub fn tell_key(generation: &str, offset: u128) -> String {
    format!("tell/{generation}/{offset:x}")
}

/// The address of such a key.
pub fn read_tell(generation: &str, key: &str) -> Option<u128> {
    u128::from_str_radix(key.strip_prefix(&tell_prefix(generation))?, 16).ok()
}

/// The value of a line.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
}

fn odd() -> Error {
    Error::unavailable("what the cluster store has of this pool cannot be understood")
}

// === impl Facts ===

impl Facts {
    /// As they are agreed.
    pub fn write(&self) -> Vec<u8> {
        let Self { subnet, block_bits, grace, generation, gateway, joins } = self;
        let gateway = gateway.map_or_else(String::new, |gateway| format!("gateway={gateway}\n"));
        format!(
            "subnet={subnet}\nblock-bits={block_bits}\ngrace={grace}\n\
             generation={generation}\n{gateway}joins={joins}\n"
        )
        .into_bytes()
    }

    /// And back.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let text = String::from_utf8_lossy(bytes);
        let read = || {
            Some(Self {
                subnet: value(&text, "subnet")?.parse().ok()?,
                block_bits: value(&text, "block-bits")?.parse().ok()?,
                grace: value(&text, "grace")?.parse().ok()?,
                generation: value(&text, "generation")?.to_owned(),
                gateway: match value(&text, "gateway") {
                    Some(gateway) => Some(gateway.parse().ok()?),
                    None => None,
                },
                joins: value(&text, "joins")?.parse().ok()?,
            })
        };
        let sound = |facts: &Self| {
            let bits = facts.subnet.max_prefix_len() - facts.subnet.prefix_len();
            facts.block_bits <= bits && facts.subnet == facts.subnet.trunc()
        };
        read().filter(sound).ok_or_else(odd)
    }
}

// === impl Claim ===

impl Claim {
    /// As it is agreed.
    pub fn write(&self) -> Vec<u8> {
        let Self { node, term } = self;
        format!("node={node}\nterm={term:x}\n").into_bytes()
    }

    /// And back.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let text = String::from_utf8_lossy(bytes);
        let read = || {
            let node = value(&text, "node")?.to_owned();
            Some(Self { node, term: u64::from_str_radix(value(&text, "term")?, 16).ok()? })
        };
        read().ok_or_else(odd)
    }
}

// === impl Agreement ===

impl Agreement {
    /// As it is agreed.
    pub fn write(&self) -> Vec<u8> {
        let Self { state, node, term } = self;
        let state = state.word();
        format!("state={state}\nnode={node}\nterm={term:x}\n").into_bytes()
    }

    /// And back.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let text = String::from_utf8_lossy(bytes);
        let state = value(&text, "state").and_then(State::of).ok_or_else(odd)?;
        let Claim { node, term } = Claim::read(bytes)?;
        Ok(Self { state, node, term })
    }
}

// === impl State ===

impl State {
    const ALL: [Self; 4] = [Self::Asked, Self::AskedForAll, Self::Given, Self::Common];

    fn word(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::AskedForAll => "asked-for-all",
            Self::Given => "given",
            Self::Common => "common",
        }
    }

    fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// What a question becomes when the answer is yes.
    pub fn granted(self) -> Self {
        match self {
            Self::Asked => Self::Given,
            Self::AskedForAll => Self::Common,
            state => state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_whatever_later_versions_add() {
        for (subnet, gateway) in [("10.1.0.0/16", None), ("fd00::/64", Some("fd00::1"))] {
            let facts = Facts {
                subnet: subnet.parse().unwrap(),
                block_bits: 8,
                grace: 300,
                generation: "0102".to_owned(),
                gateway: gateway.map(|gateway| gateway.parse().unwrap()),
                joins: 7,
            };
            let more = [b"color=blue\n".as_slice(), &facts.write()].concat();
            assert_eq!(Facts::read(&more).unwrap(), facts);
        }
        for state in State::ALL {
            let agreement = Agreement { state, node: "n".to_owned(), term: u64::MAX };
            assert_eq!(Agreement::read(&agreement.write()).unwrap(), agreement);
        }
        let claim = Claim { node: "n".to_owned(), term: 9 };
        assert_eq!(Claim::read(&claim.write()).unwrap(), claim);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "subnet=10.0.0.0/16\n", "node=\n", "node=n\nterm=x\n"] {
            assert!(Facts::read(text.as_bytes()).is_err(), "{text}");
            assert!(Claim::read(text.as_bytes()).is_err(), "{text}");
            assert!(Agreement::read(text.as_bytes()).is_err(), "{text}");
        }
        let wide = "subnet=10.0.0.0/24\nblock-bits=9\ngrace=5\ngeneration=0\njoins=1\n";
        assert!(Facts::read(wide.as_bytes()).is_err());
    }

    #[test]
    fn keys_lead_back() {
        let name = name("blue.1", IpFamily::Ipv6);
        assert_eq!(users_name(&name), "blue.1");
        assert_eq!(read_member(&member_key(&name, "n0")), Some((name.as_str(), "n0")));
        assert_eq!(read_own(&own_key("0102", "n0", 255)), Some(("0102", "n0", 255)));
        assert_eq!(read_tell("0102", &tell_key("0102", 255)), Some(255));
        assert_eq!(read_tell("0103", &tell_key("0102", 255)), None);
    }
}
