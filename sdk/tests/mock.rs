//! The host in memory has the rules of a real one.

#![allow(clippy::unwrap_used, reason = "tests")]

use wasmnet_sdk::{
    ContainerInterface, Endpoint, EndpointRequest, EndpointSettings, Error, ErrorCode, IpFamily,
    IpNetwork, JoinInfo, Network, NetworkDriver, Options, PortBinding, Progress, addresses, clock,
    cluster, common, config, firewall,
    links::{self, BridgeOptions, MacvlanMode, MacvlanOptions, VethOptions, VxlanOptions},
    log,
    mock::{self, Docker},
    neighbours, random, routes, store, sysctl,
};

/// What a network or endpoint does is in its option "do".
struct Told;

const BRIDGE: BridgeOptions = BridgeOptions { name: None, mtu: None, mac: None };
const VETH: VethOptions = VethOptions { mtu: None, peer_mac: None };
const POLICY: firewall::NetworkPolicy = firewall::NetworkPolicy {
    internal: false,
    inter_container: true,
    access_ipv4: firewall::Access::Published,
    access_ipv6: firewall::Access::Published,
    trusted_links: Vec::new(),
};

impl NetworkDriver for Told {
    fn create_network(network: &Network) -> Result<(), Error> {
        let bridge = links::create_bridge("bridge", &BRIDGE)?;
        for pool in &network.ipv4 {
            addresses::add(&bridge, pool.gateway.unwrap())?;
            firewall::set_subnet(&bridge, pool.subnet, firewall::SourceNat::Masquerade)?;
        }
        firewall::set_policy(&bridge, &POLICY)?;
        store::set(store::Scope::Network, "made", b"yes")?;
        match Options::new(&network.options).get("do").unwrap_or_default() {
            "" => Ok(()),
            "label" => links::create_bridge("bridge", &BRIDGE).map(drop),
            "open" => links::open("other").map(drop),
            "name" | "taken" => {
                let name = Options::new(&network.options).get("name").map(str::to_owned);
                links::create_bridge("named", &BridgeOptions { name, ..BRIDGE }).map(drop)
            }
            "unsaid" => {
                let name = Some("acme7".to_owned());
                links::create_bridge("named", &BridgeOptions { name, ..BRIDGE }).map(drop)
            }
            "links" => {
                (0..9).try_for_each(|n| links::create_bridge(&n.to_string(), &BRIDGE).map(drop))
            }
            "operations" => (0..2000).try_for_each(|n| bridge.set_mtu(1000 + n)),
            "address" => addresses::add(&bridge, "192.0.2.1/24".parse()?),
            "twice" => addresses::add(&bridge, network.ipv4[0].gateway.unwrap()),
            "absent" => addresses::remove(&bridge, "10.1.0.9/24".parse()?),
            "route" => routes::add(&bridge, "10.1.0.9/24".parse()?, None),
            "deleted" => {
                bridge.delete()?;
                bridge.set_up(true)
            }
            "nat" => {
                let half: IpNetwork = "10.1.0.0/25".parse()?;
                firewall::set_subnet(&bridge, half, firewall::SourceNat::None)
            }
            "sysctl" => sysctl::set(&bridge, IpFamily::Ipv4, "../all/forwarding", "1"),
            "key" => store::set(store::Scope::Driver, "", b""),
            "endpoint-key" => store::set(store::Scope::Endpoint, "key", b""),
            "vni" => {
                let local = "192.0.2.1".parse()?;
                let vxlan = VxlanOptions { vni: 0, port: 4789, local, mtu: 1450 };
                links::create_vxlan("vtep", &bridge, vxlan).map(drop)
            }
            "parent" => {
                let parent = "eth0".to_owned();
                let (mode, mac, mtu) = (MacvlanMode::Bridge, None, None);
                links::create_macvlan("m", &MacvlanOptions { parent, mode, mac, mtu }).map(drop)
            }
            "adopt" => links::adopt_bridge("lan", "eth0", None).map(drop),
            "entries" => cluster::entries("group", None).map(drop),
            "long" => cluster::publish("group", "key", &[0; 4097]),
            "follow" => cluster::follow("group"),
            other => Err(Error::invalid(format!("do {other}?"))),
        }
    }

    fn create_endpoint(_: &Network, request: &EndpointRequest) -> Result<EndpointSettings, Error> {
        let options = Options::new(&request.options);
        links::create_veth("port", &links::open("bridge")?, VETH)?;
        store::set(store::Scope::Endpoint, "made", b"yes")?;
        let mut settings = EndpointSettings { ipv4: None, ipv6: None, mac: None };
        match options.get("do").unwrap_or_default() {
            "mac" => settings.mac = Some((2, 0, 0, 0, 0, 7)),
            "address" => settings.ipv4 = Some("10.1.0.77/24".parse()?),
            _ => {}
        }
        Ok(settings)
    }

    fn join(_: &Network, endpoint: &Endpoint, _: &str) -> Result<JoinInfo, Error> {
        let options = Options::new(&endpoint.options);
        let port = links::open("port")?;
        let (source, prefix) = match options.get("do") {
            Some("source") => (links::open("bridge")?.name(), "eth"),
            Some("prefix") => (port.peer_name().unwrap(), "a/b"),
            _ => (port.peer_name().unwrap(), "eth"),
        };
        let interface = Some(ContainerInterface { source, prefix: prefix.to_owned() });
        let (gateway, gateway_ipv6, routes) = (None, None, Vec::new());
        Ok(JoinInfo { interface, gateway, gateway_ipv6, routes, disable_gateway_service: true })
    }

    fn program_external_connectivity(
        _: &Network,
        endpoint: &Endpoint,
        ports: &[PortBinding],
    ) -> Result<(), Error> {
        let port = links::open("port")?;
        let address = match Options::new(&endpoint.options).get("do") {
            Some("foreign") => Some("10.1.0.99".parse()?),
            _ => endpoint.ipv4.map(|net| net.address),
        };
        ports
            .iter()
            .try_for_each(|binding| firewall::publish(&port, address, None, *binding).map(drop))
    }

    fn delete_endpoint(_: &Network, endpoint: &Endpoint) -> Result<(), Error> {
        match Options::new(&endpoint.options).get("do") {
            Some("keep") => Err(Error::unavailable("no")),
            _ => Ok(()),
        }
    }

    fn restore_network(_: &Network) -> Result<(), Error> {
        neighbours::add(&links::open("bridge")?, "10.1.0.7".parse()?, (2, 0, 0, 0, 0, 7))
    }

    fn entries_changed(
        _: &Network,
        group: &str,
        keys: Option<&[String]>,
    ) -> Result<Progress, Error> {
        let entries = cluster::entries(group, None)?;
        let text = format!("{group} {keys:?}: {} from {}", entries.len(), entries[0].node.name);
        log::write(log::Level::Info, &text);
        Ok(Progress::Done)
    }
}

fn n1() -> mock::NetworkBuilder {
    mock::network("n1").subnet("10.1.0.0/24")
}

fn started() -> Docker<Told> {
    let mut docker = Docker::new();
    docker.create_network(&n1().done()).unwrap();
    docker
}

#[test]
fn what_the_host_refuses_is_refused_here_and_leaves_nothing() {
    for (told, code, says) in [
        ("label", ErrorCode::Exists, "there is a link \"bridge\" here already"),
        ("open", ErrorCode::NotFound, "no link \"other\""),
        ("unsaid", ErrorCode::Denied, "no option of the network has"),
        ("links", ErrorCode::Exhausted, "at most 8 links"),
        ("operations", ErrorCode::Exhausted, "at most 1024"),
        ("address", ErrorCode::Denied, "outside the network's subnets"),
        ("twice", ErrorCode::Exists, "there is one already"),
        ("absent", ErrorCode::NotFound, "of this driver"),
        ("route", ErrorCode::Invalid, "host bits"),
        ("deleted", ErrorCode::NotFound, "is gone"),
        ("nat", ErrorCode::Invalid, "same source NAT"),
        ("sysctl", ErrorCode::Invalid, "not the name of a link's setting"),
        ("key", ErrorCode::Invalid, "1 to 255 bytes"),
        ("endpoint-key", ErrorCode::Invalid, "about no endpoint"),
        ("vni", ErrorCode::Invalid, "1 to 16777215"),
        ("parent", ErrorCode::Denied, "make links on eth0"),
        ("adopt", ErrorCode::Denied, "no option"),
        ("entries", ErrorCode::Invalid, "does not follow"),
        ("long", ErrorCode::Invalid, "4096"),
    ] {
        let mut docker = Docker::<Told>::new();
        let error = docker.create_network(&n1().option("do", told).done()).unwrap_err();
        assert_eq!(error.code, code, "{told}: {error:?}");
        assert!(error.message.contains(says), "{told}: {error:?}");
        assert_eq!(docker.host().standing(), [""; 0], "{told}");
        assert_eq!(docker.host().keys(), [""; 0], "{told}");
    }
}

#[test]
fn a_name_is_the_users_choice_and_somebodys() {
    let mut docker = Docker::<Told>::new();
    docker.host().add_bridge("br7");
    let named = |id: &str, name: &str| {
        mock::network(id).subnet("10.1.0.0/24").option("do", "name").option("name", name).done()
    };
    let taken = docker.create_network(&named("n1", "br7")).unwrap_err();
    assert_eq!(taken.code, ErrorCode::Exists);
    for wrong in ["sixteen-letters-", "a/b", "wn0123456789ab", ".."] {
        let error = docker.create_network(&named("n1", wrong)).unwrap_err();
        assert!(error.message.contains("link name"), "{error:?}");
    }
    docker.create_network(&named("n1", "acme0")).unwrap();
    assert_eq!(docker.host().link("n1/named").unwrap().name, "acme0");
    assert_eq!(docker.create_network(&named("n2", "acme0")).unwrap_err().code, ErrorCode::Exists);
}

#[test]
fn an_endpoint_lives_and_leaves_nothing_whatever_the_driver_forgets() {
    let mut docker = started();
    let before = docker.host().standing();
    let request = mock::endpoint("e1").address("10.1.0.2/24").done();
    let endpoint = docker.create_endpoint("n1", &request).unwrap();
    assert_eq!(endpoint.ipv4.unwrap().to_string(), "10.1.0.2/24");
    assert_eq!(docker.create_endpoint("n1", &request).unwrap(), endpoint);
    let joined = docker.join("n1", "e1").unwrap();
    assert_eq!(docker.join("n1", "e1").unwrap(), joined);
    docker.program("n1", "e1", &[mock::port(8080, 80)]).unwrap();
    assert_eq!(
        docker.host().standing()[before.len()..],
        [
            "veth n1/e1/port at n1/bridge",
            "port 0.0.0.0:8080 to 10.1.0.2:80/tcp",
            "port [::]:8080 to 10.1.0.2:80/tcp",
        ]
    );
    assert_eq!(docker.host().keys(), ["n1/made", "n1/e1/made"]);
    docker.program("n1", "e1", &[mock::port(0, 80)]).unwrap();
    assert!(docker.host().standing().contains(&"port 0.0.0.0:32768 to 10.1.0.2:80/tcp".to_owned()));
    docker.delete_endpoint("n1", "e1").unwrap();
    docker.delete_endpoint("n1", "e1").unwrap();
    assert_eq!(docker.host().standing(), before);
    docker.delete_network("n1").unwrap();
    assert_eq!((docker.host().objects().len(), docker.host().keys().len()), (0, 0));
}

#[test]
fn answers_that_an_engine_would_not_take_are_refused() {
    let mut docker = started();
    let told =
        |id: &str, told: &str| mock::endpoint(id).address("10.1.0.2/24").option("do", told).done();
    let changed = docker.create_endpoint("n1", &told("e1", "address")).unwrap_err();
    assert!(changed.message.contains("changed the IPv4 address"), "{changed:?}");
    docker.create_endpoint("n1", &told("e1", "mac")).unwrap();
    let same = docker.create_endpoint("n1", &told("e2", "mac")).unwrap_err();
    assert!(same.message.contains("02:00:00:00:00:07"), "{same:?}");
    for (id, way, says) in
        [("e3", "source", "no link of this endpoint"), ("e4", "prefix", "cannot begin")]
    {
        docker.create_endpoint("n1", &told(id, way)).unwrap();
        let error = docker.join("n1", id).unwrap_err();
        assert!(error.message.contains(says), "{error:?}");
    }
}

#[test]
fn a_port_is_published_once_and_for_its_endpoint() {
    let mut docker = started();
    for (id, told, address) in
        [("e1", "", "10.1.0.2/24"), ("e2", "", "10.1.0.3/24"), ("e3", "foreign", "10.1.0.4/24")]
    {
        let request = mock::endpoint(id).address(address).option("do", told).done();
        docker.create_endpoint("n1", &request).unwrap();
    }
    docker.program("n1", "e1", &[mock::port(80, 80)]).unwrap();
    let taken = docker.program("n1", "e2", &[mock::port(80, 80)]).unwrap_err();
    assert_eq!(taken.code, ErrorCode::InUse);
    assert_eq!(taken.message, "Bind for 0.0.0.0:80 failed: port is already allocated");
    docker.revoke("n1", "e1").unwrap();
    docker.program("n1", "e2", &[mock::port(80, 80)]).unwrap();
    let foreign = docker.program("n1", "e3", &[mock::port(81, 80)]).unwrap_err();
    assert_eq!(foreign.code, ErrorCode::Denied);
}

#[test]
fn deleting_happens_though_the_driver_fails() {
    let mut docker = started();
    let request = mock::endpoint("e1").option("do", "keep").done();
    docker.create_endpoint("n1", &request).unwrap();
    docker.delete_endpoint("n1", "e1").unwrap_err();
    assert!(docker.host().link("n1/e1/port").is_none());
}

#[test]
fn after_a_reboot_networks_stand_and_the_driver_hears_of_it() {
    let mut docker = started();
    docker.create_endpoint("n1", &mock::endpoint("e1").done()).unwrap();
    let mut standing = docker.host().standing();
    docker.reboot().unwrap();
    standing.retain(|line| !line.contains("e1"));
    standing.push("neighbour 10.1.0.7 is 02:00:00:00:00:07 on n1/bridge".to_owned());
    assert_eq!(docker.host().standing(), standing);
}

#[test]
fn other_nodes_are_heard() {
    let mut docker = Docker::<Told>::new();
    docker.create_network(&n1().option("do", "follow").done()).unwrap();
    docker.published_elsewhere("host2", "group", "key", b"value").unwrap();
    let said = (log::Level::Info, "group Some([\"key\"]): 1 from host2".to_owned());
    assert_eq!(docker.host().logged(), [said]);
}

#[test]
fn every_failure_of_an_import_is_undone() {
    let mut docker = Docker::<Told>::new();
    let network = n1().done();
    assert_eq!(docker.fail_everywhere(|docker| docker.create_network(&network)), 5);
    let request = mock::endpoint("e1").done();
    assert_eq!(docker.fail_everywhere(|docker| docker.create_endpoint("n1", &request)), 3);
}

/// A driver that says nothing of what did not work.
struct Silent;

impl NetworkDriver for Silent {
    fn create_network(_: &Network) -> Result<(), Error> {
        let bridge = links::create_bridge("bridge", &BRIDGE)?;
        let _ = bridge.set_mtu(1400);
        let _ = addresses::add(&bridge, "10.1.0.1/24".parse()?);
        Ok(())
    }
}

#[test]
#[should_panic(expected = "says that it worked though its import 1 failed")]
fn a_failure_that_is_passed_over_is_found() {
    let network = n1().done();
    Docker::<Silent>::new().fail_everywhere(|docker| docker.create_network(&network));
}

#[test]
fn time_randomness_and_config_are_the_tests() {
    let docker = Docker::<Told>::new();
    let first = random::bytes(8);
    let before = clock::wall();
    docker.host().advance(1_000_000_000);
    assert!((1_000_000_000..1_001_000_000).contains(&(clock::wall() - before)));
    docker.host().config("server", "one.example");
    assert_eq!(config::get("server").as_deref(), Some("one.example"));
    drop(docker);
    let _docker = Docker::<Told>::new();
    assert_eq!((random::bytes(8), config::get("server")), (first, None));
    let mac = common::choose_mac(None);
    assert_eq!(mac.0 & 3, 2, "{mac:?} is not a local one's");
}
