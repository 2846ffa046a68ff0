//! Networks on a link of the host's: who shares it, and what comes back when it does.

/// The same on Linux: VLAN and ipvlan where the kernel has them.
mod linux;
/// Modes, and who shares a parent in which.
mod modes;

use std::{collections::BTreeSet, sync::Arc};

use wasmnet::{
    grants::Grants,
    id::DriverName,
    kernel::{Address, Kernel, Link, LinkKind, Object, ObjectKey, Simulated},
    model::Network,
    reconcile,
};

use crate::bench::{Bench, endpoint, endpoint_id, macvlan, network, network_id, simulated, until};

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
