//! A network's parent: whose wire it is, and who else is on it.

use wasmnet_sdk::{Error, ErrorCode, Network, links, store};

use crate::mode::Mode;

/// Sees that the parent is there, and says its MTU. A VLAN that is not (`eth0.50`) is made; one
/// that somebody else has made is used as it is.
pub fn prepare(parent: &str) -> Result<u32, Error> {
    if let Some((link, id)) = vlan(parent) {
        match links::create_vlan(link, id) {
            Err(Error { code: ErrorCode::Exists, .. }) => {}
            made => made?,
        }
    }
    links::parent_mtu(parent)
}

/// Link and identifier of a VLAN, as Docker reads its name.
fn vlan(parent: &str) -> Option<(&str, u16)> {
    let (link, id) = parent.split_once('.')?;
    let number: u16 = id.parse().ok()?;
    (!link.is_empty() && number.to_string() == id).then_some((link, number))
}

/// Notes that a network is on the parent. Networks may share one, unless one of them is to have
/// it to itself, or they are on it in ways that the kernel does not let be together.
pub fn share(network: &Network, parent: &str, mode: Mode) -> Result<(), Error> {
    let prefix = format!("{}/", key(parent));
    let own = mode.to_string();
    for key in store::keys(store::Scope::Driver, &prefix)? {
        // It may have gone since.
        let Some(other) = store::get(store::Scope::Driver, &key)? else { continue };
        let other = String::from_utf8_lossy(&other);
        if other == own.as_str() && !mode.is_alone() {
            continue;
        }
        let id = key.strip_prefix(&prefix).unwrap_or_default();
        let id = id.get(..12).unwrap_or(id);
        let why = match mode.is_alone() || other.contains("passthru") {
            true => "macvlan_mode passthru shares it with nobody".to_owned(),
            false => format!("as {other}, which this one, as {own}, cannot share"),
        };
        return Err(Error {
            code: ErrorCode::InUse,
            message: format!("network {id} is already using parent interface {parent}, {why}"),
        });
    }
    store::set(store::Scope::Driver, &format!("{prefix}{}", network.id), own.as_bytes())
}

/// Notes that it no longer is.
pub fn leave(network: &Network, parent: &str) -> Result<(), Error> {
    store::delete(store::Scope::Driver, &format!("{}/{}", key(parent), network.id))
}

fn key(parent: &str) -> String {
    format!("parent/{parent}")
}
