//! Restarts, reboots, and changes behind the daemon's back.

use std::sync::Arc;

use wasmnet::{
    kernel::{Kernel, Link, LinkKind, LinkName, Object, Simulated, Snapshot},
    ledger::Changes,
    reconcile,
    store::Lasting,
};

use crate::bench::{
    Bench, both, bridge, endpoint, endpoint_id, linux, network, network_id, simulated, until,
};

#[test]
fn a_restart_changes_nothing() {
    both(|kernel| async move {
        let bench = Bench::start(kernel).await;
        bench.dispatcher.create_network(&bridge(), network(1)).await.unwrap();
        bench
            .dispatcher
            .create_endpoint(&bridge(), &network_id(1), endpoint(7, 1, 2))
            .await
            .unwrap();
        let before = bench.snapshot().await;
        let bench = bench.restart().await;
        assert_eq!(bench.snapshot().await, before);
        let joined =
            bench.dispatcher.join(&bridge(), &network_id(1), &endpoint_id(7), "/x").await.unwrap();
        assert!(joined.interface.is_some());
    });
}

#[test]
fn what_an_unfinished_call_left_behind_is_removed() {
    both(|kernel| async move {
        let bench = Bench::start(kernel).await;
        bench.dispatcher.create_network(&bridge(), network(1)).await.unwrap();
        let before = bench.snapshot().await;
        // As if the daemon had died after the kernel's first answer, and after its second.
        for (number, alias) in [(0, ""), (1, "wasmnet:wasm-bridge/x")] {
            let orphan = Link {
                name: LinkName::pick(&["orphan"], number),
                kind: LinkKind::Bridge,
                mtu: None,
                mac: None,
                master: None,
                up: true,
                hairpin: false,
                isolated: false,
                adopted: false,
                moves: false,
                alias: alias.to_owned(),
            };
            bench.kernel.create(&Object::Link(orphan)).await.unwrap();
        }
        let bench = bench.restart().await;
        assert_eq!(bench.snapshot().await, before);
    });
}

#[test]
fn after_a_reboot_networks_stand_and_the_old_endpoints_are_forgotten() {
    simulated(|kernel| async move {
        let bench = Bench::start(Arc::clone(&kernel) as Arc<_>).await;
        let to = &bench.dispatcher;
        to.create_network(&bridge(), network(1)).await.unwrap();
        let (before, rules) = (kernel.objects(), kernel.firewall_entries());
        to.create_endpoint(&bridge(), &network_id(1), endpoint(7, 1, 2)).await.unwrap();
        let boot_id = Some("another boot".to_owned());
        let changes = Changes { boot_id, ..Changes::default() };
        to.ledger().commit(changes, Lasting::Durable).await.unwrap();
        kernel.reboot();

        let bench = bench.restart().await;
        assert_eq!(kernel.objects(), before);
        assert_eq!(kernel.firewall_entries(), rules);
        assert!(bench.dispatcher.ledger().read().endpoints.is_empty());
        bench
            .dispatcher
            .create_endpoint(&bridge(), &network_id(1), endpoint(8, 1, 2))
            .await
            .unwrap();
    });
}

#[test]
fn an_endpoint_whose_link_died_is_forgotten_at_once() {
    simulated(|kernel| async move {
        let bench = Bench::start(Arc::clone(&kernel) as Arc<_>).await;
        let to = &bench.dispatcher;
        let run = tokio::spawn(reconcile::run(Arc::clone(to)));
        to.create_network(&bridge(), network(1)).await.unwrap();
        to.create_endpoint(&bridge(), &network_id(1), endpoint(7, 1, 2)).await.unwrap();
        kernel.lose_link(&port(&kernel).await);
        until("the endpoint is forgotten", async || to.ledger().read().endpoints.is_empty()).await;
        run.abort();
    });
}

#[test]
fn many_can_look_at_the_kernel_at_once() {
    linux(|kernel| async move {
        let looks = (0..20).map(|_| {
            let kernel = Arc::clone(&kernel);
            tokio::spawn(async move { kernel.snapshot().await })
        });
        for look in looks.collect::<Vec<_>>() {
            look.await.unwrap().unwrap();
        }
    });
}

#[test]
fn a_bridge_that_somebody_deletes_is_back() {
    linux(|kernel| async move {
        let bench = Bench::start(Arc::clone(&kernel) as Arc<_>).await;
        let to = &bench.dispatcher;
        let run = tokio::spawn(reconcile::run(Arc::clone(to)));
        to.create_network(&bridge(), network(1)).await.unwrap();
        let before = bench.snapshot().await;
        let name = before.links.keys().find(|name| name.is_picked()).unwrap();
        let object = to
            .ledger()
            .read()
            .objects
            .get(&wasmnet::kernel::ObjectKey::link(name))
            .unwrap()
            .object
            .clone();
        kernel.delete(&object).await.unwrap();
        until("the bridge is back", async || same(&bench.snapshot().await, &before)).await;
        run.abort();
    });
}

/// The host's end of the only veth pair.
async fn port(kernel: &Simulated) -> LinkName {
    let snapshot = kernel.snapshot().await.unwrap();
    snapshot.links.into_iter().find(|(_, link)| link.kind == "veth").unwrap().0
}

/// Equal but for link-local addresses, which the kernel makes in its own time.
fn same(one: &Snapshot, other: &Snapshot) -> bool {
    let without_link_local = |snapshot: &Snapshot| {
        let mut snapshot = snapshot.clone();
        for addresses in snapshot.addresses.values_mut() {
            addresses.retain(|net| !net.addr().to_string().starts_with("fe80"));
        }
        snapshot.addresses.retain(|_, addresses| !addresses.is_empty());
        snapshot
    };
    without_link_local(one) == without_link_local(other)
}
