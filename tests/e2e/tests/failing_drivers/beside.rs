//! What a call that hangs means for everybody else: nothing.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use wasmnet_e2e::{Bench, CHAOS, calls};
use wasmnet_lab::wait_for;

use super::{PATIENCE, Scene, assert_sentence, sentence};

#[test]
fn containers_start_elsewhere_while_a_network_hangs() {
    let scene = Scene::new();
    scene.bad_network("join", "loop");
    scene.site.docker("create --name victim --network bad busybox sleep 3600");
    let endpoints = scene.ledger()[1];
    thread::scope(|threads| {
        let hung = threads.spawn(|| scene.site.try_docker("start victim"));
        // Its endpoint is made before it joins.
        wait_for("the hanging call to begin", PATIENCE, || scene.ledger()[1] > endpoints);

        let mut started = 0;
        while !hung.is_finished() {
            scene.site.docker("run --rm --network calm busybox ping -c 1 -W 2 calm2");
            started += 1;
        }
        // The last may have ended after the call; the ones before were beside it.
        assert!(started > 1, "only {started} containers started while another network hung");
        assert_sentence(&hung.join().unwrap(), &sentence("join", "loop"), "join:loop");
    });
}

#[test]
fn a_hanging_network_does_not_delay_another_of_the_same_driver() {
    let bench = Bench::new(&[("chaos", CHAOS)]);
    let mut plugin = bench.plugin("chaos");
    let hang = json!({ "chaos": "create-endpoint:loop" });
    plugin.call("NetworkDriver.CreateNetwork", &calls::network("hangs", 1, &hang)).ok();
    plugin.call("NetworkDriver.CreateNetwork", &calls::network("works", 2, &json!({}))).ok();
    let before = bench.host.netns_state();

    let mut hanging = bench.plugin("chaos");
    let start = Instant::now();
    hanging.send("NetworkDriver.CreateEndpoint", &calls::endpoint("hangs", "e1", "10.1.0.2"));
    wait_for("the hanging call to begin", PATIENCE, || bench.host.netns_state() != before);
    plugin.call("NetworkDriver.CreateEndpoint", &calls::endpoint("works", "e2", "10.2.0.2")).ok();
    plugin.call("NetworkDriver.Join", &calls::join("works", "e2", "s2")).ok();
    let others = start.elapsed();
    let error = hanging.receive().error();
    let hung = start.elapsed();

    assert!(error.contains("did not answer within 5 s in create-endpoint"), "{error}");
    assert!(others < hung / 2, "the others waited {others:?}, the hanging call took {hung:?}");
}

#[test]
fn no_call_finds_what_another_left_in_memory() {
    let bench = Bench::new(&[("chaos", CHAOS)]);
    let mut plugin = bench.plugin("chaos");
    plugin.call("NetworkDriver.CreateNetwork", &calls::network("n", 1, &json!({}))).ok();
    plugin.call("NetworkDriver.CreateEndpoint", &calls::endpoint("n", "e", "10.1.0.2")).ok();
    // More than instances are kept ready.
    for _ in 0..10 {
        let answer = plugin.call("NetworkDriver.EndpointOperInfo", &calls::ids("n", "e")).ok();
        assert_eq!(answer["Value"]["call"], "1", "{answer}");
    }
}

#[test]
fn calls_queued_on_a_hanging_network_work_afterwards() {
    let bench = Bench::new(&[("chaos", CHAOS)]);
    let mut plugin = bench.plugin("chaos");
    let hang = json!({ "chaos": "leave:loop" });
    plugin.call("NetworkDriver.CreateNetwork", &calls::network("n1", 1, &hang)).ok();
    plugin.call("NetworkDriver.CreateEndpoint", &calls::endpoint("n1", "e1", "10.1.0.2")).ok();
    plugin.call("NetworkDriver.Join", &calls::join("n1", "e1", "s1")).ok();

    let start = Instant::now();
    plugin.send("NetworkDriver.Leave", &calls::ids("n1", "e1"));
    // Or the others might overtake it.
    let begun = || bench.daemon.log().contains("chaos in leave, as told");
    wait_for("the hanging call to begin", PATIENCE, begun);
    let mut queue: Vec<_> = (3..9)
        .map(|number| {
            let mut plugin = bench.plugin("chaos");
            let (id, address) = (format!("e{number}"), format!("10.1.0.{number}"));
            plugin.send("NetworkDriver.CreateEndpoint", &calls::endpoint("n1", &id, &address));
            plugin
        })
        .collect();
    for queued in &mut queue {
        queued.receive().ok();
    }
    assert!(start.elapsed() > Duration::from_secs(4), "nobody had to wait: {:?}", start.elapsed());
    let error = plugin.receive().error();
    assert!(error.contains("did not answer within 5 s in leave"), "{error}");
    plugin.call("NetworkDriver.Join", &calls::join("n1", "e8", "s8")).ok();

    plugin.call("NetworkDriver.DeleteNetwork", &json!({ "NetworkID": "n1" })).ok();
    bench.wait_nothing_left();
}
