//! The network driver trait and its way into the contract.

use std::marker::PhantomData;

use crate::{
    DriverOption, Error, PortBinding,
    bindings::network::exports::wasmnet::driver::{lifecycle, network_driver},
};

pub use lifecycle::Progress;
pub use network_driver::{
    ContainerInterface, DriverCapabilities, Endpoint, EndpointRequest, EndpointSettings,
    GatewaySkip, JoinInfo, Network, Node, Pool, Scope, StaticRoute,
};

/// A network driver: implement what the network needs, the rest does nothing.
///
/// Each method is one transaction; see `wit/driver.wit` for what the engine
/// promises about order and arguments.
pub trait NetworkDriver {
    /// What the engine should know beforehand.
    fn capabilities() -> DriverCapabilities {
        DriverCapabilities {
            scope: Scope::Local,
            connectivity_scope: Scope::Local,
            gateway_allocation: false,
        }
    }

    /// Which families need no gateway address.
    fn gateway_allocation(_options: &[DriverOption]) -> Result<GatewaySkip, Error> {
        Ok(GatewaySkip { ipv4: false, ipv6: false })
    }

    /// Swarm managers: allots what the network needs cluster-wide.
    fn allocate_network(
        _id: &str,
        options: Vec<DriverOption>,
        _ipv4: &[Pool],
        _ipv6: &[Pool],
    ) -> Result<Vec<DriverOption>, Error> {
        Ok(options)
    }

    /// Swarm managers: gives it back.
    fn free_network(_id: &str) -> Result<(), Error> {
        Ok(())
    }

    /// Makes a network.
    fn create_network(network: &Network) -> Result<(), Error>;

    /// Deletes a network.
    fn delete_network(_network: &Network) -> Result<(), Error> {
        Ok(())
    }

    /// Makes an endpoint.
    fn create_endpoint(
        _network: &Network,
        _request: &EndpointRequest,
    ) -> Result<EndpointSettings, Error> {
        Ok(EndpointSettings { ipv4: None, ipv6: None, mac: None })
    }

    /// Deletes an endpoint.
    fn delete_endpoint(_network: &Network, _endpoint: &Endpoint) -> Result<(), Error> {
        Ok(())
    }

    /// Facts about an endpoint.
    fn endpoint_info(_network: &Network, _endpoint: &Endpoint) -> Result<Vec<DriverOption>, Error> {
        Ok(Vec::new())
    }

    /// Connects an endpoint to a sandbox.
    fn join(_network: &Network, _endpoint: &Endpoint, _sandbox: &str) -> Result<JoinInfo, Error> {
        Ok(JoinInfo {
            interface: None,
            gateway: None,
            gateway_ipv6: None,
            routes: Vec::new(),
            disable_gateway_service: false,
        })
    }

    /// Disconnects an endpoint.
    fn leave(_network: &Network, _endpoint: &Endpoint) -> Result<(), Error> {
        Ok(())
    }

    /// The endpoint has become its container's way out.
    fn program_external_connectivity(
        _network: &Network,
        _endpoint: &Endpoint,
        _ports: &[PortBinding],
    ) -> Result<(), Error> {
        Ok(())
    }

    /// The endpoint is no longer its container's way out.
    fn revoke_external_connectivity(_network: &Network, _endpoint: &Endpoint) -> Result<(), Error> {
        Ok(())
    }

    /// A Swarm node appeared.
    fn discover_new(_node: &Node) -> Result<(), Error> {
        Ok(())
    }

    /// A Swarm node went away.
    fn discover_delete(_node: &Node) -> Result<(), Error> {
        Ok(())
    }

    /// The host has made the network's kernel objects again.
    fn restore_network(_network: &Network) -> Result<(), Error> {
        Ok(())
    }

    /// Entries of a group that the network follows have changed: these keys, or with none any.
    fn entries_changed(
        _network: &Network,
        _group: &str,
        _keys: Option<&[String]>,
    ) -> Result<Progress, Error> {
        Ok(Progress::Done)
    }
}

/// Carries a [`NetworkDriver`] into the generated traits.
#[doc(hidden)]
pub struct __NetworkAdapter<D>(PhantomData<D>);

// === impl __NetworkAdapter ===

impl<D: NetworkDriver> network_driver::Guest for __NetworkAdapter<D> {
    fn capabilities() -> DriverCapabilities {
        D::capabilities()
    }

    fn gateway_allocation(options: Vec<DriverOption>) -> Result<GatewaySkip, Error> {
        D::gateway_allocation(&options)
    }

    fn allocate_network(
        id: String,
        options: Vec<DriverOption>,
        ipv4: Vec<Pool>,
        ipv6: Vec<Pool>,
    ) -> Result<Vec<DriverOption>, Error> {
        D::allocate_network(&id, options, &ipv4, &ipv6)
    }

    fn free_network(id: String) -> Result<(), Error> {
        D::free_network(&id)
    }

    fn create_network(network: Network) -> Result<(), Error> {
        D::create_network(&network)
    }

    fn delete_network(network: Network) -> Result<(), Error> {
        D::delete_network(&network)
    }

    fn create_endpoint(
        network: Network,
        request: EndpointRequest,
    ) -> Result<EndpointSettings, Error> {
        D::create_endpoint(&network, &request)
    }

    fn delete_endpoint(network: Network, endpoint: Endpoint) -> Result<(), Error> {
        D::delete_endpoint(&network, &endpoint)
    }

    fn endpoint_info(network: Network, endpoint: Endpoint) -> Result<Vec<DriverOption>, Error> {
        D::endpoint_info(&network, &endpoint)
    }

    fn join(network: Network, endpoint: Endpoint, sandbox: String) -> Result<JoinInfo, Error> {
        D::join(&network, &endpoint, &sandbox)
    }

    fn leave(network: Network, endpoint: Endpoint) -> Result<(), Error> {
        D::leave(&network, &endpoint)
    }

    fn program_external_connectivity(
        network: Network,
        endpoint: Endpoint,
        ports: Vec<PortBinding>,
    ) -> Result<(), Error> {
        D::program_external_connectivity(&network, &endpoint, &ports)
    }

    fn revoke_external_connectivity(network: Network, endpoint: Endpoint) -> Result<(), Error> {
        D::revoke_external_connectivity(&network, &endpoint)
    }

    fn discover_new(node: Node) -> Result<(), Error> {
        D::discover_new(&node)
    }

    fn discover_delete(node: Node) -> Result<(), Error> {
        D::discover_delete(&node)
    }
}

impl<D: NetworkDriver> lifecycle::Guest for __NetworkAdapter<D> {
    fn restore_network(network: Network) -> Result<(), Error> {
        D::restore_network(&network)
    }

    fn entries_changed(
        network: Network,
        group: String,
        keys: Option<Vec<String>>,
    ) -> Result<Progress, Error> {
        D::entries_changed(&network, &group, keys.as_deref())
    }
}
