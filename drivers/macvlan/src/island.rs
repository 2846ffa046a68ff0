//! A network without a parent: a bridge of its own, and a veth pair for each container.

use wasmnet_sdk::{
    Error, IpFamily, MacAddress,
    firewall::{self, Access, NetworkPolicy},
    links::{self, BridgeOptions, VethOptions},
    sysctl,
};

use crate::settings::Settings;

/// The label of the bridge.
const ISLAND: &str = "island";

/// Makes the bridge. Who may not talk to the others of its parent may not here either.
pub fn create(settings: &Settings) -> Result<(), Error> {
    let options = BridgeOptions { name: None, mtu: settings.mtu, mac: None };
    let bridge = links::create_bridge(ISLAND, &options)?;
    sysctl::set(&bridge, IpFamily::Ipv6, "disable_ipv6", "1")?;
    let policy = NetworkPolicy {
        internal: true,
        inter_container: settings.mode.is_open(),
        access_ipv4: Access::Published,
        access_ipv6: Access::Published,
        trusted_links: Vec::new(),
    };
    firewall::set_policy(&bridge, &policy)
}

/// Makes a container's link.
pub fn connect(label: &str, mac: Option<MacAddress>) -> Result<(), Error> {
    let bridge = links::open(ISLAND)?;
    let options = VethOptions { mtu: bridge.mtu(), peer_mac: mac };
    links::create_veth(label, &bridge, options).map(drop)
}
