//! A network driver with a mistake of choice: what a small bridge driver does, and one thing
//! that no driver should do. Which one is in the network's option `wrong`.

#![allow(clippy::panic, reason = "that is what it is for")]

mod mistakes;

use wasmnet_sdk::{
    ContainerInterface, DriverOption, Endpoint, EndpointRequest, EndpointSettings, Error,
    ErrorCode, IpAddress, IpNetwork, JoinInfo, Network, NetworkDriver, Options, Pool, PortBinding,
    addresses, cluster, common, firewall, links, log, store, sysctl,
};

use crate::mistakes::{crash, policy, spin, take};

struct Wrong;

wasmnet_sdk::network_driver! {
    driver: Wrong,
    name: "wrong",
    description: "Makes a mistake of choice.",
    grants: {
        "links": ["bridge", "veth"], "masquerade": true, "publish": ["1-65535"], "cluster": true
    },
}

const VETH: links::VethOptions = links::VethOptions { mtu: None, peer_mac: None };

fn mistake(options: &[DriverOption]) -> &str {
    Options::new(options).get("wrong").unwrap_or_default()
}

fn settings(mac: Option<wasmnet_sdk::MacAddress>) -> EndpointSettings {
    EndpointSettings { ipv4: None, ipv6: None, mac }
}

fn bare_bridge(label: &str) -> Result<links::Link, Error> {
    links::create_bridge(label, &links::BridgeOptions { name: None, mtu: None, mac: None })
}

// === impl Wrong ===

impl NetworkDriver for Wrong {
    fn gateway_allocation(options: &[DriverOption]) -> Result<wasmnet_sdk::GatewaySkip, Error> {
        match mistake(options) {
            "gateway-allocation" => crash(),
            _ => Ok(wasmnet_sdk::GatewaySkip { ipv4: false, ipv6: false }),
        }
    }

    /// Allots something new each time.
    fn allocate_network(
        _: &str,
        mut options: Vec<DriverOption>,
        _: &[Pool],
        _: &[Pool],
    ) -> Result<Vec<DriverOption>, Error> {
        match mistake(&options) {
            "allocates-anew" => {
                let value = format!("{:?}", wasmnet_sdk::random::bytes(4));
                options.push(DriverOption { key: "vni".to_owned(), value });
            }
            "strict-free" => store::set(store::Scope::Driver, "strict", b"")?,
            _ => {}
        }
        Ok(options)
    }

    fn create_network(network: &Network) -> Result<(), Error> {
        let mistake = mistake(&network.options);
        let options = Options::new(&network.options);
        match mistake {
            "unwraps-options" => {
                // What a driver's author writes in haste.
                let mtu = options.get("com.docker.network.driver.mtu");
                mtu.map(|mtu| mtu.parse::<u32>().unwrap_or_else(|_| crash()));
            }
            "vendors-options" if options.get("vendor.example.flag").is_some() => {
                return Err(Error::invalid("vendor.example.flag is not known"));
            }
            "no-sentence" if options.get("com.docker.network.driver.mtu").is_some() => {
                return Err(Error::invalid(""));
            }
            "loops" => spin(),
            "remembers-agreed" => {
                // Not undone if the call fails, and in the way when it is made again.
                let key = format!("network/{}", network.id);
                if !cluster::compare_and_set(&key, None, Some(b"mine"))? {
                    return Err(Error::exists("another node has this network"));
                }
            }
            "refuses-ipv4" if !network.ipv4.is_empty() => {
                return Err(Error::invalid("only IPv6, please"));
            }
            _ => {}
        }
        let bridge = match bare_bridge("bridge") {
            Err(error) if error.code == ErrorCode::Denied && mistake == "trips-without-grants" => {
                crash()
            }
            made => made?,
        };
        for pool in network.ipv4.iter().chain(&network.ipv6) {
            let Some(gateway) = pool.gateway else { continue };
            let added = addresses::add(&bridge, gateway);
            if mistake != "passes-over" {
                added?;
            }
            let nat = firewall::SourceNat::Masquerade;
            let nat = if network.internal { firewall::SourceNat::None } else { nat };
            firewall::set_subnet(&bridge, pool.subnet, nat)?;
        }
        firewall::set_policy(&bridge, &policy(network.internal))?;
        match mistake {
            "asks-for-too-little" => {
                sysctl::set(&bridge, wasmnet_sdk::IpFamily::Ipv4, "forwarding", "1")?;
            }
            "too-many-links" => {
                for number in 0..9 {
                    bare_bridge(&format!("more{number}"))?;
                }
            }
            "too-many-operations" => (0..1100).try_for_each(|n| bridge.set_mtu(1400 + n % 2))?,
            "logs-too-much" => {
                (0..250).for_each(|n| log::write(log::Level::Info, &format!("step {n}")));
            }
            "keeps-keys" => {
                let count = store::keys(store::Scope::Driver, "")?.len();
                store::set(store::Scope::Driver, &format!("made/{count}"), network.id.as_bytes())?;
            }
            "keeps-name" => {
                store::set(store::Scope::Driver, &format!("network/{}", network.id), b"")?;
            }
            "trips-when-poor" => {
                let more = bare_bridge("more");
                more.unwrap_or_else(|_| crash());
            }
            _ => {}
        }
        Ok(())
    }

    fn create_endpoint(
        network: &Network,
        request: &EndpointRequest,
    ) -> Result<EndpointSettings, Error> {
        let options = links::VethOptions { peer_mac: request.mac, ..VETH };
        links::create_veth("port", &links::open("bridge")?, options)?;
        let open = request.mac.is_none();
        match mistake(&network.options) {
            "changes-address" => {
                let other: IpNetwork = "10.91.0.77/24".parse()?;
                Ok(EndpointSettings { ipv4: Some(other), ..settings(None) })
            }
            "one-mac-for-all" => Ok(settings(Some((2, 0x91, 0, 0, 0, 3)))),
            "groups-mac" => Ok(settings(open.then_some((1, 0, 0x5e, 0, 0, 1)))),
            "counts-endpoints" => {
                // Two endpoints, and the second one's key is never found again.
                let count = store::keys(store::Scope::Network, "")?.len();
                match count {
                    0 => store::set(store::Scope::Network, &request.id, b"")?,
                    _ => take("a second endpoint")?,
                }
                Ok(settings(None))
            }
            _ => Ok(settings(open.then(|| common::choose_mac(request.ipv4)))),
        }
    }

    fn endpoint_info(network: &Network, _: &Endpoint) -> Result<Vec<DriverOption>, Error> {
        match mistake(&network.options) {
            "info-crashes" => crash(),
            _ => Ok(Vec::new()),
        }
    }

    fn join(network: &Network, _endpoint: &Endpoint, _: &str) -> Result<JoinInfo, Error> {
        let mistake = mistake(&network.options);
        let source = match mistake {
            "foreign-link" => links::open("bridge")?.name(),
            _ => links::open("port")?.peer_name().unwrap_or_default(),
        };
        let own = |pools: &[Pool]| -> Option<IpAddress> {
            let gateway = pools.iter().find_map(|pool| pool.gateway)?;
            let leads_out = !network.internal || mistake == "leads-out";
            leads_out.then_some(gateway.address)
        };
        let gateway = match mistake {
            "foreign-gateway" => Some("192.0.2.1".parse()?),
            _ => own(&network.ipv4),
        };
        let prefix = if mistake == "long-prefix" { "an-interface-of-mine" } else { "eth" };
        Ok(JoinInfo {
            interface: Some(ContainerInterface { source, prefix: prefix.to_owned() }),
            gateway,
            gateway_ipv6: own(&network.ipv6),
            routes: Vec::new(),
            disable_gateway_service: false,
        })
    }

    fn program_external_connectivity(
        network: &Network,
        endpoint: &Endpoint,
        ports: &[PortBinding],
    ) -> Result<(), Error> {
        if mistake(&network.options) == "ports-crash" && ports.len() > 1 {
            crash()
        }
        let port = links::open("port")?;
        let (ipv4, ipv6) = (endpoint.ipv4, endpoint.ipv6);
        for binding in ports {
            let (ipv4, ipv6) = (ipv4.map(|net| net.address), ipv6.map(|net| net.address));
            let published = firewall::publish(&port, ipv4, ipv6, *binding);
            if mistake(&network.options) != "passes-ports-over" {
                published?;
            }
        }
        Ok(())
    }

    fn leave(network: &Network, _: &Endpoint) -> Result<(), Error> {
        match mistake(&network.options) {
            "refuses-to-leave" => Err(Error::unavailable("not now")),
            _ => Ok(()),
        }
    }

    fn free_network(id: &str) -> Result<(), Error> {
        match store::get(store::Scope::Driver, "strict")? {
            Some(_) => Err(Error::not_found(format!("there is no network {id}"))),
            None => Ok(()),
        }
    }

    fn restore_network(network: &Network) -> Result<(), Error> {
        match mistake(&network.options) {
            "restore-fails" => bare_bridge("bridge").map(drop),
            "restore-adds" => {
                let mut free = (0..).map(|number| format!("again{number}"));
                let label = free.find(|label| links::open(label).is_err()).unwrap_or_default();
                bare_bridge(&label).map(drop)
            }
            _ => Ok(()),
        }
    }
}
