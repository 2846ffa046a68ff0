//! A network on this host: a bridge, and a VTEP as one of its ports.

use wasmnet_sdk::{
    Error, ErrorCode, IpAddress, IpFamily, Network, addresses, cluster,
    firewall::{self, Access, NetworkPolicy, SourceNat},
    links::{self, BridgeOptions, Link, VxlanOptions},
    log, store, sysctl,
};

use crate::{
    group,
    record::HOST,
    settings::{self, Gateway, Settings},
};

/// The labels of a network's links.
pub const BRIDGE: &str = "bridge";
pub const VTEP: &str = "vtep";
/// Groups that this host could not leave, since the store was away.
const TO_LEAVE: &str = "leave/";

/// Groups that this host has a network in.
const HERE: &str = "here/";

/// What VXLAN adds to a packet: Ethernet, IP, UDP and VXLAN headers (RFC 7348, section 5).
const OVERHEAD_IPV4: u32 = 50;
const OVERHEAD_IPV6: u32 = 70;

/// Joins the hosts that have the network, and makes the bridge and the VTEP.
pub fn create(network: &Network) -> Result<(), Error> {
    let settings = Settings::of(network)?;
    check_pools(network, &settings)?;
    leave_late(&settings.group);
    if is_here(&settings.group)? {
        return Err(Error {
            code: ErrorCode::InUse,
            message: format!(
                "this host has a network {} already: a network has another subnet, or another \
                 wasmnet.overlay.id",
                settings.group
            ),
        });
    }
    let agreed = group::join(network, &settings)?;
    let made = make(network, &settings, agreed.vni);
    // What is agreed is not undone with the call.
    if made.is_err()
        && !is_here(&settings.group)?
        && let Err(error) = group::leave(&settings.group)
    {
        let line = format!("cannot leave group {}: {}", settings.group, error.message);
        log::write(log::Level::Warn, &line);
    }
    made
}

/// Whether this host has a network in the group.
fn is_here(group: &str) -> Result<bool, Error> {
    Ok(store::get(store::Scope::Driver, &format!("{HERE}{group}"))?.is_some())
}

/// Leaves them.
pub fn delete(network: &Network) -> Result<(), Error> {
    let group = Settings::of(network)?.group;
    store::delete(store::Scope::Driver, &format!("{HERE}{group}"))?;
    if let Err(error) = group::leave(&group) {
        // The network goes in any case; the others are told when they can be.
        store::set(store::Scope::Driver, &format!("{TO_LEAVE}{group}"), b"")?;
        let line = format!("cannot leave group {group} now: {}", error.message);
        log::write(log::Level::Warn, &line);
    }
    Ok(())
}

/// Leaves the groups that could not be left before, but the one that is joined again.
pub fn leave_late(joining: &str) {
    let keys = store::keys(store::Scope::Driver, TO_LEAVE).unwrap_or_default();
    for key in keys {
        let Some(group) = key.strip_prefix(TO_LEAVE) else { continue };
        if group == joining || group::leave(group).is_ok() {
            // What stays is tried once more the next time.
            let _ = store::delete(store::Scope::Driver, &key);
        }
    }
}

fn make(network: &Network, settings: &Settings, vni: u32) -> Result<(), Error> {
    let local = cluster::this_node()?.address;
    let mtu = mtu(settings, local)?;
    let bridge =
        links::create_bridge(BRIDGE, &BridgeOptions { name: None, mtu: Some(mtu), mac: None })?;
    links::create_vxlan(VTEP, &bridge, VxlanOptions { vni, port: settings.port, local, mtu })?;
    // Without an address of the host nothing gets from the host to the bridge or back.
    let host_is_gateway = settings.gateway == Gateway::Host && !network.internal;
    let policy = NetworkPolicy {
        internal: !host_is_gateway,
        inter_container: true,
        access_ipv4: Access::Published,
        access_ipv6: Access::Published,
        trusted_links: Vec::new(),
    };
    firewall::set_policy(&bridge, &policy)?;
    configure(&bridge, host_is_gateway && !network.ipv6.is_empty())?;
    if host_is_gateway {
        give_gateways(&bridge, network)?;
    }
    cluster::follow(&settings.group)?;
    store::set(store::Scope::Driver, &format!("{HERE}{}", settings.group), b"")?;
    // So that the others know who has the network, and with what.
    let host = format!("vni={vni}\nport={}\nmtu={mtu}\n", settings.port);
    cluster::publish(&settings.group, HOST, host.as_bytes())
}

/// The underlay's MTU less what VXLAN adds, unless the user chose another.
fn mtu(settings: &Settings, local: IpAddress) -> Result<u32, Error> {
    let underlay = links::underlay_mtu(local)?;
    let overhead = match local {
        IpAddress::Ipv4(_) => OVERHEAD_IPV4,
        IpAddress::Ipv6(_) => OVERHEAD_IPV6,
    };
    let most = underlay.saturating_sub(overhead);
    match settings.mtu {
        Some(mtu) if mtu > most => Err(Error::invalid(format!(
            "an MTU of {mtu} does not fit: between hosts {underlay} bytes do, less {overhead} for \
             VXLAN; use {most} or less"
        ))),
        mtu => Ok(mtu.unwrap_or(most)),
    }
}

fn configure(bridge: &Link, ipv6: bool) -> Result<(), Error> {
    sysctl::set(bridge, IpFamily::Ipv6, "disable_ipv6", if ipv6 { "0" } else { "1" })?;
    if ipv6 {
        sysctl::set(bridge, IpFamily::Ipv6, "accept_ra", "0")?;
    }
    Ok(())
}

/// Every host's bridge has the gateways' addresses: a container's way out is its own host.
fn give_gateways(bridge: &Link, network: &Network) -> Result<(), Error> {
    sysctl::set(bridge, IpFamily::Ipv4, "route_localnet", "1")?;
    for pool in settings::pools(network) {
        if let Some(gateway) = pool.gateway {
            addresses::add(bridge, gateway)?;
        }
        firewall::set_subnet(bridge, pool.subnet, SourceNat::Masquerade)?;
    }
    Ok(())
}

fn check_pools(network: &Network, settings: &Settings) -> Result<(), Error> {
    if settings::pools(network).next().is_none() {
        return Err(Error::invalid("the network has no subnet: enable IPv4 or IPv6"));
    }
    if settings::pools(network).any(|pool| pool.subnet.prefix_length == 0) {
        return Err(Error::invalid(
            "an overlay network needs an IPAM driver that gives it a subnet; \"null\" does not",
        ));
    }
    let needs_gateway = settings.gateway == Gateway::Host && !network.internal;
    if needs_gateway && settings::pools(network).any(|pool| pool.gateway.is_none()) {
        return Err(Error {
            code: ErrorCode::Invalid,
            message: "wasmnet.overlay.gateway=host needs a gateway address for each subnet"
                .to_owned(),
        });
    }
    Ok(())
}
