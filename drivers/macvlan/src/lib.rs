//! The wasm-macvlan driver: containers are hosts of their own on the wire of a link of the
//! host's, the network's *parent*.
//!
//! What Docker's macvlan and ipvlan drivers do, with their options (`settings`), and one thing more
//! that its users miss: with `wasmnet.host_access` the host reaches its containers, by a
//! macvlan link of its own (`host`). The kernel keeps a parent and the links on it apart.
//!
//! A network without a parent is for itself: a bridge that the host has no address on
//! (`island`), since not every kernel has a link that macvlan links could be on.

mod endpoint;
mod host;
mod island;
mod mode;
mod network;
mod parent;
mod settings;

use wasmnet_sdk::{
    DriverCapabilities, DriverOption, Endpoint, EndpointRequest, EndpointSettings, Error,
    GatewaySkip, JoinInfo, Network, NetworkDriver, Scope,
};

struct Macvlan;

wasmnet_sdk::network_driver! {
    driver: Macvlan,
    name: "macvlan",
    description: "Containers on the wire of a link of the host.",
    grants: {
        "links": ["bridge", "ipvlan", "macvlan", "veth", "vlan"],
        "parents": ["*"],
        "sysctls": ["accept_ra", "arp_filter", "disable_ipv6", "forwarding", "proxy_ndp"]
    },
}

// === impl Macvlan ===

// What is not here needs no code: the host deletes what an endpoint or network made.
impl NetworkDriver for Macvlan {
    fn capabilities() -> DriverCapabilities {
        DriverCapabilities {
            scope: Scope::Local,
            connectivity_scope: Scope::Local,
            gateway_allocation: true,
        }
    }

    /// The gateway is somebody else on the wire, if the user says that there is one.
    fn gateway_allocation(options: &[DriverOption]) -> Result<GatewaySkip, Error> {
        settings::check_keys(options)?;
        Ok(GatewaySkip { ipv4: true, ipv6: true })
    }

    fn create_network(network: &Network) -> Result<(), Error> {
        network::create(network)
    }

    fn delete_network(network: &Network) -> Result<(), Error> {
        network::delete(network)
    }

    fn create_endpoint(
        network: &Network,
        request: &EndpointRequest,
    ) -> Result<EndpointSettings, Error> {
        endpoint::create(network, request)
    }

    fn join(network: &Network, endpoint: &Endpoint, _sandbox: &str) -> Result<JoinInfo, Error> {
        endpoint::join(network, endpoint)
    }
}
