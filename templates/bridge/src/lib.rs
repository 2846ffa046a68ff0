//! A network driver: the containers of a network are ports of one bridge, reach the outside by
//! the host's address, and are reached by their published ports.
//!
//! Every call is a transaction in a fresh instance: on an error everything is undone, and what
//! an endpoint or a network made is deleted with it. Methods that are not here do nothing.

#[cfg(test)]
mod tests;

use wasmnet_sdk::{
    ContainerInterface, Endpoint, EndpointRequest, EndpointSettings, Error, JoinInfo, Network,
    NetworkDriver, Options, Pool, PortBinding, addresses, common,
    firewall::{self, Access, NetworkPolicy, SourceNat},
    links::{self, BridgeOptions, Link, VethOptions},
};

/// The option that says whether containers of the network may talk to each other.
const ICC: &str = "com.docker.network.bridge.enable_icc";

/// The driver's own words for its links.
const BRIDGE: &str = "bridge";
const PORT: &str = "port";

struct Driver;

// What it is called, and what it asks the operator for.
wasmnet_sdk::network_driver! {
    driver: Driver,
    name: "template-bridge",
    description: "Containers on a bridge, with NAT to the outside.",
    grants: { "links": ["bridge", "veth"], "masquerade": true, "publish": ["1-65535"] },
}

impl NetworkDriver for Driver {
    fn create_network(network: &Network) -> Result<(), Error> {
        let options = Options::new(&network.options);
        let mtu = common::mtu(network, &options)?;
        let inter_container = options.flag(ICC)?.unwrap_or(true);

        let bridge = links::create_bridge(BRIDGE, &BridgeOptions { name: None, mtu, mac: None })?;
        let policy = NetworkPolicy {
            internal: network.internal,
            inter_container,
            access_ipv4: Access::Published,
            access_ipv6: Access::Published,
            trusted_links: Vec::new(),
        };
        firewall::set_policy(&bridge, &policy)?;
        let nat = if network.internal { SourceNat::None } else { SourceNat::Masquerade };
        let mut pools = network.ipv4.iter().chain(&network.ipv6);
        pools.try_for_each(|pool| add_pool(&bridge, pool, nat))
    }

    fn create_endpoint(
        _network: &Network,
        request: &EndpointRequest,
    ) -> Result<EndpointSettings, Error> {
        let chosen = request.mac.is_none().then(|| common::choose_mac(request.ipv4));
        let bridge = links::open(BRIDGE)?;
        let options = VethOptions { mtu: bridge.mtu(), peer_mac: request.mac.or(chosen) };
        links::create_veth(PORT, &bridge, options)?;
        Ok(EndpointSettings { ipv4: None, ipv6: None, mac: chosen })
    }

    fn join(network: &Network, _endpoint: &Endpoint, _sandbox: &str) -> Result<JoinInfo, Error> {
        let prefix = common::interface_prefix(&Options::new(&network.options))?;
        let source = links::open(PORT)?
            .peer_name()
            .ok_or_else(|| Error::not_found("the endpoint's link is not a veth pair"))?;
        // Nothing beyond the bridge can be reached from an internal network.
        let gateway = |pools: &[Pool]| {
            let gateway = pools.iter().find_map(|pool| pool.gateway);
            gateway.filter(|_| !network.internal).map(|gateway| gateway.address)
        };
        Ok(JoinInfo {
            interface: Some(ContainerInterface { source, prefix }),
            gateway: gateway(&network.ipv4),
            gateway_ipv6: gateway(&network.ipv6),
            routes: Vec::new(),
            disable_gateway_service: false,
        })
    }

    fn program_external_connectivity(
        network: &Network,
        endpoint: &Endpoint,
        ports: &[PortBinding],
    ) -> Result<(), Error> {
        // Nobody comes in to an internal network.
        if network.internal {
            return Ok(());
        }
        let port = links::open(PORT)?;
        let (ipv4, ipv6) = (endpoint.ipv4, endpoint.ipv6);
        let (ipv4, ipv6) = (ipv4.map(|net| net.address), ipv6.map(|net| net.address));
        for binding in ports {
            firewall::publish(&port, ipv4, ipv6, *binding)?;
        }
        Ok(())
    }
}

/// Gives the bridge the gateway's address, and the subnet its way out.
fn add_pool(bridge: &Link, pool: &Pool, nat: SourceNat) -> Result<(), Error> {
    if pool.subnet.prefix_length == 0 {
        return Err(Error::invalid("the network needs a subnet; IPAM driver \"null\" gives none"));
    }
    if let Some(gateway) = pool.gateway {
        addresses::add(bridge, gateway)?;
    }
    firewall::set_subnet(bridge, pool.subnet, nat)
}
