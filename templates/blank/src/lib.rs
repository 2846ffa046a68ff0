//! A network driver.
//!
//! Every call is a transaction in a fresh instance: on an error everything is undone, and what
//! an endpoint or a network made is deleted with it. Methods that are not here do nothing.

#[cfg(test)]
mod tests;

use wasmnet_sdk::{
    ContainerInterface, Endpoint, EndpointRequest, EndpointSettings, Error, JoinInfo, Network,
    NetworkDriver, common,
    links::{self, BridgeOptions, VethOptions},
};

struct Driver;

// What it is called, and what it asks the operator for.
wasmnet_sdk::network_driver! {
    driver: Driver,
    name: "template-blank",
    description: "Connects containers with each other.",
    grants: { "links": ["bridge", "veth"] },
}

impl NetworkDriver for Driver {
    /// Makes what the network needs. Its links are found again by their labels.
    fn create_network(_network: &Network) -> Result<(), Error> {
        let options = BridgeOptions { name: None, mtu: None, mac: None };
        links::create_bridge("bridge", &options)?;
        Ok(())
    }

    /// Makes the endpoint's link, and says what the request left open.
    fn create_endpoint(
        _network: &Network,
        request: &EndpointRequest,
    ) -> Result<EndpointSettings, Error> {
        let chosen = request.mac.is_none().then(|| common::choose_mac(request.ipv4));
        let options = VethOptions { mtu: None, peer_mac: request.mac.or(chosen) };
        links::create_veth("port", &links::open("bridge")?, options)?;
        Ok(EndpointSettings { ipv4: None, ipv6: None, mac: chosen })
    }

    /// Says which link becomes the container's interface, and where its default routes lead.
    fn join(_network: &Network, _endpoint: &Endpoint, _sandbox: &str) -> Result<JoinInfo, Error> {
        let source = links::open("port")?
            .peer_name()
            .ok_or_else(|| Error::not_found("the endpoint's link is not a veth pair"))?;
        Ok(JoinInfo {
            interface: Some(ContainerInterface { source, prefix: "eth".to_owned() }),
            gateway: None,
            gateway_ipv6: None,
            routes: Vec::new(),
            disable_gateway_service: true,
        })
    }
}
