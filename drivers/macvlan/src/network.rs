//! A network: its parent, and the links of the host's that it needs.

use wasmnet_sdk::{
    Error, Network, Pool,
    links::{self, IpvlanOptions},
};

use crate::{host, island, mode::Mode, parent, settings::Settings};

/// Notes whose wire it is on, and makes what the host needs for it.
pub fn create(network: &Network) -> Result<(), Error> {
    let settings = Settings::of(network)?;
    check_pools(network)?;
    let Some(parent) = &settings.parent else {
        return island::create(&settings);
    };
    let most = parent::prepare(parent)?;
    if let Some(mtu) = settings.mtu.filter(|mtu| *mtu > most) {
        return Err(Error::invalid(format!(
            "an MTU of {mtu} does not fit link {parent}; use {most} or less"
        )));
    }
    parent::share(network, parent, settings.mode)?;
    if let Mode::Ipvlan(mode, flag) = settings.mode {
        // Many kernels have no such links: better said now than to the first container.
        let options = IpvlanOptions { parent: parent.clone(), mode, flag, mtu: settings.mtu };
        links::create_ipvlan("trial", &options)?.delete()?;
    }
    if settings.host_access {
        host::create(network, parent, settings.mtu)?;
    }
    Ok(())
}

/// Gives the parent back.
pub fn delete(network: &Network) -> Result<(), Error> {
    match Settings::of(network)?.parent {
        Some(parent) => parent::leave(network, &parent),
        None => Ok(()),
    }
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
