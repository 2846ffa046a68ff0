//! A driver that attacks its host.
//!
//! It is a small bridge driver, and network option `attack=NAME` says what it tries
//! beside that; `target=…` names a link, an address or a port to try it on. What the host
//! answers is what the call answers, so a denial's sentence reaches Docker's user. An
//! attack that the host merely contains ends with "the attack is over".

mod answers;
mod cluster;
mod network;
mod wire;

use wasmnet_sdk::{
    Endpoint, EndpointRequest, EndpointSettings, Error, JoinInfo, Network, NetworkDriver, Options,
    PortBinding, addresses, firewall, links,
};

struct Hostile;

wasmnet_sdk::network_driver! {
    driver: Hostile,
    name: "hostile",
    description: "Attacks its host as told.",
    grants: {
        "links": ["bridge", "veth", "vxlan", "macvlan", "ipvlan", "vlan"],
        "parents": ["*"],
        "cluster": true,
        "adopt": ["*"],
        "addresses": ["0.0.0.0/0", "::/0"],
        "routes": ["0.0.0.0/0", "::/0"],
        "sysctls": ["forwarding", "proxy_arp", "accept_ra"],
        "masquerade": true,
        "publish": ["1-65535"],
        "direct-access": true
    },
}

// === impl Hostile ===

impl NetworkDriver for Hostile {
    fn create_network(network: &Network) -> Result<(), Error> {
        let options = links::BridgeOptions { name: None, mtu: None, mac: None };
        let bridge = links::create_bridge("bridge", &options)?;
        for gateway in network.ipv4.iter().filter_map(|pool| pool.gateway) {
            addresses::add(&bridge, gateway)?;
        }
        firewall::set_policy(&bridge, &network::policy())?;
        match attack(network) {
            Some(attack) => network::attack(&attack, &bridge, network)
                .or_else(|| wire::attack(&attack, &bridge, network))
                .or_else(|| cluster::attack(&attack))
                // Attacks on later calls.
                .unwrap_or(Ok(())),
            None => Ok(()),
        }
    }

    fn create_endpoint(
        network: &Network,
        request: &EndpointRequest,
    ) -> Result<EndpointSettings, Error> {
        let bridge = links::open("bridge")?;
        links::create_veth("port", &bridge, links::VethOptions { mtu: None, peer_mac: None })?;
        answers::settings(attack(network).as_deref(), request)
    }

    fn join(network: &Network, _endpoint: &Endpoint, _sandbox: &str) -> Result<JoinInfo, Error> {
        let source = links::open("port")?.peer_name().unwrap_or_default();
        let gateway = network.ipv4.iter().find_map(|pool| pool.gateway).map(|net| net.address);
        Ok(answers::join(attack(network).as_deref(), network, source, gateway))
    }

    fn program_external_connectivity(
        network: &Network,
        endpoint: &Endpoint,
        ports: &[PortBinding],
    ) -> Result<(), Error> {
        let link = links::open("port")?;
        let own = endpoint.ipv4.map(|net| net.address);
        let victim = target(network).and_then(|target| target.parse::<std::net::IpAddr>().ok());
        for port in ports {
            let mut port = *port;
            let to = match attack(network).as_deref() {
                Some("publish-for-another") => victim.map(Into::into),
                _ => own,
            };
            if attack(network).as_deref() == Some("publish-another-port") {
                port.host_ports = (22, 22);
            }
            firewall::publish(&link, to, None, port)?;
        }
        Ok(())
    }
}

fn attack(network: &Network) -> Option<String> {
    Options::new(&network.options).get("attack").map(str::to_owned)
}

fn target(network: &Network) -> Option<String> {
    Options::new(&network.options).get("target").map(str::to_owned)
}

/// What an attack says that the host let run into nothing.
fn over() -> Error {
    Error::unavailable("the attack is over")
}
