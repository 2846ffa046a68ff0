//! Failures at every kernel operation, one by one and in random sequences.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proptest::{prelude::*, test_runner::Config};
use wasmnet::kernel::{Object, Simulated};

use crate::bench::{Bench, bridge, endpoint, endpoint_id, network, network_id, simulated};

/// One call of the engine, with small numbers for ids so that calls meet.
#[derive(Debug, Clone)]
enum Step {
    CreateNetwork(u8),
    DeleteNetwork(u8),
    CreateEndpoint(u8, u8),
    Join(u8, u8),
    Program(u8, u8),
    Leave(u8, u8),
    DeleteEndpoint(u8, u8),
    Restart,
}

/// What must stand: endpoints by network.
type Model = BTreeMap<u8, BTreeSet<u8>>;

fn step() -> impl Strategy<Value = Step> {
    let network = 1..4_u8;
    let endpoint = || (1..4_u8, 1..5_u8);
    prop_oneof![
        3 => network.clone().prop_map(Step::CreateNetwork),
        1 => network.prop_map(Step::DeleteNetwork),
        5 => endpoint().prop_map(|(n, e)| Step::CreateEndpoint(n, e)),
        3 => endpoint().prop_map(|(n, e)| Step::Join(n, e)),
        2 => endpoint().prop_map(|(n, e)| Step::Program(n, e)),
        2 => endpoint().prop_map(|(n, e)| Step::Leave(n, e)),
        2 => endpoint().prop_map(|(n, e)| Step::DeleteEndpoint(n, e)),
        1 => Just(Step::Restart),
    ]
}

/// A step, and the kernel operations of it that fail, if any: the first, and how many.
fn steps() -> impl Strategy<Value = Vec<(Step, Option<(u64, u64)>)>> {
    let failing = prop::option::weighted(0.4, (0..8_u64, 1..5_u64));
    prop::collection::vec((step(), failing), 1..25)
}

/// What the kernel must hold for a model: as many links, and firewall entries for
/// each network.
fn assert_kernel_is(kernel: &Simulated, model: &Model) {
    let links = kernel.objects().into_iter().filter(|object| matches!(object, Object::Link(_)));
    let wanted = model.len() + model.values().map(BTreeSet::len).sum::<usize>();
    assert_eq!(links.count(), wanted, "{model:?}\n{:#?}", kernel.objects());
    // A policy and two subnets each.
    assert_eq!(kernel.firewall_entries().len(), 3 * model.len(), "{model:?}");
    if model.is_empty() {
        assert!(kernel.objects().is_empty(), "{:#?}", kernel.objects());
    }
}

async fn take(bench: &Bench, step: &Step, model: &mut Model) {
    let (to, driver) = (&bench.dispatcher, bridge());
    match *step {
        Step::CreateNetwork(n) => {
            if to.create_network(&driver, network(n)).await.is_ok() {
                model.entry(n).or_default();
            } else {
                assert!(!model.contains_key(&n), "a repeated call failed");
            }
        }
        Step::DeleteNetwork(n) => {
            if to.delete_network(&driver, &network_id(n)).await.is_ok() {
                model.remove(&n);
            }
        }
        Step::CreateEndpoint(n, e) => {
            let made = to.create_endpoint(&driver, &network_id(n), endpoint(e, n, 10 + e)).await;
            match model.get_mut(&n) {
                Some(endpoints) if made.is_ok() => drop(endpoints.insert(e)),
                Some(endpoints) => assert!(!endpoints.contains(&e), "a repeated call failed"),
                None => assert!(made.is_err(), "an endpoint without a network"),
            }
        }
        Step::Join(n, e) => {
            let joined = to.join(&driver, &network_id(n), &endpoint_id(e), "/x").await;
            let stands = model.get(&n).is_some_and(|endpoints| endpoints.contains(&e));
            assert!(stands || joined.is_err(), "joined without an endpoint");
        }
        Step::Program(n, e) => {
            let _ = to.program(&driver, &network_id(n), &endpoint_id(e), Vec::new()).await;
        }
        Step::Leave(n, e) => {
            let _ = to.leave(&driver, &network_id(n), &endpoint_id(e)).await;
        }
        Step::DeleteEndpoint(n, e) => {
            let gone = to.delete_endpoint(&driver, &network_id(n), &endpoint_id(e)).await;
            if gone.is_ok()
                && let Some(endpoints) = model.get_mut(&n)
            {
                endpoints.remove(&e);
            }
        }
        Step::Restart => {}
    }
}

proptest! {
    #![proptest_config(Config { cases: 200, failure_persistence: None, ..Config::default() })]

    #[test]
    fn kernel_and_ledger_equal_a_simple_model_after_every_step(steps in steps()) {
        simulated(|kernel| async move {
            let mut bench = Bench::start(Arc::clone(&kernel) as Arc<_>).await;
            let mut model = Model::new();
            for (step, fail) in steps {
                if matches!(step, Step::Restart) {
                    bench = bench.restart().await;
                }
                if let Some((at, count)) = fail {
                    kernel.fail_at(at, count);
                }
                take(&bench, &step, &mut model).await;
                kernel.fail_never();
                // What the kernel would not delete is deleted when it will.
                bench.settle().await;
                assert_kernel_is(&kernel, &model);
            }
            for n in 1..4 {
                bench.dispatcher.delete_network(&bridge(), &network_id(n)).await.unwrap();
            }
            bench.settle().await;
            assert_kernel_is(&kernel, &Model::new());
            bench.assert_ledger_empty();
        });
    }
}

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
            assert_kernel_is(&kernel, &Model::new());
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
