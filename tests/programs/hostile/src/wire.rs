//! Attacks on the wires of the host: its links, and what others have made on them.

use wasmnet_sdk::{
    Error, IpAddress, Network,
    links::{self, MacvlanMode, MacvlanOptions, VxlanOptions},
    neighbours,
};

use crate::{over, target};

/// A link that is granted, and that no option names.
const UNNAMED: &str = "wire0";

/// Tries one thing, if it is one of these.
pub fn attack(attack: &str, bridge: &links::Link, network: &Network) -> Option<Result<(), Error>> {
    let target = target(network).unwrap_or_default();
    Some(match attack {
        "macvlan" => macvlan(target),
        "macvlan-unnamed" => macvlan(UNNAMED.to_owned()),
        "parent-mtu" => links::parent_mtu(&target).map(drop),
        "vlan" => vlan(&target),
        "vlan-unnamed" => vlan(&format!("{UNNAMED}.7")),
        "vlan-names" => vlan_names(),
        "vxlan" => vxlan(bridge, &target),
        "answer" => neighbours::answer_for_parent(bridge),
        "forwarding" => neighbours::add_forwarding(
            bridge,
            (2, 0, 0, 0, 0, 7),
            IpAddress::Ipv4((198, 51, 100, 254)),
        ),
        "forwarding-of-others" => forward(),
        _ => return None,
    })
}

fn macvlan(parent: String) -> Result<(), Error> {
    let options = MacvlanOptions { parent, mode: MacvlanMode::Bridge, mac: None, mtu: None };
    links::create_macvlan("more", &options).map(drop)
}

/// As in "eth0.7".
fn vlan(name: &str) -> Result<(), Error> {
    let (parent, id) = name.rsplit_once('.').unwrap_or((name, ""));
    links::create_vlan(parent, id.parse().unwrap_or_default())
}

/// Each has to be refused; the last one's answer is the call's.
fn vlan_names() -> Result<(), Error> {
    let mut last = Ok(());
    for parent in ["", ".", "..", "a/b", "a\0b", "sixteen-letters-", "eth0\n", "../lo"] {
        last = links::create_vlan(parent, 7);
        if last.is_ok() {
            return Err(Error::invalid(format!("the host took {parent:?}")));
        }
    }
    last
}

/// As in "42/4789/198.51.100.1": identifier, port and the host's address.
fn vxlan(bridge: &links::Link, target: &str) -> Result<(), Error> {
    let wrong = || Error::invalid(format!("{target} is no target"));
    let mut parts = target.split('/');
    let mut part = || parts.next().ok_or_else(wrong);
    let options = VxlanOptions {
        vni: part()?.parse().map_err(|_| wrong())?,
        port: part()?.parse().map_err(|_| wrong())?,
        local: part()?.parse::<std::net::IpAddr>().map_err(|_| wrong())?.into(),
        mtu: 1450,
    };
    links::create_vxlan("more", bridge, options).map(drop)
}

/// There are no handles to forge but in a component.
#[cfg(not(target_arch = "wasm32"))]
fn forward() -> Result<(), Error> {
    Err(over())
}

/// Forwards frames of links that the host never gave handles of.
#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code, reason = "forging handles is the attack")]
fn forward() -> Result<(), Error> {
    for number in 2..200 {
        // SAFETY: none is needed for what the host has to withstand; the number is only
        // passed on to it.
        let link = unsafe { links::Link::from_handle(number) };
        let vtep = IpAddress::Ipv4((198, 51, 100, 254));
        let done = neighbours::add_forwarding(&link, (2, 0, 0, 0, 0, 7), vtep);
        std::mem::forget(link);
        done?;
    }
    Err(over())
}
