//! Random sequences of an engine's calls, with failing kernel operations and restarts:
//! after every step the kernel holds what a simple model says, and in the end nothing.

use std::{net::IpAddr, sync::Arc};

use proptest::{prelude::*, test_runner::Config};
use wasmnet::{
    kernel::Simulated,
    model::{EndpointRequest, PortBinding, Protocol},
};

use self::model::Model;
use crate::bench::{Bench, bridge, endpoint, endpoint_id, network, network_id, simulated};

mod model;

/// Numbers of networks, and of endpoints on each.
const NETWORKS: std::ops::Range<u8> = 1..3;
const ENDPOINTS: std::ops::Range<u8> = 1..5;

/// One call of the engine, with small numbers for ids so that calls meet.
#[derive(Debug, Clone)]
enum Step {
    CreateNetwork(u8),
    DeleteNetwork(u8),
    CreateEndpoint(u8, u8),
    Join(u8, u8),
    Program(u8, u8, Vec<PortBinding>),
    Revoke(u8, u8),
    Leave(u8, u8),
    DeleteEndpoint(u8, u8),
    Restart,
}

/// The kernel operations of a step that fail: the first, and how many.
type Failing = Option<(u64, u64)>;

fn step() -> impl Strategy<Value = Step> {
    let endpoint = || (NETWORKS, ENDPOINTS);
    prop_oneof![
        4 => NETWORKS.prop_map(Step::CreateNetwork),
        1 => NETWORKS.prop_map(Step::DeleteNetwork),
        7 => endpoint().prop_map(|(n, e)| Step::CreateEndpoint(n, e)),
        3 => endpoint().prop_map(|(n, e)| Step::Join(n, e)),
        9 => (endpoint(), bindings()).prop_map(|((n, e), ports)| Step::Program(n, e, ports)),
        1 => endpoint().prop_map(|(n, e)| Step::Revoke(n, e)),
        1 => endpoint().prop_map(|(n, e)| Step::Leave(n, e)),
        2 => endpoint().prop_map(|(n, e)| Step::DeleteEndpoint(n, e)),
        1 => Just(Step::Restart),
    ]
}

/// Few host ports, so that several want the same: fixed ones, ranges, and any.
fn bindings() -> impl Strategy<Value = Vec<PortBinding>> {
    let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)];
    let address = |text: &str| Some(text.parse::<IpAddr>().unwrap());
    let host_address = prop_oneof![
        4 => Just(None),
        2 => Just(address("127.0.0.1")),
        1 => Just(address("127.0.0.2")),
        1 => Just(address("::1")),
    ];
    let host_ports = prop_oneof![
        4 => (8080..8084_u16).prop_map(|port| (port, port)),
        2 => (8080..8084_u16, 1..3_u16).prop_map(|(first, more)| (first, first + more)),
        2 => Just((0, 0)),
    ];
    let binding = (protocol, 80..82_u16, host_address, host_ports).prop_map(
        |(protocol, container_port, host_address, host_ports)| PortBinding {
            protocol,
            container_port,
            host_address,
            host_ports,
        },
    );
    prop::collection::vec(binding, 0..4)
}

/// Begins where something stands, so that many steps have something to do.
fn steps() -> impl Strategy<Value = Vec<(Step, Failing)>> {
    let begin = [Step::CreateNetwork(1), Step::CreateNetwork(2), Step::CreateEndpoint(2, 1)];
    let more = [1, 2].map(|e| Step::CreateEndpoint(1, e));
    let begin: Vec<_> = begin.into_iter().chain(more).map(|step| (step, None)).collect();
    // The operations of one call are about ten; a port is two of them.
    let failing = prop::option::weighted(0.4, (0..14_u64, 1..5_u64));
    prop::collection::vec((step(), failing), 1..40)
        .prop_map(move |steps| [begin.clone(), steps].concat())
}

/// Endpoints of one network that share an address: only one of them can live.
fn request(network: u8, number: u8) -> EndpointRequest {
    endpoint(number, network, model::host_part(number))
}

/// Takes a step; says whether it worked.
async fn take(bench: &Bench, step: &Step) -> bool {
    let (to, driver) = (&bench.dispatcher, bridge());
    match step {
        Step::CreateNetwork(n) => to.create_network(&driver, network(*n)).await.is_ok(),
        Step::DeleteNetwork(n) => to.delete_network(&driver, &network_id(*n)).await.is_ok(),
        Step::CreateEndpoint(n, e) => {
            to.create_endpoint(&driver, &network_id(*n), request(*n, *e)).await.is_ok()
        }
        Step::Join(n, e) => to.join(&driver, &network_id(*n), &endpoint_id(*e), "/x").await.is_ok(),
        Step::Program(n, e, ports) => {
            to.program(&driver, &network_id(*n), &endpoint_id(*e), ports.clone()).await.is_ok()
        }
        Step::Revoke(n, e) => to.revoke(&driver, &network_id(*n), &endpoint_id(*e)).await.is_ok(),
        Step::Leave(n, e) => to.leave(&driver, &network_id(*n), &endpoint_id(*e)).await.is_ok(),
        Step::DeleteEndpoint(n, e) => {
            to.delete_endpoint(&driver, &network_id(*n), &endpoint_id(*e)).await.is_ok()
        }
        Step::Restart => true,
    }
}

/// The model after a step, of which it is known whether it worked and what now stands.
fn follow(
    model: Model,
    step: &Step,
    worked: bool,
    failing: bool,
    (kernel, bench): (&Simulated, &Bench),
) -> Model {
    // What goes first may be gone though the rest fails, and may stay when its end fails.
    let mut before = model.halfway(step);
    if !failing {
        before.drain(..before.len() - 1);
    }
    let mut after = Vec::new();
    for model in before {
        match model.clone().take(step, kernel) {
            Some(next) if worked => after.push(next),
            Some(_) => {
                assert!(failing, "refused without a reason: {step:?} on {model:#?}");
                after.push(model);
            }
            None => {
                assert!(!worked, "not refused: {step:?} on {model:#?}");
                after.push(model);
            }
        }
    }
    let found = after.iter().position(|model| model.differences(kernel, bench).is_empty());
    let Some(found) = found else {
        panic!(
            "after {step:?} (worked: {worked}, with failures: {failing}):\n{:#?}",
            after.iter().map(|model| model.differences(kernel, bench)).collect::<Vec<_>>()
        );
    };
    after.swap_remove(found)
}

proptest! {
    #![proptest_config(Config { cases: 1000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn the_kernel_equals_a_simple_model_after_every_step(steps in steps()) {
        simulated(|kernel| async move {
            let mut bench = Bench::start(Arc::clone(&kernel) as Arc<_>).await;
            let mut model = Model::default();
            for (step, failing) in steps {
                if matches!(step, Step::Restart) {
                    kernel.close_ports();
                    bench = bench.restart().await;
                }
                // A port that fails to go is in its follower's way for as long as the call
                // waits: to revoke and to publish fail one by one.
                let failing = failing.filter(|_| !model.publishes_anew(&step));
                if let Some((at, count)) = failing {
                    kernel.fail_at(at, count);
                }
                let worked = take(&bench, &step).await;
                kernel.fail_never();
                // What the kernel would not delete is deleted when it will.
                bench.settle().await;
                model = follow(model, &step, worked, failing.is_some(), (&kernel, &bench));
            }
            for n in NETWORKS {
                bench.dispatcher.delete_network(&bridge(), &network_id(n)).await.unwrap();
            }
            bench.settle().await;
            assert_eq!(Model::default().differences(&kernel, &bench), Vec::<String>::new());
            bench.assert_ledger_empty();
        });
    }
}
