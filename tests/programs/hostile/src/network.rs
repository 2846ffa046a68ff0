//! Attacks while a network is made.

#![allow(clippy::print_stdout, reason = "one of the attacks")]

use wasmnet_sdk::{
    Error, IpFamily, IpNetwork, Network, addresses, firewall, ipnet::IpNet, links, log, random,
    routes, store, sysctl,
};

use crate::{over, target};

/// Names that a kernel, a terminal or a log would trip over.
const NAMES: [&str; 9] =
    ["a\0b", "a/b", "../lo", "sixteen-letters-", "a\nb", "a\u{1b}[2Jb", "", ".", "wn0123456789ab"];

/// A policy that opens nothing.
pub fn policy() -> firewall::NetworkPolicy {
    firewall::NetworkPolicy {
        internal: false,
        inter_container: true,
        access_ipv4: firewall::Access::Published,
        access_ipv6: firewall::Access::Published,
        trusted_links: Vec::new(),
    }
}

/// Tries one thing, if it is one of these.
pub fn attack(attack: &str, bridge: &links::Link, network: &Network) -> Option<Result<(), Error>> {
    let target = || target(network).unwrap_or_default();
    Some(match attack {
        // Time and memory.
        "loop" => loop {
            std::hint::spin_loop();
        },
        "recursion" => Err(Error::invalid(format!("{}", recurse(1)))),
        "memory" => {
            let mut hoard: Vec<Vec<u8>> = Vec::new();
            loop {
                hoard.push(vec![1; 1 << 20]);
            }
        }
        "long-text" => {
            // Ten times nearly all the memory there is: a gigabyte of it, nearly.
            let text = "x".repeat(40 << 20);
            (0..20).for_each(|_| log::write(log::Level::Error, &text));
            Err(Error::invalid(text))
        }
        "odd-text" => Err(Error::invalid("first\nsecond\u{1b}[2J\u{7}\0third ".repeat(10_000))),
        "operations" => {
            first_error(100_000, |_| sysctl::set(bridge, IpFamily::Ipv6, "accept_ra", "0"))
        }
        "links" => first_error(100_000, |number| {
            let options = links::BridgeOptions { name: None, mtu: None, mac: None };
            links::create_bridge(&format!("bridge{number}"), &options).map(drop)
        }),
        "log" => {
            (0..100_000).for_each(|line| log::write(log::Level::Error, &format!("line {line}\n")));
            Err(over())
        }
        "print" => {
            (0..100_000).for_each(|line| println!("line {line}"));
            Err(over())
        }
        "random" => match random::bytes(u32::MAX).len() {
            0..=4096 => Err(over()),
            more => Err(Error::invalid(format!("the host gave {more} random bytes"))),
        },
        // The store.
        "store-full" => first_error(100_000, |number| {
            store::set(store::Scope::Driver, &format!("key{number}"), &vec![1; 1 << 20])
        }),
        "store-keys" => store_keys(),
        // Names and links of others.
        "names" => names(),
        "name" => {
            let name = Some(target());
            let options = links::BridgeOptions { name, mtu: None, mac: None };
            links::create_bridge("more", &options).map(drop)
        }
        "unasked-name" => {
            let name = Some("evil0".to_owned());
            let options = links::BridgeOptions { name, mtu: None, mac: None };
            links::create_bridge("more", &options).map(drop)
        }
        "adopt" => links::adopt_bridge("more", &target(), None).map(drop),
        "open" => links::open(&target()).map(drop),
        "handle" => forge(),
        // Addresses, routes and settings of others.
        "address" => addresses::add(bridge, net(&target())),
        "route" => routes::add(bridge, net(&target()), None),
        "subnet" => firewall::set_subnet(bridge, net(&target()), firewall::SourceNat::None),
        "masquerade" => match network.ipv4.first() {
            Some(pool) => {
                firewall::set_subnet(bridge, pool.subnet, firewall::SourceNat::Masquerade)
            }
            None => Ok(()),
        },
        "sysctl" => sysctl::set(bridge, IpFamily::Ipv4, &target(), "1"),
        "trust" => {
            let trusted_links = vec!["eth0".to_owned()];
            firewall::set_policy(bridge, &firewall::NetworkPolicy { trusted_links, ..policy() })
        }
        "expose" => {
            let access_ipv4 = firewall::Access::Unprotected;
            firewall::set_policy(bridge, &firewall::NetworkPolicy { access_ipv4, ..policy() })
        }
        "files" => match std::fs::read_to_string("/etc/passwd") {
            Ok(text) => Err(Error::invalid(format!("the host gave {text}"))),
            Err(_) if std::fs::write("/x", "y").is_err() => Err(over()),
            Err(_) => Err(Error::invalid("the host let a file be written")),
        },
        "socket" => match std::net::TcpStream::connect(("127.0.0.1", 80)) {
            Ok(_) => Err(Error::invalid("the host let a connection out")),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                Err(Error::invalid("the host tried to connect"))
            }
            Err(_) => Err(over()),
        },
        "environment" => match std::env::vars().count() {
            0 => Err(over()),
            _ => Err(Error::invalid("the host gave its environment")),
        },
        _ => return None,
    })
}

fn first_error(times: u32, mut step: impl FnMut(u32) -> Result<(), Error>) -> Result<(), Error> {
    (0..times).try_for_each(&mut step)
}

#[allow(unconditional_recursion, reason = "that is the attack")]
fn recurse(depth: u64) -> u64 {
    let room = std::hint::black_box([depth; 64]);
    recurse(depth + 1) + room[usize::from(depth.is_multiple_of(2))]
}

/// Each name has to be refused; the last one's answer is the call's.
fn names() -> Result<(), Error> {
    let mut last = Ok(());
    for name in NAMES {
        let options = links::BridgeOptions { name: Some(name.to_owned()), mtu: None, mac: None };
        last = links::create_bridge("more", &options).map(drop);
        if last.is_ok() {
            return Err(Error::invalid(format!("the host took {name:?}")));
        }
    }
    last
}

/// Keys are the driver's own, however they look; the longest and the empty one are not.
fn store_keys() -> Result<(), Error> {
    for key in ["../../state", "wasm-bridge\0n1\0\0key", "/etc/passwd", "a\nb"] {
        store::set(store::Scope::Driver, key, b"mine")?;
        if store::get(store::Scope::Driver, key)?.as_deref() != Some(b"mine") {
            return Err(Error::invalid(format!("{key:?} is not as written")));
        }
        store::delete(store::Scope::Driver, key)?;
    }
    for key in [String::new(), "k".repeat(256), "k".repeat(1 << 20)] {
        if store::set(store::Scope::Driver, &key, b"mine").is_ok() {
            return Err(Error::invalid("a key of impossible length was taken"));
        }
    }
    Err(over())
}

/// Uses handles that the host never gave.
#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code, reason = "forging handles is the attack")]
fn forge() -> Result<(), Error> {
    for number in (2..200).chain([u32::MAX >> 4]) {
        // SAFETY: none is needed for what the host has to withstand; the number is only
        // passed on to it.
        let link = unsafe { links::Link::from_handle(number) };
        let done = link.set_up(false);
        std::mem::forget(link);
        done?;
    }
    Ok(())
}

/// Only a component has handles.
#[cfg(not(target_arch = "wasm32"))]
fn forge() -> Result<(), Error> {
    Ok(())
}

fn net(text: &str) -> IpNetwork {
    match text.parse::<IpNet>() {
        Ok(net) => net.into(),
        Err(_) => IpNet::from(std::net::IpAddr::from([0, 0, 0, 0])).into(),
    }
}
