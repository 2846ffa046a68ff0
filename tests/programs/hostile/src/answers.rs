//! Attacks by what a call answers.

use wasmnet_sdk::{
    ContainerInterface, EndpointRequest, EndpointSettings, Error, IpAddress, IpNetwork, JoinInfo,
    Network, StaticRoute,
};

use crate::{cluster, target};

/// The settings of an endpoint.
pub fn settings(
    attack: Option<&str>,
    request: &EndpointRequest,
) -> Result<EndpointSettings, Error> {
    let mut settings = EndpointSettings { ipv4: None, ipv6: None, mac: None };
    match attack {
        // The same for every endpoint of the network.
        Some("same-mac") => settings.mac = Some((2, 0, 0, 0, 0, 1)),
        Some("multicast-mac") => settings.mac = Some((1, 0, 0x5e, 0, 0, 1)),
        Some("other-address") => {
            let address = IpAddress::Ipv4((198, 51, 100, 1));
            settings.ipv4 = Some(IpNetwork { address, prefix_length: 24 });
        }
        Some("long-prefix") => {
            settings.ipv4 = request.ipv4.map(|net| IpNetwork { prefix_length: 99, ..net });
        }
        Some("wrong-family") => {
            let address = IpAddress::Ipv6((0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
            settings.ipv4 = Some(IpNetwork { address, prefix_length: 24 });
        }
        Some("listen") => cluster::listen()?,
        _ => {}
    }
    Ok(settings)
}

/// What the engine is to set up.
pub fn join(
    attack: Option<&str>,
    network: &Network,
    source: String,
    gateway: Option<IpAddress>,
) -> JoinInfo {
    let mut interface = ContainerInterface { source, prefix: "eth".to_owned() };
    let mut info = JoinInfo {
        interface: None,
        gateway,
        gateway_ipv6: None,
        routes: Vec::new(),
        disable_gateway_service: false,
    };
    match attack {
        Some("source") => interface.source = target(network).unwrap_or_default(),
        Some("long-source") => interface.source = "w".repeat(30 << 20),
        Some("odd-source") => interface.source = "eth0\n\u{1b}[2J\0".to_owned(),
        Some("prefix") => interface.prefix = "../\n\0".to_owned(),
        Some("long-join-prefix") => interface.prefix = "e".repeat(1 << 20),
        Some("gateway-family") => {
            info.gateway = Some(IpAddress::Ipv6((0xfe80, 0, 0, 0, 0, 0, 0, 1)));
        }
        Some("route-length") => info.routes.push(StaticRoute {
            destination: IpNetwork { address: IpAddress::Ipv4((10, 0, 0, 0)), prefix_length: 99 },
            next_hop: None,
        }),
        Some("many-routes") => {
            let route = |number: u32| StaticRoute {
                destination: IpNetwork {
                    address: IpAddress::Ipv4(number.to_be_bytes().into()),
                    prefix_length: 32,
                },
                next_hop: None,
            };
            info.routes = (0..1_000_000).map(route).collect();
        }
        _ => {}
    }
    info.interface = Some(interface);
    info
}
