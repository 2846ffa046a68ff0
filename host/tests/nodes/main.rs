//! Many nodes of a cluster in one process, in virtual time: what one node's change, coming,
//! going or loss of the store costs the others. Nothing is asserted of times; what nodes read
//! from the store is counted, and must not grow with what is no affair of theirs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::print_stdout, reason = "figures, for who asks with --nocapture")]

/// A store that counts what is read from it.
mod counted;
/// Nodes, and what is done to them.
mod simulation;

use std::time::Duration;

use wasmnet::cluster::Error;

use self::simulation::Simulation;

/// How long a node may be away.
const LEASE: Duration = Duration::from_secs(30);

/// Each node has one endpoint in one network, which all have.
async fn simulate(nodes: usize) {
    println!("{nodes} nodes, an endpoint each, all in one network:");
    let mut all = Simulation::new(LEASE);
    let before = simulation::resident();
    all.start(nodes).await;
    let memory = simulation::resident().saturating_sub(before) / nodes;
    println!("  memory of a node: {} KiB", memory / 1024);

    let times = (1000 / nodes).clamp(3, 50);
    let cost = all.cost(times, async |all| all.change(0).await).await;
    println!("  one endpoint changes: {cost}");
    assert_eq!(cost.read_rows, nodes, "each node reads the one that has changed");

    // With the renewals of the leases meanwhile.
    let come_and_go = async |all: &mut Simulation| {
        all.come().await;
        all.go(nodes).await;
    };
    println!("  a node comes and goes: {}", all.cost(times, come_and_go).await);

    let cost = all.cost(times, async |all| all.lose_store(LEASE / 3).await).await;
    println!("  the store is away and back within the lease: {cost}");
    // The group, the nodes, and its own keys: two entries, the node and the session.
    let rows = nodes * (2 * nodes + nodes + 4);
    assert!(cost.read_rows <= rows + nodes, "{} rows were read, not {rows}", cost.read_rows);
    assert_eq!(cost.written_rows, nodes, "each begins a session, and nothing has changed");
}

#[tokio::test(start_paused = true)]
async fn ten_nodes() {
    simulate(10).await;
}

#[tokio::test(start_paused = true)]
async fn a_hundred_nodes() {
    simulate(100).await;
}

/// Takes a minute, and a gigabyte of memory.
#[tokio::test(start_paused = true)]
#[ignore = "for its figures: cargo test -p wasmnet --test nodes -- --ignored --nocapture"]
async fn a_thousand_nodes() {
    simulate(1000).await;
}

/// A node publishes in many groups, and none of it is read by who does not follow them.
#[tokio::test(start_paused = true)]
async fn what_others_publish_elsewhere_costs_nothing() {
    let mut all = Simulation::new(LEASE);
    all.start(10).await;
    all.publish_elsewhere(0, 500).await;
    let cost = all.cost(1, async |all| all.lose_store_of(1, LEASE / 3).await).await;
    // The group, the nodes, its own.
    assert!(cost.read_rows <= 2 * 10 + 10 + 4, "{} rows were read", cost.read_rows);
}

/// A write that got no answer is done long after, as by a member of the store that thaws.
#[tokio::test(start_paused = true)]
async fn a_write_that_is_done_late_changes_nothing() {
    let mut all = Simulation::new(LEASE);
    all.start(3).await;

    // It would bring back what is gone,
    all.hold(0, async |all| all.publish(0, "late").await).await;
    all.withdraw(0, "late").await;
    all.settle().await;
    all.let_go(0).await;

    // or what was before,
    all.hold(0, async |all| all.change(0).await).await;
    all.change(0).await;
    all.let_go(0).await;

    // or take away what is there again.
    all.publish(0, "late").await;
    all.settle().await;
    all.hold(0, async |all| all.withdraw(0, "late").await).await;
    all.publish(0, "late").await;
    all.settle().await;
    all.let_go(0).await;
}

/// The same of agreed values: what was read since must still be so.
#[tokio::test(start_paused = true)]
async fn an_agreed_value_that_is_set_late_changes_nothing() {
    let mut all = Simulation::new(LEASE);
    all.start(2).await;
    for (value, late, meant) in [
        // It would be there though nobody knows of it,
        (None, Some("a"), None),
        // or seem never to have been set, with a value that is the same again.
        (Some("a"), None, Some("a")),
        (Some("a"), Some("b"), Some("a")),
    ] {
        assert!(all.agree(0, None, value).await.unwrap(), "{value:?}");
        all.hold(0, async |all| {
            let error = all.agree(0, value, late).await.unwrap_err();
            assert!(matches!(error, Error::Unknown), "{error}");
        })
        .await;
        assert_eq!(all.agreed(1).await.as_deref(), value, "held up");
        assert_eq!(all.agreed(0).await.as_deref(), value, "{late:?}");
        assert!(all.agree(0, value, meant).await.unwrap(), "{meant:?}");
        all.let_go(0).await;
        assert_eq!(all.agreed(1).await.as_deref(), meant, "{late:?}");
        assert!(all.agree(1, meant, None).await.unwrap(), "{meant:?}");
    }
}

/// Whoever has lost an answer looks what there is.
#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_is_lost_is_found_to_be_done() {
    let mut all = Simulation::new(LEASE);
    all.start(3).await;
    for value in 0..3 {
        all.lose_answer(0);
        if value == 1 {
            all.withdraw(0, "more").await
        } else {
            all.publish(0, "more").await
        }
        all.settle().await;
    }
}
