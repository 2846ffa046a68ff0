//! What the bridge driver does to a kernel, and that nothing of it stays.

use wasmnet::{
    dispatch::Error,
    kernel::{Address, Link, LinkName, Object},
    mac::Mac,
};

use crate::bench::{Bench, both, bridge, endpoint, endpoint_id, network, network_id};

#[test]
fn an_endpoint_lives_and_leaves_nothing_behind() {
    both(|kernel| async move {
        let bench = Bench::start(kernel).await;
        let before = bench.snapshot().await;
        let to = &bench.dispatcher;

        let mut wanted = network(1);
        wanted.options.insert("com.docker.network.driver.mtu".into(), "1400".into());
        to.create_network(&bridge(), wanted).await.unwrap();
        let settings =
            to.create_endpoint(&bridge(), &network_id(1), endpoint(7, 1, 2)).await.unwrap();
        assert_eq!(settings.mac.unwrap().to_string(), "02:42:0a:01:00:02");
        assert_eq!((settings.ipv4, settings.ipv6), (None, None));
        let join =
            to.join(&bridge(), &network_id(1), &endpoint_id(7), "/run/netns/x").await.unwrap();
        assert_eq!(join.gateway, Some("10.1.0.1".parse().unwrap()));
        assert_eq!(join.gateway_ipv6, Some("fd00:1::1".parse().unwrap()));

        let now = bench.snapshot().await;
        let peer = join.interface.unwrap().source;
        let (name, port) = now
            .links
            .iter()
            .find(|(name, link)| link.master.is_some() && name.is_picked())
            .expect("a port");
        assert_eq!(name.peer().as_str(), peer);
        assert_eq!((port.mtu, port.up), (1400, true));
        let master = port.master.clone().unwrap();
        let bridge_link = &now.links[&master];
        assert_eq!((bridge_link.kind.as_str(), bridge_link.mtu), ("bridge", 1400));
        assert!(bridge_link.alias.starts_with("wasmnet:wasm-bridge/"), "{}", bridge_link.alias);
        let addresses = &now.addresses[&master];
        assert!(addresses.contains(&"10.1.0.1/16".parse().unwrap()), "{addresses:?}");
        assert!(addresses.contains(&"fd00:1::1/64".parse().unwrap()), "{addresses:?}");

        to.program(&bridge(), &network_id(1), &endpoint_id(7), Vec::new()).await.unwrap();
        to.revoke(&bridge(), &network_id(1), &endpoint_id(7)).await.unwrap();
        to.leave(&bridge(), &network_id(1), &endpoint_id(7)).await.unwrap();
        to.delete_endpoint(&bridge(), &network_id(1), &endpoint_id(7)).await.unwrap();
        to.delete_network(&bridge(), &network_id(1)).await.unwrap();
        assert_eq!(bench.snapshot().await, before);
        bench.assert_ledger_empty();
    });
}

#[test]
fn repeated_calls_get_the_same_answer_and_contradicting_ones_an_error() {
    both(|kernel| async move {
        let bench = Bench::start(kernel).await;
        let to = &bench.dispatcher;
        let (driver, id) = (bridge(), network_id(1));
        to.create_network(&driver, network(1)).await.unwrap();
        to.create_network(&driver, network(1)).await.unwrap();
        let mut other = network(1);
        other.internal = true;
        let error = to.create_network(&driver, other).await.unwrap_err();
        assert!(matches!(error, Error::NetworkExists(_)), "{error}");

        let first = to.create_endpoint(&driver, &id, endpoint(7, 1, 2)).await.unwrap();
        let again = to.create_endpoint(&driver, &id, endpoint(7, 1, 2)).await.unwrap();
        assert_eq!(first, again);
        let error = to.create_endpoint(&driver, &id, endpoint(7, 1, 3)).await.unwrap_err();
        assert!(matches!(error, Error::EndpointExists(_)), "{error}");

        let first = to.join(&driver, &id, &endpoint_id(7), "/a").await.unwrap();
        assert_eq!(to.join(&driver, &id, &endpoint_id(7), "/a").await.unwrap(), first);
        let error = to.join(&driver, &id, &endpoint_id(7), "/b").await.unwrap_err();
        assert!(matches!(error, Error::Joined(_)), "{error}");

        for _ in 0..2 {
            to.leave(&driver, &id, &endpoint_id(7)).await.unwrap();
            to.delete_endpoint(&driver, &id, &endpoint_id(7)).await.unwrap();
        }
        for _ in 0..2 {
            to.delete_network(&driver, &id).await.unwrap();
        }
        let error = to.create_endpoint(&driver, &id, endpoint(7, 1, 2)).await.unwrap_err();
        assert!(matches!(error, Error::NoNetwork { .. }), "{error}");
    });
}

#[test]
fn an_address_given_again_evicts_the_endpoint_that_had_it() {
    both(|kernel| async move {
        let bench = Bench::start(kernel).await;
        let to = &bench.dispatcher;
        let (driver, id) = (bridge(), network_id(1));
        to.create_network(&driver, network(1)).await.unwrap();
        to.create_endpoint(&driver, &id, endpoint(7, 1, 2)).await.unwrap();
        to.join(&driver, &id, &endpoint_id(7), "/a").await.unwrap();
        to.create_endpoint(&driver, &id, endpoint(8, 1, 2)).await.unwrap();
        let left: Vec<_> =
            to.ledger().read().endpoints_of(&id).map(|(endpoint, _)| endpoint.clone()).collect();
        assert_eq!(left, [endpoint_id(8)]);
        let ports =
            bench.snapshot().await.links.values().filter(|link| link.master.is_some()).count();
        assert_eq!(ports, 1);
    });
}

#[test]
fn a_chosen_bridge_name_is_kept_and_a_taken_one_refused_without_a_trace() {
    both(|kernel| async move {
        let bench = Bench::start(kernel).await;
        let to = &bench.dispatcher;
        let named = |number: u8, name: &str| {
            let mut network = network(number);
            network.options.insert("com.docker.network.bridge.name".into(), name.into());
            network
        };
        to.create_network(&bridge(), named(1, "acme0")).await.unwrap();
        let before = bench.snapshot().await;
        assert!(before.links.contains_key("acme0"), "{before:?}");
        let taken = to.create_network(&bridge(), named(2, "acme0")).await.unwrap_err();
        assert!(taken.external().contains("acme0"), "{}", taken.external());
        for wrong in ["sixteen-letters-", "a/b", "wn0123456789ab", "a b", ".."] {
            let error = to.create_network(&bridge(), named(2, wrong)).await.unwrap_err();
            assert!(error.external().contains("link name"), "{}", error.external());
        }
        assert_eq!(bench.snapshot().await, before);
        to.delete_network(&bridge(), &network_id(1)).await.unwrap();
        assert!(!bench.snapshot().await.links.contains_key("acme0"));
    });
}

#[test]
fn a_bridge_that_is_there_is_adopted_and_left_as_it_was() {
    both(|kernel| async move {
        let lan = Object::Link(lan());
        kernel.create(&lan).await.unwrap();
        let gateway = Address { link: lan.link().clone(), net: "10.1.0.1/16".parse().unwrap() };
        kernel.create(&Object::Address(gateway)).await.unwrap();
        let bench = Bench::start(kernel).await;
        let before = bench.snapshot().await;
        let to = &bench.dispatcher;
        let on_lan = |number: u8| {
            let mut network = network(number);
            network.options.insert("com.docker.network.bridge.name".into(), "lan0".into());
            network
        };
        to.create_network(&bridge(), on_lan(1)).await.unwrap();
        let taken = to.create_network(&bridge(), on_lan(2)).await.unwrap_err();
        assert!(taken.external().contains("lan0"), "{}", taken.external());
        to.create_endpoint(&bridge(), &network_id(1), endpoint(7, 1, 2)).await.unwrap();
        let now = bench.snapshot().await;
        assert!(now.addresses["lan0"].contains(&"fd00:1::1/64".parse().unwrap()), "{now:?}");
        assert!(now.links.values().any(|link| link.master == Some("lan0".parse().unwrap())));
        to.delete_endpoint(&bridge(), &network_id(1), &endpoint_id(7)).await.unwrap();
        to.delete_network(&bridge(), &network_id(1)).await.unwrap();
        assert_eq!(bench.snapshot().await, before);
        bench.assert_ledger_empty();
    });
}

#[test]
fn one_of_two_networks_gets_a_bridge_that_both_want_at_once() {
    both(|kernel| async move {
        kernel.create(&Object::Link(lan())).await.unwrap();
        let bench = Bench::start(kernel).await;
        let on_lan = |number: u8| {
            let mut network = network(number);
            network.options.insert("com.docker.network.bridge.name".into(), "lan0".into());
            network
        };
        let (driver, to) = (bridge(), &bench.dispatcher);
        let answers = futures::future::join_all(
            (1..=4).map(|number| to.create_network(&driver, on_lan(number))),
        )
        .await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
        for number in 1..=4 {
            to.delete_network(&driver, &network_id(number)).await.unwrap();
        }
        assert!(bench.snapshot().await.links.contains_key("lan0"));
        bench.assert_ledger_empty();
    });
}

/// A bridge of somebody's.
pub fn lan() -> Link {
    let mac = Some(Mac([2, 0, 0, 0, 0, 9]));
    Link { mac, up: true, ..Link::bridge("lan0".parse().unwrap()) }
}

#[test]
fn wrong_options_name_the_key_and_change_nothing() {
    both(|kernel| async move {
        let bench = Bench::start(kernel).await;
        let before = bench.snapshot().await;
        for (key, value, says) in [
            ("com.docker.network.driver.mtu", "abc", "number of bytes"),
            ("com.docker.network.driver.mtu", "67", "68 to 65535"),
            ("com.docker.network.driver.mtu", "1279", "1280"),
            ("com.docker.network.bridge.enable_icc", "maybe", "true or false"),
            ("com.docker.network.bridge.no_such_key", "x", "not known"),
            ("com.docker.network.container_iface_prefix", "a/b", "letters"),
        ] {
            let mut wrong = network(1);
            wrong.options.insert(key.into(), value.into());
            let error = bench.dispatcher.create_network(&bridge(), wrong).await.unwrap_err();
            let text = error.external();
            assert!(text.contains(key) && text.contains(says), "{text}");
        }
        assert_eq!(bench.snapshot().await, before);
        bench.assert_ledger_empty();
    });
}

#[test]
fn other_vendors_options_are_ignored() {
    both(|kernel| async move {
        let bench = Bench::start(kernel).await;
        let mut odd = network(1);
        odd.options.insert("vendor.flag".into(), "on".into());
        bench.dispatcher.create_network(&bridge(), odd).await.unwrap();
        let names: Vec<LinkName> = bench.snapshot().await.links.into_keys().collect();
        assert!(names.iter().any(LinkName::is_picked), "{names:?}");
    });
}
