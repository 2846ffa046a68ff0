//! The wasm-bridge driver: containers of a network are ports of one bridge.
//!
//! What Docker's built-in bridge driver does, with its options (`settings`),
//! but without its rights: the driver holds handles of its own links and
//! nothing else.

mod endpoint;
mod mode;
mod network;
mod settings;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;

use wasmnet_sdk::{
    DriverCapabilities, DriverOption, Endpoint, EndpointRequest, EndpointSettings, Error,
    GatewaySkip, JoinInfo, Network, NetworkDriver, PortBinding, Scope,
};

struct Bridge;

wasmnet_sdk::network_driver! {
    driver: Bridge,
    name: "bridge",
    description: "Containers of one host on a Linux bridge, with NAT to the outside.",
    grants: {
        "links": ["bridge", "veth"],
        "adopt": ["*"],
        "sysctls": ["accept_ra", "disable_ipv6", "route_localnet"],
        "masquerade": true,
        "publish": ["1-65535"],
        "direct-access": true
    },
}

// === impl Bridge ===

// What is not here needs no code: the host deletes what an endpoint or network made.
impl NetworkDriver for Bridge {
    fn capabilities() -> DriverCapabilities {
        DriverCapabilities {
            scope: Scope::Local,
            connectivity_scope: Scope::Local,
            gateway_allocation: true,
        }
    }

    fn gateway_allocation(options: &[DriverOption]) -> Result<GatewaySkip, Error> {
        settings::gateway_skip(options)
    }

    fn create_network(network: &Network) -> Result<(), Error> {
        network::create(network)
    }

    fn create_endpoint(
        _network: &Network,
        request: &EndpointRequest,
    ) -> Result<EndpointSettings, Error> {
        endpoint::create(request)
    }

    fn join(network: &Network, _endpoint: &Endpoint, _sandbox: &str) -> Result<JoinInfo, Error> {
        endpoint::join(network)
    }

    fn program_external_connectivity(
        network: &Network,
        endpoint: &Endpoint,
        ports: &[PortBinding],
    ) -> Result<(), Error> {
        endpoint::publish(network, endpoint, ports)
    }
}
