use std::sync::Arc;

use wasmnet::{
    kernel::{IpvlanFlag, IpvlanMode, LinkKind, LinkName, Object},
    model::StaticRoute,
};

use super::{bench_on, create, delete, wire, with};
use crate::bench::{endpoint, endpoint_id, macvlan, network_id, simulated};

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
