//! A network: who shares which parent, and the links of the host's that it needs.

use wasmnet_sdk::{
    Error, ErrorCode, Network, Pool,
    links::{self, MacvlanMode},
    store,
};

use crate::{host, island, settings::Settings};

/// Notes whose wire it is on, and makes what the host needs for it.
pub fn create(network: &Network) -> Result<(), Error> {
    let settings = Settings::of(network)?;
    check_pools(network)?;
    let Some(parent) = &settings.parent else {
        return island::create(&settings);
    };
    let most = links::parent_mtu(parent)?;
    if let Some(mtu) = settings.mtu.filter(|mtu| *mtu > most) {
        return Err(Error::invalid(format!(
            "an MTU of {mtu} does not fit link {parent}; use {most} or less"
        )));
    }
    share(network, parent, settings.mode)?;
    if settings.host_access {
        host::create(parent, settings.mtu)?;
    }
    Ok(())
}

/// Gives the parent back.
pub fn delete(network: &Network) -> Result<(), Error> {
    match Settings::of(network)?.parent {
        Some(parent) => store::delete(store::Scope::Driver, &key(&parent, network)),
        None => Ok(()),
    }
}

/// Networks may share a parent, unless one of them is to have it to itself.
fn share(network: &Network, parent: &str, mode: MacvlanMode) -> Result<(), Error> {
    const ALONE: &[u8] = b"passthru";
    let prefix = format!("parent/{parent}/");
    for other in store::keys(store::Scope::Driver, &prefix)? {
        let alone = store::get(store::Scope::Driver, &other)?.as_deref() == Some(ALONE);
        if alone || mode == MacvlanMode::Passthru {
            let id = other.strip_prefix(&prefix).unwrap_or_default();
            let id = id.get(..12).unwrap_or(id);
            return Err(Error {
                code: ErrorCode::InUse,
                message: format!(
                    "network {id} is already using parent interface {parent}, and macvlan_mode \
                     passthru shares it with nobody"
                ),
            });
        }
    }
    let value = if mode == MacvlanMode::Passthru { ALONE } else { b"shared" };
    store::set(store::Scope::Driver, &key(parent, network), value)
}

fn key(parent: &str, network: &Network) -> String {
    format!("parent/{parent}/{}", network.id)
}

fn check_pools(network: &Network) -> Result<(), Error> {
    let pools = || network.ipv4.iter().chain(&network.ipv6);
    let has_none = |pool: &Pool| pool.subnet.prefix_length == 0;
    if pools().next().is_none() || pools().any(has_none) {
        return Err(Error::invalid(
            "a macvlan network needs a subnet: that of the wire, with --subnet",
        ));
    }
    Ok(())
}
