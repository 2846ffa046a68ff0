//! The wasm-overlay driver: one network on several hosts, joined by VXLAN (RFC 7348).
//!
//! On each host a network is a bridge with a tunnel endpoint (VTEP) as one of its ports.
//! What Docker's overlay finds out by gossip in a Swarm, this one learns from the cluster
//! store: every host publishes its endpoints in the network's *group* (`endpoint`), and
//! programs what the others publish into its VTEP (`remote`). So nothing is flooded and
//! nothing is learnt from packets: a frame goes to the host whose endpoint it is for, or
//! nowhere, and ARP and ND are answered on the spot.
//!
//! The hosts agree on one thing beforehand, the network identifier (VNI), by compare and
//! set (`group`). All else follows from what each of them publishes, so a host can always
//! make its endpoints, whether the store can be reached or not.

mod endpoint;
mod group;
mod network;
mod record;
mod remote;
mod settings;

use wasmnet_sdk::{
    DriverCapabilities, DriverOption, Endpoint, EndpointRequest, EndpointSettings, Error,
    GatewaySkip, JoinInfo, Network, NetworkDriver, PortBinding, Progress, Scope,
};

/// The driver.
#[derive(Debug)]
pub struct Overlay;

// The names of a component's exports are none for a library of this machine's.
#[cfg(target_arch = "wasm32")]
wasmnet_sdk::network_driver! {
    driver: Overlay,
    name: "overlay",
    description: "Containers of several hosts on one network, by VXLAN.",
    grants: {
        "links": ["bridge", "veth", "vxlan"],
        "sysctls": ["accept_ra", "disable_ipv6", "route_localnet"],
        "cluster": true,
        "masquerade": true,
        "publish": ["1-65535"]
    },
}

// === impl Overlay ===

// What is not here needs no code: the host deletes what an endpoint or network made.
impl NetworkDriver for Overlay {
    fn capabilities() -> DriverCapabilities {
        DriverCapabilities {
            // An engine outside a Swarm takes no plugin for a global driver.
            scope: Scope::Local,
            connectivity_scope: Scope::Global,
            gateway_allocation: true,
        }
    }

    fn gateway_allocation(options: &[DriverOption]) -> Result<GatewaySkip, Error> {
        settings::gateway_skip(options)
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

    fn program_external_connectivity(
        network: &Network,
        endpoint: &Endpoint,
        ports: &[PortBinding],
    ) -> Result<(), Error> {
        endpoint::publish(network, endpoint, ports)
    }

    fn entries_changed(
        network: &Network,
        group: &str,
        keys: Option<&[String]>,
    ) -> Result<Progress, Error> {
        remote::follow(network, group, keys)
    }
}
