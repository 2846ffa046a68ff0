//! Networks, endpoints and pools as an engine asks for them.

use super::object::net;
use crate::{
    DriverOption, EndpointRequest, IpFamily, IpNetwork, MacAddress, Network, Pool, PoolRequest,
    PortBinding, Protocol,
};

/// Makes a [`Network`].
#[derive(Debug, Clone)]
pub struct NetworkBuilder(Network);

/// Makes an [`EndpointRequest`].
#[derive(Debug, Clone)]
pub struct EndpointBuilder(EndpointRequest);

/// Makes a [`PoolRequest`].
#[derive(Debug, Clone)]
pub struct PoolBuilder(PoolRequest);

/// A network without subnets and options.
pub fn network(id: &str) -> NetworkBuilder {
    let (ipv4, ipv6) = (Vec::new(), Vec::new());
    NetworkBuilder(Network { id: id.to_owned(), options: Vec::new(), internal: false, ipv4, ipv6 })
}

/// An endpoint without addresses and options.
pub fn endpoint(id: &str) -> EndpointBuilder {
    let (id, options) = (id.to_owned(), Vec::new());
    EndpointBuilder(EndpointRequest { id, ipv4: None, ipv6: None, mac: None, options })
}

/// An IPv4 pool that the driver chooses.
pub fn pool(address_space: &str) -> PoolBuilder {
    PoolBuilder(PoolRequest {
        address_space: address_space.to_owned(),
        family: IpFamily::Ipv4,
        subnet: None,
        sub_pool: None,
        options: Vec::new(),
    })
}

/// `-p HOST:CONTAINER` for TCP; 0 lets the host choose its port.
pub fn port(host: u16, container: u16) -> PortBinding {
    PortBinding {
        protocol: Protocol::Tcp,
        container_port: container,
        host_address: None,
        host_ports: (host, host),
    }
}

/// What a test writes down wrongly, it should hear about at once.
#[track_caller]
#[allow(clippy::panic, reason = "only tests call it, with words of their own")]
fn read(text: &str) -> IpNetwork {
    match text.parse() {
        Ok(network) => network,
        Err(_) => panic!("\"{text}\" is no address with a prefix length"),
    }
}

fn option(key: &str, value: &str) -> DriverOption {
    DriverOption { key: key.to_owned(), value: value.to_owned() }
}

fn is_ipv4(network: IpNetwork) -> bool {
    matches!(network.address, crate::IpAddress::Ipv4(_))
}

// === impl NetworkBuilder ===

impl NetworkBuilder {
    /// `--subnet`; its gateway is the first address in it, as Docker chooses.
    #[track_caller]
    pub fn subnet(mut self, subnet: &str) -> Self {
        let subnet = read(subnet).subnet();
        let first = net(subnet).and_then(|net| net.hosts().find(|host| *host != net.network()));
        let gateway = first.map(|address| IpNetwork { address: address.into(), ..subnet });
        let address_space = "LocalDefault".to_owned();
        let pool = Pool { address_space, subnet, gateway, auxiliary: Vec::new() };
        if is_ipv4(subnet) {
            self.0.ipv4.push(pool)
        } else {
            self.0.ipv6.push(pool)
        }
        self
    }

    /// `-o KEY=VALUE`.
    pub fn option(mut self, key: &str, value: &str) -> Self {
        self.0.options.push(option(key, value));
        self
    }

    /// `--internal`.
    pub fn internal(mut self) -> Self {
        self.0.internal = true;
        self
    }

    /// The network.
    pub fn done(self) -> Network {
        self.0
    }
}

// === impl EndpointBuilder ===

impl EndpointBuilder {
    /// An address that the engine's IPAM gave it, with the subnet's prefix length.
    #[track_caller]
    pub fn address(mut self, address: &str) -> Self {
        let address = read(address);
        if is_ipv4(address) {
            self.0.ipv4 = Some(address)
        } else {
            self.0.ipv6 = Some(address)
        }
        self
    }

    /// `--mac-address`.
    pub fn mac(mut self, mac: MacAddress) -> Self {
        self.0.mac = Some(mac);
        self
    }

    /// `--driver-opt KEY=VALUE`.
    pub fn option(mut self, key: &str, value: &str) -> Self {
        self.0.options.push(option(key, value));
        self
    }

    /// The request.
    pub fn done(self) -> EndpointRequest {
        self.0
    }
}

// === impl PoolBuilder ===

impl PoolBuilder {
    /// `--subnet`.
    #[track_caller]
    pub fn subnet(mut self, subnet: &str) -> Self {
        let subnet = read(subnet);
        self.0.family = if is_ipv4(subnet) { IpFamily::Ipv4 } else { IpFamily::Ipv6 };
        self.0.subnet = Some(subnet);
        self
    }

    /// `--ip-range`.
    #[track_caller]
    pub fn range(mut self, range: &str) -> Self {
        self.0.sub_pool = Some(read(range));
        self
    }

    /// `--ipv6`, where the driver chooses.
    pub fn ipv6(mut self) -> Self {
        self.0.family = IpFamily::Ipv6;
        self
    }

    /// `--ipam-opt KEY=VALUE`.
    pub fn option(mut self, key: &str, value: &str) -> Self {
        self.0.options.push(option(key, value));
        self
    }

    /// The request.
    pub fn done(self) -> PoolRequest {
        self.0
    }
}
