//! Networks on a link of the host's: who shares it, and what comes back when it does.

use std::{collections::BTreeSet, process::Command, sync::Arc};

use wasmnet::{
    grants::Grants,
    id::DriverName,
    kernel::{
        Address, IpvlanFlag, IpvlanMode, Kernel, Link, LinkKind, LinkName, Object, ObjectKey,
        Simulated,
    },
    model::{Network, StaticRoute},
    reconcile,
};

use crate::bench::{
    Bench, endpoint, endpoint_id, linux, macvlan, network, network_id, simulated, until,
};

/// A link of somebody's.
fn wire(name: &str) -> Link {
    let mac = Some("02:00:00:00:00:0a".parse().unwrap());
    Link { up: true, mtu: Some(1500), mac, ..Link::bridge(name.parse().unwrap()) }
}

/// A network with options ("parent=eth0").
fn with(number: u8, options: &[&str]) -> Network {
    let mut network = network(number);
    let option = |text: &&str| {
        let (key, value) = text.split_once('=').unwrap();
        (key.to_owned(), value.to_owned())
    };
    network.options = options.iter().map(option).collect();
    network
}

/// A dispatcher on a simulated kernel that has this link.
async fn bench_on(kernel: &Arc<Simulated>, link: &str) -> Bench {
    kernel.gain_link(wire(link));
    Bench::start(Arc::clone(kernel) as Arc<_>).await
}

fn link(kernel: &Simulated, name: &str) -> Option<Link> {
    kernel.objects().into_iter().find_map(|object| match object {
        Object::Link(link) if link.name.as_str() == name => Some(link),
        _ => None,
    })
}

async fn create(bench: &Bench, network: Network) -> Result<(), String> {
    let made = bench.dispatcher.create_network(&macvlan(), network).await;
    made.map_err(|error| error.external())
}

async fn delete(bench: &Bench, number: u8) {
    bench.dispatcher.delete_network(&macvlan(), &network_id(number)).await.unwrap();
    bench.settle().await;
}

#[test]
fn a_vlan_comes_with_its_first_network_and_goes_with_the_last() {
    simulated(|kernel| async move {
        let bench = bench_on(&kernel, "wire0").await;
        for number in 1..=3 {
            create(&bench, with(number, &["parent=wire0.50"])).await.unwrap();
        }
        let vlan = link(&kernel, "wire0.50").unwrap();
        assert_eq!(vlan.kind, LinkKind::Vlan { parent: "wire0".parse().unwrap(), id: 50 });
        assert!(vlan.up && vlan.alias == "wasmnet:wasm-macvlan", "{vlan:?}");
        let to = &bench.dispatcher;
        to.create_endpoint(&macvlan(), &network_id(2), endpoint(7, 2, 2)).await.unwrap();
        let on_vlan = |object: &Object| matches!(object, Object::Link(link) if link.moves && link.kind.parent() == Some(&vlan.name));
        assert!(kernel.objects().iter().any(on_vlan));
        // A restart forgets nobody.
        let bench = bench.restart().await;
        for number in [1, 3] {
            delete(&bench, number).await;
            assert_eq!(link(&kernel, "wire0.50").as_ref(), Some(&vlan));
        }
        delete(&bench, 2).await;
        assert_eq!(kernel.objects(), [Object::Link(wire("wire0"))]);
        bench.assert_ledger_empty();
    });
}

#[test]
fn a_vlan_that_is_there_is_used_and_left() {
    simulated(|kernel| async move {
        let bench = bench_on(&kernel, "wire0").await;
        let kind = LinkKind::Vlan { parent: "wire0".parse().unwrap(), id: 50 };
        kernel.gain_link(Link { kind, ..wire("wire0.50") });
        let before = kernel.objects();
        create(&bench, with(1, &["parent=wire0.50"])).await.unwrap();
        delete(&bench, 1).await;
        assert_eq!(kernel.objects(), before);
        // Numbers have no meaning in a name that is somebody's.
        kernel.gain_link(wire("wire0.5000"));
        create(&bench, with(1, &["parent=wire0.5000"])).await.unwrap();
    });
}

#[test]
fn one_vlan_is_there_for_all_who_come_and_go_at_once() {
    simulated(|kernel| async move {
        let bench = bench_on(&kernel, "wire0").await;
        for _ in 0..30 {
            let comes_and_goes = (1..=6).map(|number| {
                let bench = &bench;
                async move {
                    create(bench, with(number, &["parent=wire0.50"])).await.unwrap();
                    if number % 2 == 0 {
                        let to = &bench.dispatcher;
                        to.delete_network(&macvlan(), &network_id(number)).await.unwrap();
                    }
                }
            });
            futures::future::join_all(comes_and_goes).await;
            bench.settle().await;
            assert!(link(&kernel, "wire0.50").is_some(), "three networks have it");
            for number in [1, 3, 5] {
                delete(&bench, number).await;
            }
            assert_eq!(kernel.objects(), [Object::Link(wire("wire0"))]);
        }
        bench.assert_ledger_empty();
    });
}

#[test]
fn a_failure_at_any_operation_leaves_no_vlan() {
    simulated(|kernel| async move {
        let bench = bench_on(&kernel, "wire0").await;
        let before = kernel.objects();
        let mut failures = 0;
        loop {
            kernel.fail_at(failures, 1);
            let options = ["parent=wire0.50", "wasmnet.host_access=true"];
            let made = create(&bench, with(1, &options)).await;
            kernel.fail_never();
            let Err(error) = made else { break };
            assert!(error.contains("memory"), "{error}");
            assert_eq!(kernel.objects(), before);
            bench.assert_ledger_empty();
            failures += 1;
        }
        assert!(failures >= 6, "only {failures} operations failed");
    });
}

#[test]
fn parents_that_cannot_be_are_refused_with_a_sentence() {
    simulated(|kernel| async move {
        let bench = bench_on(&kernel, "wire0").await;
        let before = kernel.objects();
        for (parent, sentence) in [
            ("nowhere0", "there is no link nowhere0"),
            ("nowhere0.50", "there is no link nowhere0"),
            ("wire0.0", "0 is no VLAN identifier; use one from 1 to 4094"),
            ("wire0.4095", "4095 is no VLAN identifier"),
            ("wire0.050", "there is no link wire0.050"),
            ("wire0.50.60", "there is no link wire0.50.60"),
            ("wire0.x", "there is no link wire0.x"),
            (".50", "there is no link .50"),
            ("wire0-1234567.50", "link name"),
        ] {
            let error = create(&bench, with(1, &[&format!("parent={parent}")])).await.unwrap_err();
            assert!(error.contains(sentence), "{parent}: {error}");
        }
        assert_eq!(kernel.objects(), before);
        bench.assert_ledger_empty();
    });
}

#[test]
fn a_vlan_needs_the_grant_of_its_parent_and_of_its_kind() {
    for (grants, denied) in [
        ("links = ['macvlan', 'vlan']\nparents = ['wire0']", None),
        ("links = ['macvlan', 'vlan']\nparents = ['wire0.50']", Some("denied-parent")),
        ("links = ['macvlan']\nparents = ['*']", Some("denied-link-kind")),
    ] {
        simulated(|kernel| async move {
            kernel.gain_link(wire("wire0"));
            let before = kernel.objects();
            let grants: Grants = toml::from_str(grants).unwrap();
            let bench = Bench::with_grants(Arc::clone(&kernel) as Arc<_>, Some(grants)).await;
            let made = create(&bench, with(1, &["parent=wire0.50"])).await;
            match denied {
                None => made.unwrap(),
                Some(code) => {
                    assert!(made.as_ref().is_err_and(|error| error.contains(code)), "{made:?}");
                    assert_eq!(kernel.objects(), before);
                }
            }
        });
    }
}

#[test]
fn what_stands_on_a_parent_comes_back_with_it() {
    simulated(|kernel| async move {
        let bench = bench_on(&kernel, "wire0").await;
        let (to, driver) = (Arc::clone(&bench.dispatcher), macvlan());
        let run = tokio::spawn(reconcile::run(Arc::clone(&to)));
        for (number, parent) in [(1, "wire0"), (2, "wire0.50"), (3, "wire0.50")] {
            let options = [&format!("parent={parent}"), "wasmnet.host_access=true"];
            create(&bench, with(number, &options)).await.unwrap();
            let request = endpoint(number, number, 2);
            to.create_endpoint(&driver, &network_id(number), request).await.unwrap();
            let id = endpoint_id(number);
            to.join(&driver, &network_id(number), &id, "/x").await.unwrap();
        }
        let host_side = || -> BTreeSet<ObjectKey> {
            let moved = |object: &Object| matches!(object, Object::Link(link) if link.moves);
            kernel.objects().iter().filter(|object| !moved(object)).map(Object::key).collect()
        };
        let before = host_side();
        // The VLAN alone, and then everything.
        kernel.lose_link(&"wire0.50".parse().unwrap());
        until("the VLAN is back, and what was on it", async || host_side() == before).await;
        kernel.lose_link(&"wire0".parse().unwrap());
        until("all is tried in vain", async || host_side().is_empty()).await;
        kernel.gain_link(wire("wire0"));
        until("everything is back", async || host_side() == before).await;
        run.abort();

        // While the daemon is away, and when it is back.
        kernel.lose_link(&"wire0".parse().unwrap());
        drop(to);
        let bench = bench.restart().await;
        assert_eq!(host_side(), BTreeSet::new());
        let run = tokio::spawn(reconcile::run(Arc::clone(&bench.dispatcher)));
        kernel.gain_link(wire("wire0"));
        until("everything is back", async || host_side() == before).await;
        // Nobody was taken for dead meanwhile.
        assert_eq!(bench.dispatcher.ledger().read().endpoints.len(), 3);
        run.abort();
        for number in 1..=3 {
            delete(&bench, number).await;
        }
        assert_eq!(kernel.objects(), [Object::Link(wire("wire0"))]);
    });
}

#[test]
fn the_host_answers_for_the_addresses_that_the_parent_has_at_the_time() {
    simulated(|kernel| async move {
        let bench = bench_on(&kernel, "wire0").await;
        let address =
            |text: &str| Address { link: "wire0".parse().unwrap(), net: text.parse().unwrap() };
        for text in ["fd00:1::7/64", "fe80::7/64", "10.1.0.7/16"] {
            kernel.set_address(address(text), true);
        }
        let run = tokio::spawn(reconcile::run(Arc::clone(&bench.dispatcher)));
        let options = ["parent=wire0", "wasmnet.host_access=true"];
        create(&bench, with(1, &options)).await.unwrap();
        let answers = async || answers(&*kernel).await;
        assert_eq!(answers().await, ["fd00:1::7"]);
        kernel.set_address(address("fd00:1::8/64"), true);
        until("a new address is answered for", async || {
            answers().await == ["fd00:1::7", "fd00:1::8"]
        })
        .await;
        kernel.set_address(address("fd00:1::7/64"), false);
        until("an old one no longer", async || answers().await == ["fd00:1::8"]).await;
        run.abort();
        delete(&bench, 1).await;
        assert!(answers().await.is_empty());
    });
}

/// What links answer for.
async fn answers(kernel: &dyn Kernel) -> Vec<String> {
    let beside = wasmnet::kernel::Beside { proxies: true, ..Default::default() };
    let proxies = kernel.look(&beside).await.unwrap().proxies.unwrap();
    proxies.into_iter().map(|(_, address)| address.to_string()).collect()
}

#[test]
fn linux_answers_for_a_parent_as_long_as_it_has_the_addresses() {
    linux(|kernel| async move {
        let parent = wire("wire0");
        kernel.create(&Object::Link(parent.clone())).await.unwrap();
        let net = "fd00:1::7/64".parse().unwrap();
        let address = Object::Address(Address { link: parent.name.clone(), net });
        kernel.create(&address).await.unwrap();
        let bench = Bench::start(Arc::clone(&kernel) as Arc<_>).await;
        let run = tokio::spawn(reconcile::run(Arc::clone(&bench.dispatcher)));
        let options = ["parent=wire0", "wasmnet.host_access=true"];
        create(&bench, with(1, &options)).await.unwrap();
        assert_eq!(answers(&*kernel).await, ["fd00:1::7"]);
        kernel.delete(&address).await.unwrap();
        until("it is answered for no longer", async || answers(&*kernel).await.is_empty()).await;
        kernel.create(&address).await.unwrap();
        until("it is again", async || answers(&*kernel).await == ["fd00:1::7"]).await;
        run.abort();
        delete(&bench, 1).await;

        bench.assert_ledger_empty();
    });
}

/// Makes a network as Linux can: if it cannot, it names the option that it was built without.
async fn create_on_linux(bench: &Bench, kind: &str, option: &str, network: Network) -> bool {
    sh("ip link add trial0 type veth peer name trial1");
    let has = try_sh(&format!("ip link add link trial0 name trial2 type {kind}"));
    sh("ip link delete trial0");
    match create(bench, network).await {
        Ok(()) => assert!(has, "it has no {kind}"),
        Err(error) => {
            assert!(!has, "{error}");
            assert!(error.contains(&format!("was built without {option}")), "{error}");
        }
    }
    has
}

fn try_sh(script: &str) -> bool {
    Command::new("sh").args(["-ec", script]).output().unwrap().status.success()
}

fn sh(script: &str) {
    assert!(try_sh(script), "{script}");
}

#[test]
fn a_vlan_on_linux_goes_down_and_up_with_its_parent_and_comes_back() {
    linux(|kernel| async move {
        sh("ip link add wire0 type veth peer name wire1; ip link set wire0 up");
        sh("ip link set wire1 up");
        let bench = Bench::start(Arc::clone(&kernel) as Arc<_>).await;
        let before = bench.snapshot().await;
        let run = tokio::spawn(reconcile::run(Arc::clone(&bench.dispatcher)));
        let vlan = |number| with(number, &["parent=wire0.50", "wasmnet.host_access=true"]);
        if !create_on_linux(&bench, "vlan id 50", "CONFIG_VLAN_8021Q", vlan(1)).await {
            return;
        }
        let is_up = async || {
            let links = bench.snapshot().await.links;
            links.get("wire0.50").is_some_and(|link| link.up && link.kind == "vlan")
        };
        assert!(is_up().await);
        sh("ip link set wire0 down");
        until("the VLAN is down", async || !is_up().await).await;
        // One more, and one that is made while it is down.
        create(&bench, vlan(2)).await.unwrap();
        let other = with(3, &["parent=wire0.51"]);
        create(&bench, other).await.unwrap();
        sh("ip link set wire0 up");
        until("the VLAN is up", is_up).await;
        until("so is the other", async || bench.snapshot().await.links["wire0.51"].up).await;

        let own = async || {
            let links = bench.snapshot().await.links;
            links.values().filter(|link| link.kind == "macvlan" && link.up).count()
        };
        assert_eq!(own().await, 2);
        sh("ip link set wire0.50 down");
        until("the VLAN is put up", is_up).await;
        sh("ip link delete wire0.50");
        until("all is back", async || is_up().await && own().await == 2).await;
        sh("ip link delete wire0");
        until("all is gone", async || own().await == 0).await;
        sh("ip link add wire0 type veth peer name wire1; ip link set wire0 up");
        sh("ip link set wire1 up");
        until("all is back", async || is_up().await && own().await == 2).await;
        run.abort();
        for number in [1, 3] {
            delete(&bench, number).await;
        }
        assert!(is_up().await, "the second network has it");
        delete(&bench, 2).await;
        assert_eq!(names(&bench).await, before.links.into_keys().collect::<Vec<_>>());
        bench.assert_ledger_empty();
    });
}

async fn names(bench: &Bench) -> Vec<LinkName> {
    bench.snapshot().await.links.into_keys().collect()
}

#[test]
fn ipvlan_on_linux_is_as_it_should_be() {
    for (mode, flag, shown) in [
        ("l2", "bridge", "mode l2 bridge"),
        ("l3", "private", "mode l3 private"),
        ("l3s", "vepa", "mode l3s vepa"),
    ] {
        linux(|kernel| async move {
            sh("ip link add wire0 type veth peer name wire1; ip link set wire0 up");
            let bench = Bench::start(Arc::clone(&kernel) as Arc<_>).await;
            let before = names(&bench).await;
            let (mode, flag) = (format!("mode=ipvlan-{mode}"), format!("ipvlan_flag={flag}"));
            let network = with(1, &["parent=wire0", &mode, &flag]);
            if !create_on_linux(&bench, "ipvlan mode l2", "CONFIG_IPVLAN", network).await {
                return;
            }
            assert_eq!(names(&bench).await, before, "the trial is over");
            let to = &bench.dispatcher;
            to.create_endpoint(&macvlan(), &network_id(1), endpoint(7, 1, 2)).await.unwrap();
            sh(&format!("ip -d link show type ipvlan | grep '{shown}'"));
            delete(&bench, 1).await;
            assert_eq!(names(&bench).await, before);
            bench.assert_ledger_empty();
        });
    }
}

#[test]
fn an_ipvlan_network_is_made_as_the_kernel_wants_it() {
    let link = |options: &'static [&'static str]| {
        let found = Arc::new(std::sync::Mutex::new(None));
        let told = Arc::clone(&found);
        simulated(|kernel| async move {
            let bench = bench_on(&kernel, "wire0").await;
            let (to, id) = (&bench.dispatcher, network_id(1));
            create(&bench, with(1, options)).await.unwrap();
            bench.settle().await;
            to.create_endpoint(&macvlan(), &id, endpoint(7, 1, 2)).await.unwrap();
            let joined = to.join(&macvlan(), &id, &endpoint_id(7), "/x").await.unwrap();
            let mut links = kernel.objects().into_iter().filter_map(|object| match object {
                Object::Link(link) if link.moves => Some(link),
                _ => None,
            });
            let link = links.next().unwrap();
            assert_eq!(links.next(), None);
            assert_eq!(joined.interface.as_ref().unwrap().source, link.name.as_str());
            assert!(joined.disable_gateway_service);
            *told.lock().unwrap() = Some((link.kind, joined));
            delete(&bench, 1).await;
            assert_eq!(kernel.objects(), [Object::Link(wire("wire0"))]);
        });
        found.lock().unwrap().take().unwrap()
    };
    let ipvlan = |mode, flag| LinkKind::Ipvlan { parent: name("wire0"), mode, flag };
    let (kind, joined) = link(&["parent=wire0", "mode=ipvlan-l2"]);
    assert_eq!(kind, ipvlan(IpvlanMode::L2, IpvlanFlag::Bridge));
    assert_eq!(joined.gateway, "10.1.0.1".parse().ok());
    assert_eq!(joined.routes, []);
    for options in [
        &["parent=wire0", "mode=ipvlan-l3", "ipvlan_flag=private"][..],
        &["parent=wire0", "ipvlan_mode=l3", "ipvlan_flag=private"],
    ] {
        let (kind, joined) = link(options);
        assert_eq!(kind, ipvlan(IpvlanMode::L3, IpvlanFlag::Private));
        assert_eq!((joined.gateway, joined.gateway_ipv6), (None, None));
        assert_eq!(joined.routes, [default_route()], "the endpoint has no IPv6 address");
    }
    let (kind, _) = link(&["parent=wire0", "ipvlan_mode=l3s", "ipvlan_flag=vepa"]);
    assert_eq!(kind, ipvlan(IpvlanMode::L3s, IpvlanFlag::Vepa));
}

fn name(name: &str) -> LinkName {
    name.parse().unwrap()
}

fn default_route() -> StaticRoute {
    StaticRoute { destination: "0.0.0.0/0".parse().unwrap(), next_hop: None }
}

#[test]
fn a_default_route_by_the_wire_is_there_only_for_who_asks_and_has_no_gateway() {
    for (gateway, options, expected) in [
        (None, &["parent=wire0"][..], (false, false)),
        (None, &["parent=wire0", "wasmnet.default_route=true"], (false, true)),
        (Some("10.1.0.1/16"), &["parent=wire0", "wasmnet.default_route=true"], (true, false)),
        (Some("10.1.0.1/16"), &["parent=wire0", "mode=ipvlan-l3s"], (false, true)),
    ] {
        simulated(|kernel| async move {
            let bench = bench_on(&kernel, "wire0").await;
            let mut network = with(1, options);
            network.ipv4[0].gateway = gateway.map(|gateway| gateway.parse().unwrap());
            create(&bench, network.clone()).await.unwrap();
            let (to, id) = (&bench.dispatcher, network_id(1));
            to.create_endpoint(&macvlan(), &id, endpoint(7, 1, 2)).await.unwrap();
            let joined = to.join(&macvlan(), &id, &endpoint_id(7), "/x").await.unwrap();
            let found = (joined.gateway.is_some(), joined.routes == [default_route()]);
            assert_eq!(found, expected, "{options:?}");
            delete(&bench, 1).await;
            // An internal network has no way out at all.
            network.internal = true;
            create(&bench, network).await.unwrap();
            to.create_endpoint(&macvlan(), &id, endpoint(8, 1, 2)).await.unwrap();
            let joined = to.join(&macvlan(), &id, &endpoint_id(8), "/x").await.unwrap();
            assert_eq!((joined.gateway, joined.routes.len()), (None, 0));
        });
    }
}

#[test]
fn networks_share_a_parent_only_in_ways_that_go_together() {
    simulated(|kernel| async move {
        let bench = bench_on(&kernel, "wire0").await;
        let ways = [
            ["mode=bridge", "x.y="],
            ["mode=vepa", "x.y="],
            ["mode=passthru", "x.y="],
            ["mode=ipvlan-l2", "x.y="],
            ["mode=ipvlan-l3", "x.y="],
            ["mode=ipvlan-l3", "ipvlan_flag=private"],
        ];
        for (at, first) in ways.iter().enumerate() {
            for (other, second) in ways.iter().enumerate() {
                let network = |number, [a, b]: &[&str; 2]| with(number, &["parent=wire0", a, b]);
                create(&bench, network(1, first)).await.unwrap();
                bench.settle().await;
                let shared = create(&bench, network(2, second)).await;
                let fits = [at, other].iter().all(|way| *way < 2) || (at == other && at != 2);
                match &shared {
                    Ok(()) => assert!(fits, "{first:?} and {second:?}"),
                    Err(error) => {
                        assert!(!fits, "{first:?} and {second:?}: {error}");
                        let says = "is already using parent interface wire0, ";
                        assert!(error.contains(says), "{error}");
                    }
                }
                delete(&bench, 2).await;
                delete(&bench, 1).await;
            }
        }
        bench.assert_ledger_empty();
    });
}

#[test]
fn one_of_two_networks_gets_a_parent_to_itself_that_both_want_at_once() {
    simulated(|kernel| async move {
        let bench = bench_on(&kernel, "wire0").await;
        for _ in 0..20 {
            let alone = |number| create(&bench, with(number, &["parent=wire0", "mode=passthru"]));
            let made = futures::future::join_all((1..=4).map(alone)).await;
            assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1, "{made:?}");
            for number in 1..=4 {
                delete(&bench, number).await;
            }
        }
        bench.assert_ledger_empty();
    });
}

#[test]
fn options_that_make_no_sense_are_refused() {
    simulated(|kernel| async move {
        let bench = bench_on(&kernel, "wire0").await;
        for (options, sentence) in [
            (&["mode=fast"][..], "passthru, ipvlan-l2, ipvlan-l3 or ipvlan-l3s"),
            (&["mode=ipvlan-"], "passthru, ipvlan-l2, ipvlan-l3 or ipvlan-l3s"),
            (&["ipvlan_mode=l4"], "must be l2, l3 or l3s"),
            (&["mode=ipvlan-l2", "ipvlan_flag=loud"], "must be bridge, private or vepa"),
            (&["ipvlan_flag=vepa"], "option ipvlan_flag needs an ipvlan mode"),
            (&["mode=bridge", "ipvlan_mode=l2"], "options mode and ipvlan_mode both say the mode"),
            (&["mode=ipvlan-l2", "wasmnet.host_access=true"], "needs macvlan_mode=bridge"),
        ] {
            let options = [&["parent=wire0"], options].concat();
            let error = create(&bench, with(1, &options)).await.unwrap_err();
            assert!(error.contains(sentence), "{options:?}: {error}");
        }
        create(&bench, with(1, &["parent=wire0", "mode=ipvlan-l2"])).await.unwrap();
        let mut request = endpoint(7, 1, 2);
        request.mac = Some("02:00:00:00:00:07".parse().unwrap());
        let made = bench.dispatcher.create_endpoint(&macvlan(), &network_id(1), request).await;
        let error = made.unwrap_err().external();
        assert!(error.contains("all have the MAC address of wire0"), "{error}");
    });
}

#[test]
fn another_driver_has_no_part_in_a_vlan() {
    simulated(|kernel| async move {
        let bench = bench_on(&kernel, "wire0").await;
        create(&bench, with(1, &["parent=wire0.50"])).await.unwrap();
        // A bridge of that name is not to be had either.
        let mut other = network(2);
        other.options.insert("com.docker.network.bridge.name".into(), "wire0.50".into());
        let bridge: DriverName = "wasm-bridge".parse().unwrap();
        let taken = bench.dispatcher.create_network(&bridge, other).await.unwrap_err();
        assert!(taken.external().contains("wire0.50"), "{}", taken.external());
    });
}
