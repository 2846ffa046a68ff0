//! Failures at every kernel operation, one by one.

use std::{sync::Arc, time::Duration};

use wasmnet::{
    kernel::Object,
    ledger::{Changes, Entry},
    model::{PortBinding, Protocol},
    store::Lasting,
};

use crate::bench::{Bench, bridge, endpoint, endpoint_id, network, network_id, simulated};

#[test]
fn a_failure_at_any_operation_leaves_everything_as_it_was() {
    simulated(|kernel| async move {
        let bench = Bench::start(Arc::clone(&kernel) as Arc<_>).await;
        let to = &bench.dispatcher;
        let (driver, id) = (bridge(), network_id(1));
        let mut failures = 0;
        loop {
            kernel.fail_at(failures, 1);
            let made = to.create_network(&driver, network(1)).await;
            kernel.fail_never();
            let Err(error) = made else { break };
            assert!(error.external().contains("memory"), "{}", error.external());
            assert_eq!(kernel.objects(), [], "objects left");
            assert_eq!(kernel.firewall_entries().len(), 0, "firewall entries left");
            bench.assert_ledger_empty();
            failures += 1;
        }
        assert!(failures >= 5, "only {failures} operations failed");

        let before = kernel.objects();
        kernel.fail_at(0, 1);
        assert!(to.create_endpoint(&driver, &id, endpoint(7, 1, 2)).await.is_err());
        kernel.fail_never();
        assert_eq!(kernel.objects(), before);
    });
}

#[test]
fn a_port_that_is_on_its_way_out_is_waited_for() {
    simulated(|kernel| async move {
        let bench = Bench::start(Arc::clone(&kernel) as Arc<_>).await;
        let (driver, id) = (bridge(), network_id(1));
        let to = &bench.dispatcher;
        to.create_network(&driver, network(1)).await.unwrap();
        for number in [7, 8] {
            to.create_endpoint(&driver, &id, endpoint(number, 1, number)).await.unwrap();
        }
        let first = vec![binding(Some("127.0.0.1"))];
        to.program(&driver, &id, &endpoint_id(7), first).await.unwrap();
        // Doomed, and nobody there yet who deletes it.
        let mut changes = Changes::default();
        for (key, entry) in to.ledger().read().objects.standing() {
            if matches!(entry.object, Object::Port(_)) {
                let entry = Entry { doomed: true, ..entry.clone() };
                changes.objects.insert(key.clone(), Some(entry));
            }
        }
        to.ledger().commit(changes, Lasting::Durable).await.unwrap();

        // The same port on all addresses.
        let dispatcher = Arc::clone(to);
        let mut second = tokio::spawn(async move {
            let (id, ports) = (network_id(1), vec![binding(None)]);
            dispatcher.program(&bridge(), &id, &endpoint_id(8), ports).await
        });
        let early = tokio::time::timeout(Duration::from_millis(200), &mut second).await;
        assert!(early.is_err(), "did not wait: {early:?}");
        bench.settle().await;
        second.await.unwrap().unwrap();
    });
}

fn binding(host: Option<&str>) -> PortBinding {
    PortBinding {
        protocol: Protocol::Tcp,
        container_port: 80,
        host_address: host.map(|host| host.parse().unwrap()),
        host_ports: (8080, 8080),
    }
}
