//! A network: one bridge with the gateways' addresses.

use wasmnet_sdk::{
    Error, ErrorCode, IpFamily, Network, Pool, addresses,
    firewall::{self, NetworkPolicy},
    links::{self, BridgeOptions, Link},
    sysctl,
};

use crate::settings::{Family, Settings};

/// The label of a network's bridge.
pub const BRIDGE: &str = "bridge";

/// Makes the bridge, gives it the gateways' addresses and opens the ways in and out.
pub fn create(network: &Network) -> Result<(), Error> {
    let settings = Settings::of(network)?;
    check_pools(network)?;

    let bridge = make_bridge(&settings, network)?;
    let policy = NetworkPolicy {
        internal: network.internal,
        inter_container: settings.inter_container,
        access_ipv4: settings.ipv4.mode.access(),
        access_ipv6: settings.ipv6.mode.access(),
        trusted_links: settings.trusted.clone(),
    };
    firewall::set_policy(&bridge, &policy)?;
    let masquerade = settings.masquerade && !network.internal;
    add_pools(&bridge, &network.ipv4, &settings.ipv4, masquerade)?;
    add_pools(&bridge, &network.ipv6, &settings.ipv6, masquerade)
}

/// Makes the bridge, or takes the one that has the name the user chose.
fn make_bridge(settings: &Settings, network: &Network) -> Result<Link, Error> {
    let options = BridgeOptions { name: settings.name.clone(), mtu: settings.mtu, mac: None };
    let bridge = match (links::create_bridge(BRIDGE, &options), &settings.name) {
        (Err(Error { code: ErrorCode::Exists, .. }), Some(name)) => {
            links::adopt_bridge(BRIDGE, name, settings.mtu)
        }
        (Ok(bridge), _) => {
            configure(&bridge, network)?;
            Ok(bridge)
        }
        (refused, _) => refused,
    };
    let bridge = bridge.map_err(|error| settings.name_error(error))?;
    // On a network that publishes ports the host's own connections to 127.0.0.1 are sent
    // out to the container.
    if !network.internal && !network.ipv4.is_empty() {
        sysctl::set(&bridge, IpFamily::Ipv4, "route_localnet", "1")?;
    }
    Ok(bridge)
}

fn add_pools(bridge: &Link, pools: &[Pool], family: &Family, nat: bool) -> Result<(), Error> {
    for pool in pools {
        if let Some(gateway) = pool.gateway.filter(|_| family.bridge_address) {
            addresses::add(bridge, gateway)?;
        }
        firewall::set_subnet(bridge, pool.subnet, family.source_nat(nat))?;
    }
    Ok(())
}

fn check_pools(network: &Network) -> Result<(), Error> {
    let pools = || network.ipv4.iter().chain(&network.ipv6);
    if pools().next().is_none() {
        return Err(Error::invalid("the network has no subnet: enable IPv4 or IPv6"));
    }
    if pools().any(|pool| pool.subnet.prefix_length == 0) {
        return Err(Error::invalid(
            "a bridge network needs an IPAM driver that gives it a subnet; \"null\" does not",
        ));
    }
    Ok(())
}

/// A bridge is a router's interface: it takes no router advertisements, and has no
/// IPv6 address at all on a network without IPv6.
fn configure(bridge: &Link, network: &Network) -> Result<(), Error> {
    let ipv6 = !network.ipv6.is_empty();
    sysctl::set(bridge, IpFamily::Ipv6, "disable_ipv6", if ipv6 { "0" } else { "1" })?;
    if ipv6 {
        sysctl::set(bridge, IpFamily::Ipv6, "accept_ra", "0")?;
    }
    Ok(())
}
