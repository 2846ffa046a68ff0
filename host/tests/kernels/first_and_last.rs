//! The firewall comes with the first network and goes with the last.

use std::{collections::BTreeSet, process::Command, sync::Arc};

use wasmnet::kernel::{FirewallBatch, Kernel, linux::Linux};

use crate::bench::{Bench, bridge, linux, network, network_id};

/// Docker's part of a host that filters what it forwards.
const DOCKER: &str = "for iptables in iptables-nft ip6tables-nft; do
    $iptables -N DOCKER-USER; $iptables -A DOCKER-USER -j RETURN
    $iptables -I FORWARD -j DOCKER-USER; $iptables -P FORWARD DROP
done";

#[test]
fn the_firewall_comes_with_the_first_network_and_goes_with_the_last() {
    linux(|kernel| async move {
        sh(DOCKER);
        let before = ruleset();
        let bench = Bench::start(kernel).await;
        assert_eq!(ruleset(), before, "without a network");
        for _ in 0..2 {
            bench.dispatcher.create_network(&bridge(), network(1)).await.unwrap();
            assert_stands();
            let one = ruleset();
            bench.dispatcher.create_network(&bridge(), network(2)).await.unwrap();
            for number in [2, 1] {
                assert_stands();
                let id = network_id(number);
                bench.dispatcher.delete_network(&bridge(), &id).await.unwrap();
                if number == 2 {
                    assert_eq!(ruleset(), one, "with one of two networks gone");
                }
            }
            bench.settle().await;
            assert_eq!(ruleset(), before, "without a network again");
        }
    });
}

#[test]
fn a_first_network_right_after_the_last_has_its_firewall() {
    linux(|kernel| async move {
        sh(DOCKER);
        let bench = Bench::start(kernel).await;
        for number in 1..20 {
            bench.dispatcher.create_network(&bridge(), network(number)).await.unwrap();
            assert_stands();
            bench.dispatcher.delete_network(&bridge(), &network_id(number)).await.unwrap();
        }
    });
}

#[test]
fn what_a_killed_daemon_left_of_the_firewall_is_gone_when_the_next_has_started() {
    linux(|kernel| async move {
        sh(DOCKER);
        let before = ruleset();
        let bench = Bench::start(Arc::clone(&kernel) as Arc<dyn Kernel>).await;
        bench.dispatcher.create_network(&bridge(), network(1)).await.unwrap();
        let remove = bench.dispatcher.ledger().read().objects.firewall();
        kernel.firewall(&FirewallBatch { add: BTreeSet::new(), remove }).await.unwrap();
        // It would take it away by and by, but is no more.
        assert_stands();
        drop((bench, kernel));
        let next = Linux::open().unwrap();
        next.reset_firewall(&BTreeSet::new()).await.unwrap();
        assert_eq!(ruleset(), before);
    });
}

#[test]
fn what_stands_when_the_next_daemon_starts_is_not_taken_away() {
    linux(|kernel| async move {
        sh(DOCKER);
        let bench = Bench::start(Arc::clone(&kernel) as Arc<dyn Kernel>).await;
        bench.dispatcher.create_network(&bridge(), network(1)).await.unwrap();
        let standing = ruleset();
        drop((bench, kernel));
        let next = Linux::open().unwrap();
        // Deletes what the last one had left to delete, before it has looked at the networks.
        next.tidy_firewall().await.unwrap();
        assert_eq!(ruleset(), standing);
    });
}

#[test]
fn a_table_of_its_name_is_not_in_the_first_networks_way() {
    linux(|kernel| async move {
        let bench = Bench::start(kernel).await;
        bench.dispatcher.create_network(&bridge(), network(1)).await.unwrap();
        let ours = ruleset();
        bench.dispatcher.delete_network(&bridge(), &network_id(1)).await.unwrap();
        bench.settle().await;
        sh(
            "nft 'table inet wasmnet { chain other { type filter hook input priority 0; drop; }; }'",
        );
        bench.dispatcher.create_network(&bridge(), network(1)).await.unwrap();
        assert_eq!(ruleset(), ours);
    });
}

/// Fails the test unless our table is there, and the way through Docker's.
fn assert_stands() {
    let ruleset = ruleset();
    assert!(ruleset.contains("table inet wasmnet"), "{ruleset}");
    for iptables in ["iptables-nft", "ip6tables-nft"] {
        let ours = |chain: &str| {
            let rules = sh(&format!("{iptables} -S {chain}"));
            rules.lines().filter(|rule| rule.contains("--comment wasmnet")).count()
        };
        // One for each way.
        assert_eq!((ours("DOCKER-USER"), ours("FORWARD")), (2, 2), "{iptables}\n{ruleset}");
    }
}

/// All rules, without how much traffic they have seen.
fn ruleset() -> String {
    sh("nft --stateless list ruleset 2>&1")
}

fn sh(script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}
