//! A kernel that does not answer: the user is not kept waiting for ever, and when it
//! answers again nothing is left behind.

use std::time::{Duration, Instant};

use wasmnet::{dispatch::Error, runtime::CallError};

use crate::bench::{Bench, bridge, endpoint, network, network_id, simulated};

/// The call's deadline, the time to take it back, and some for a busy machine.
const LIMIT: Duration = Duration::from_secs(5 + 2 + 3);

#[test]
fn a_call_ends_at_its_deadline_though_the_kernel_hangs() {
    simulated(|kernel| async move {
        let bench = Bench::start(kernel.clone()).await;
        let to = &bench.dispatcher;
        to.create_network(&bridge(), network(1)).await.unwrap();
        let before = bench.snapshot().await;

        kernel.hang(true);
        let start = Instant::now();
        let error = to.create_network(&bridge(), network(2)).await.unwrap_err();
        assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
        assert!(matches!(error, Error::Call(CallError::Deadline { .. })), "{error:?}");

        // The next call about that network waits until the first is taken back.
        let driver = bridge();
        let again = to.create_network(&driver, network(2));
        let go_on = async {
            tokio::task::yield_now().await;
            kernel.hang(false);
        };
        let (again, ()) = futures::join!(again, go_on);
        again.unwrap();
        to.create_endpoint(&bridge(), &network_id(1), endpoint(7, 1, 2)).await.unwrap();
        for number in [1, 2] {
            to.delete_network(&bridge(), &network_id(number)).await.unwrap();
        }
        bench.settle().await;
        bench.assert_ledger_empty();
        assert!(bench.snapshot().await.links.len() < before.links.len());
        assert!(kernel.objects().is_empty(), "{:?}", kernel.objects());
    });
}
