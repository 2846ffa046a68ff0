//! A network: one bridge with the gateways' addresses.

use wasmnet_sdk::{
    Error, IpFamily, Network, Pool, addresses,
    firewall::{self, NetworkPolicy},
    links::{self, BridgeOptions, Link},
    sysctl,
};

use crate::settings::Settings;

/// The label of a network's bridge.
pub const BRIDGE: &str = "bridge";

/// Makes the bridge, gives it the gateways' addresses and opens the way out.
pub fn create(network: &Network) -> Result<(), Error> {
    let settings = Settings::of(network)?;
    check_pools(network)?;

    let options = BridgeOptions { name: settings.name.clone(), mtu: settings.mtu, mac: None };
    let bridge = links::create_bridge(BRIDGE, &options)?;
    configure_ipv6(&bridge, !network.ipv6.is_empty())?;
    for gateway in pools(network).filter_map(|pool| pool.gateway) {
        addresses::add(&bridge, gateway)?;
    }

    let policy =
        NetworkPolicy { internal: network.internal, inter_container: settings.inter_container };
    firewall::set_policy(&bridge, policy)?;
    if settings.masquerade && !network.internal {
        for pool in pools(network) {
            firewall::masquerade(&bridge, pool.subnet)?;
        }
    }
    Ok(())
}

/// All pools, IPv4 first.
fn pools(network: &Network) -> impl Iterator<Item = &Pool> {
    network.ipv4.iter().chain(&network.ipv6)
}

fn check_pools(network: &Network) -> Result<(), Error> {
    if pools(network).next().is_none() {
        return Err(Error::invalid("the network has no subnet: enable IPv4 or IPv6"));
    }
    if pools(network).any(|pool| pool.subnet.prefix_length == 0) {
        return Err(Error::invalid(
            "a bridge network needs an IPAM driver that gives it a subnet; \"null\" does not",
        ));
    }
    Ok(())
}

/// A bridge is a router's interface: it takes no router advertisements, and has
/// no IPv6 address at all on a network without IPv6.
fn configure_ipv6(bridge: &Link, enabled: bool) -> Result<(), Error> {
    let disable = if enabled { "0" } else { "1" };
    sysctl::set(bridge, IpFamily::Ipv6, "disable_ipv6", disable)?;
    if enabled {
        sysctl::set(bridge, IpFamily::Ipv6, "accept_ra", "0")?;
    }
    Ok(())
}
