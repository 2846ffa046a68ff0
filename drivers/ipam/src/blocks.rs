//! Where automatic pools are from: blocks of addresses, cut into pools of one size.

use std::net::IpAddr;

use wasmnet_sdk::{Error, IpFamily, ipnet::IpNet};

use crate::{
    errors, net,
    record::Space,
    store::{Store, World},
};

/// The operator's key for blocks of networks that name no pool.
const DEFAULT: &str = "default-pools";
/// What comes before a pool's name in the operator's key for it.
const NAMED: &str = "pool-";
/// Docker's blocks for networks of one host.
const DOCKERS_LOCAL: &str = "172.17.0.0/16 size 16, 172.18.0.0/16 size 16, \
    172.19.0.0/16 size 16, 172.20.0.0/14 size 16, 172.24.0.0/14 size 16, \
    172.28.0.0/14 size 16, 192.168.0.0/16 size 20";
/// Docker's blocks for networks of a cluster.
const DOCKERS_GLOBAL: &str = "10.0.0.0/8 size 24";
/// The key of the random part of this host's own IPv6 networks.
const ULA: &str = "ula";

/// A net that is cut into pools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// All of it.
    pub net: IpNet,
    /// Prefix length of the pools.
    pub size: u8,
}

/// The blocks of a named pool.
pub fn named(world: &impl World, name: &str) -> Result<Vec<Block>, Error> {
    let key = format!("{NAMED}{name}");
    match world.config(&key) {
        Some(text) => parse(&key, &text),
        None => Err(Error::invalid(format!(
            "option pool: there is no pool \"{name}\"; the operator names it with {key} in the \
             driver's config"
        ))),
    }
}

/// The blocks of networks that name no pool: the operator's, and Docker's for a family of
/// which the operator says nothing.
pub fn defaults(
    store: &mut impl Store,
    world: &impl World,
    space: Space,
    family: IpFamily,
) -> Result<Vec<Block>, Error> {
    if let Some(text) = world.config(DEFAULT) {
        let mut blocks = parse(DEFAULT, &text)?;
        blocks.retain(|block| is_of(block.net, family));
        if !blocks.is_empty() {
            return Ok(blocks);
        }
    }
    match (family, space) {
        (IpFamily::Ipv4, Space::Local) => parse(DEFAULT, DOCKERS_LOCAL),
        (IpFamily::Ipv4, Space::Global) => parse(DEFAULT, DOCKERS_GLOBAL),
        (IpFamily::Ipv6, _) => own_ipv6(store, world).map(|block| vec![block]),
    }
}

/// Whether a net is of a family.
pub fn is_of(net: IpNet, family: IpFamily) -> bool {
    net.addr().is_ipv4() == (family == IpFamily::Ipv4)
}

/// The first pool of the blocks that overlaps with nothing that is taken; `length` asks for
/// pools of this prefix length, whatever the blocks' own.
pub fn first_free(blocks: &[Block], length: Option<u8>, taken: &[IpNet]) -> Result<IpNet, Error> {
    let free = |block: &Block| first_in(block, length.unwrap_or(block.size), taken);
    blocks.iter().find_map(free).ok_or_else(errors::no_more_subnets)
}

fn first_in(block: &Block, size: u8, taken: &[IpNet]) -> Option<IpNet> {
    if size < block.net.prefix_len() || size > block.net.max_prefix_len() {
        return None;
    }
    let bounds = |net: &IpNet| (net::number(net.network()), net::number(net.broadcast()));
    let is_ipv4 = block.net.addr().is_ipv4();
    let mut taken: Vec<(u128, u128)> =
        taken.iter().filter(|net| net.addr().is_ipv4() == is_ipv4).map(bounds).collect();
    taken.sort_unstable();
    let (first, last) = bounds(&block.net);
    // Less one: the size of ::/0 is no number.
    let mask = 1_u128.checked_shl(u32::from(block.net.max_prefix_len() - size));
    let mask = mask.map_or(u128::MAX, |size| size - 1);
    let mut candidate = first;
    for (low, high) in taken {
        if high < candidate {
            continue;
        }
        if low > candidate | mask {
            break;
        }
        candidate = (high | mask).checked_add(1)?;
    }
    if candidate > last {
        return None;
    }
    let offset = candidate - first;
    IpNet::new(net::at(block.net, offset), size).ok()
}

/// A /48 of the range for local use (RFC 4193) that is this host's own.
fn own_ipv6(store: &mut impl Store, world: &impl World) -> Result<Block, Error> {
    let random = match store.get(ULA)?.and_then(|bytes| <[u8; 5]>::try_from(bytes).ok()) {
        Some(random) => random,
        None => {
            let random = world.random();
            store.set(ULA, &random)?;
            random
        }
    };
    let mut octets = [0; 16];
    octets[0] = 0xfd;
    octets[1..6].copy_from_slice(&random);
    let net = IpNet::new(IpAddr::from(octets), 48).map_err(|_| errors::pool())?;
    Ok(Block { net, size: 64 })
}

/// Reads `NET size LENGTH, …`; without a size the block is one pool.
fn parse(key: &str, text: &str) -> Result<Vec<Block>, Error> {
    text.split(',').map(|text| block(key, text.trim())).collect()
}

fn block(key: &str, text: &str) -> Result<Block, Error> {
    let wrong = || {
        Error::invalid(format!(
            "config {key}: \"{text}\" must be a subnet and the prefix length of its pools, as in \
             10.50.0.0/16 size 24"
        ))
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    let (net, size) = match words.as_slice() {
        [net] => (net.parse::<IpNet>().map_err(|_| wrong())?, None),
        [net, "size", size] => (
            net.parse::<IpNet>().map_err(|_| wrong())?,
            Some(size.parse::<u8>().map_err(|_| wrong())?),
        ),
        _ => return Err(wrong()),
    };
    let size = size.unwrap_or(net.prefix_len());
    let fits = (net.prefix_len()..=net.max_prefix_len()).contains(&size);
    if !fits || size == 0 || net != net.trunc() {
        return Err(wrong());
    }
    Ok(Block { net, size })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_first_pool_without_a_neighbour_is_chosen() {
        let blocks = parse("k", "10.0.0.0/14 size 16, 192.168.0.0/23 size 24, fd00::/62 size 64");
        let blocks = blocks.unwrap();
        for (taken, length, expected) in [
            (&[][..], None, "10.0.0.0/16"),
            (&["10.0.0.0/16"], None, "10.1.0.0/16"),
            (&["10.0.3.4/32", "10.1.0.0/16"], None, "10.2.0.0/16"),
            (&["10.1.0.0/16"], None, "10.0.0.0/16"),
            (&["0.0.0.0/2"], None, "192.168.0.0/24"),
            (&["10.0.0.0/8", "192.168.0.1/32"], None, "192.168.1.0/24"),
            (&["10.0.0.0/8", "192.168.0.0/16"], None, "fd00::/64"),
            (&["0.0.0.0/0", "fd00:0:0:1::/64"], None, "fd00::/64"),
            (&["0.0.0.0/0", "fd00::/65"], None, "fd00:0:0:1::/64"),
            (&["10.0.0.0/24", "10.0.1.1/32"], Some(24), "10.0.2.0/24"),
            (&[], Some(15), "10.0.0.0/15"),
            (&["10.0.0.1/32", "10.0.255.0/24"], Some(24), "10.0.1.0/24"),
        ] {
            let found = first_free(&blocks, length, &nets(taken)).unwrap();
            assert_eq!(found.to_string(), expected, "beside {taken:?}");
        }
        let all = nets(&["10.0.0.0/8", "192.168.0.0/16", "fd00::/8"]);
        let error = first_free(&blocks, None, &all).unwrap_err();
        assert_eq!(error.message, "all predefined address pools have been fully subnetted");
        assert!(first_free(&blocks[..1], Some(13), &[]).is_err(), "larger than the block");
    }

    #[test]
    fn the_last_pool_there_is_has_an_end() {
        let blocks = parse("k", "ffff::/16 size 64").unwrap();
        assert!(first_free(&blocks, None, &nets(&["ffff::/16"])).is_err());
        let blocks = parse("k", "255.255.255.0/24 size 25").unwrap();
        assert!(first_free(&blocks, None, &nets(&["255.0.0.0/8"])).is_err());
    }

    #[test]
    fn mistakes_of_the_operator_are_told_with_the_key() {
        for text in [
            "",
            "10.0.0.0",
            "10.0.0.0/16 24",
            "10.0.0.0/16 size 8",
            "10.0.0.1/16",
            "10.0.0.0/8 size 33",
            "0.0.0.0/0",
        ] {
            let error = parse("pool-blue", text).unwrap_err();
            assert!(error.message.starts_with("config pool-blue: \""), "{}", error.message);
        }
        assert_eq!(parse("k", " fd00::/48 ").unwrap()[0].size, 48);
    }
}
