//! A driver that misbehaves when a network's options say so.
//!
//! It does what a small bridge driver does; network option `chaos=METHOD:HOW` makes it
//! fail in a method, *after* the method has done its work, so that there is something to
//! undo. Methods are spelt as in the contract; ways to fail are `error`, `trap`, `loop`,
//! `memory`, `panic`, `label` (a link label that is taken) and `source` (join names a
//! link that is not its own). `slow` does not fail, but takes its time.

#![allow(clippy::panic, reason = "that is what it is for")]

use std::sync::atomic::{AtomicU32, Ordering};

use wasmnet_sdk::{
    ContainerInterface, DriverOption, Endpoint, EndpointRequest, EndpointSettings, Error, JoinInfo,
    Network, NetworkDriver, Options, PortBinding, addresses, clock, firewall, links, log, store,
};

/// The option that says where and how to fail.
const OPTION: &str = "chaos";

/// How long `slow` takes, in nanoseconds: well below the deadline.
const SLOW: u64 = 1_500_000_000;

/// Calls of this instance so far: there is never more than one.
static CALLS: AtomicU32 = AtomicU32::new(0);

struct Chaos;

wasmnet_sdk::network_driver! {
    driver: Chaos,
    name: "chaos",
    description: "Fails as told.",
    grants: { "links": ["bridge", "veth"], "masquerade": true },
}

// === impl Chaos ===

impl NetworkDriver for Chaos {
    fn create_network(network: &Network) -> Result<(), Error> {
        let options = links::BridgeOptions { name: None, mtu: None, mac: None };
        let bridge = links::create_bridge("bridge", &options)?;
        for gateway in network.ipv4.iter().filter_map(|pool| pool.gateway) {
            addresses::add(&bridge, gateway)?;
            firewall::set_subnet(&bridge, gateway.subnet(), firewall::SourceNat::Masquerade)?;
        }
        let policy = firewall::NetworkPolicy {
            internal: false,
            inter_container: true,
            access_ipv4: firewall::Access::Published,
            access_ipv6: firewall::Access::Published,
            trusted_links: Vec::new(),
        };
        firewall::set_policy(&bridge, &policy)?;
        store::set(store::Scope::Network, "made", b"yes")?;
        fail(network, "create-network")
    }

    fn delete_network(network: &Network) -> Result<(), Error> {
        fail(network, "delete-network")
    }

    fn create_endpoint(
        network: &Network,
        _request: &EndpointRequest,
    ) -> Result<EndpointSettings, Error> {
        let bridge = links::open("bridge")?;
        let options = links::VethOptions { mtu: None, peer_mac: None };
        links::create_veth("port", &bridge, options)?;
        store::set(store::Scope::Endpoint, "made", b"yes")?;
        fail(network, "create-endpoint")?;
        Ok(EndpointSettings { ipv4: None, ipv6: None, mac: None })
    }

    fn delete_endpoint(network: &Network, _endpoint: &Endpoint) -> Result<(), Error> {
        fail(network, "delete-endpoint")
    }

    fn join(network: &Network, _endpoint: &Endpoint, _sandbox: &str) -> Result<JoinInfo, Error> {
        fail(network, "join")?;
        let source = match way(network, "join").as_deref() {
            Some("source") => links::open("bridge")?.name(),
            _ => links::open("port")?.peer_name().unwrap_or_default(),
        };
        Ok(JoinInfo {
            interface: Some(ContainerInterface { source, prefix: "eth".to_owned() }),
            gateway: network.ipv4.iter().find_map(|pool| pool.gateway).map(|net| net.address),
            gateway_ipv6: None,
            routes: Vec::new(),
            disable_gateway_service: false,
        })
    }

    /// Which call of this instance it is.
    fn endpoint_info(_: &Network, _: &Endpoint) -> Result<Vec<DriverOption>, Error> {
        let call = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(vec![DriverOption { key: "call".to_owned(), value: call.to_string() }])
    }

    fn leave(network: &Network, _endpoint: &Endpoint) -> Result<(), Error> {
        fail(network, "leave")
    }

    fn program_external_connectivity(
        network: &Network,
        _endpoint: &Endpoint,
        _ports: &[PortBinding],
    ) -> Result<(), Error> {
        fail(network, "program-external-connectivity")
    }

    fn revoke_external_connectivity(network: &Network, _endpoint: &Endpoint) -> Result<(), Error> {
        fail(network, "revoke-external-connectivity")
    }
}

/// How to fail in a method, if at all.
fn way(network: &Network, method: &str) -> Option<String> {
    let (where_, how) = Options::new(&network.options).get(OPTION)?.split_once(':')?;
    (where_ == method).then(|| how.to_owned())
}

fn fail(network: &Network, method: &str) -> Result<(), Error> {
    match way(network, method).as_deref() {
        Some("error") => Err(Error::unavailable(format!("chaos in {method}, as told"))),
        #[cfg(target_arch = "wasm32")]
        Some("trap") => core::arch::wasm32::unreachable(),
        Some("panic") => panic!("chaos in {method}, as told"),
        Some("loop") => {
            // Who waits for the call to begin looks for this.
            log::write(log::Level::Info, &format!("chaos in {method}, as told"));
            loop {
                std::hint::spin_loop();
            }
        }
        Some("memory") => {
            let mut hoard: Vec<Vec<u8>> = Vec::new();
            loop {
                hoard.push(vec![1; 1 << 20]);
            }
        }
        Some("slow") => {
            let start = clock::monotonic();
            while clock::monotonic().saturating_sub(start) < SLOW {
                std::hint::spin_loop();
            }
            Ok(())
        }
        Some("label") => {
            let options = links::BridgeOptions { name: None, mtu: None, mac: None };
            links::create_bridge("bridge", &options).map(drop)
        }
        _ => Ok(()),
    }
}
