//! What needs no driver is answered at once, whatever drivers are doing.

use std::{thread, time::Duration};

use serde_json::json;
use wasmnet_e2e::{BRIDGE, Bench, CHAOS, Plugin, calls};
use wasmnet_lab::wait_for;

use super::slowest_answers;

/// What "at once" is.
const AT_ONCE: Duration = Duration::from_millis(100);

/// How long something may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(15);

/// Networks 1 to `count` of driver "chaos", in each of which a call hangs.
fn hang(bench: &Bench, count: u8) -> Vec<Plugin> {
    let mut plugin = bench.plugin("chaos");
    let options = json!({ "chaos": "create-endpoint:loop" });
    for number in 1..=count {
        let body = calls::network(&format!("n{number}"), number, &options);
        plugin.call("NetworkDriver.CreateNetwork", &body).ok();
    }
    let ports = || bench.host.run(&["ip", "-o", "link", "show", "type", "veth"]).lines().count();
    let before = ports();
    let hanging = (1..=count)
        .map(|number| {
            let mut plugin = bench.plugin("chaos");
            let (id, address) = (format!("n{number}"), format!("10.{number}.0.2"));
            plugin.send("NetworkDriver.CreateEndpoint", &calls::endpoint(&id, "e1", &address));
            plugin
        })
        .collect();
    // Each has made both ends of a veth pair when it begins to loop.
    wait_for("all calls to hang", PATIENCE, || {
        let made = (ports() - before) / 2;
        if made >= usize::from(count) { Ok(()) } else { Err(format!("{made} of {count}")) }
    });
    hanging
}

/// Fails the test unless activation is quick while `count` calls hang.
fn activation_is_quick_beside(count: u8) {
    let bench = Bench::new(&[("chaos", CHAOS)]);
    let hanging = hang(&bench, count);
    let slowest = slowest_answers(&bench, [BRIDGE, "chaos"]);
    for mut plugin in hanging {
        let error = plugin.receive().error();
        assert!(error.contains("did not answer within 5 s"), "{error}");
    }
    assert!(
        slowest.iter().all(|slowest| *slowest < AT_ONCE),
        "{count} calls hang, and Activate or GetCapabilities takes {slowest:?}"
    );
}

#[test]
fn activation_is_quick_while_every_thread_has_a_looping_call() {
    let threads = thread::available_parallelism().unwrap().get();
    activation_is_quick_beside(u8::try_from(threads).unwrap());
}

#[test]
fn activation_is_quick_while_sixty_calls_loop() {
    activation_is_quick_beside(60);
}

#[test]
fn activation_is_quick_for_a_driver_that_could_not_be_loaded() {
    let bench = Bench::new(&[("acme", "/bin/true")]);
    assert_eq!(bench.plugin("acme").ask("Plugin.Activate").ok()["Implements"][0], "NetworkDriver");
    assert_eq!(bench.plugin("acme").ask("NetworkDriver.GetCapabilities").ok()["Scope"], "local");
    let [slowest] = slowest_answers(&bench, ["acme"]);
    assert!(slowest < AT_ONCE, "Activate or GetCapabilities takes {slowest:?}");

    let mut plugin = bench.plugin("acme");
    let reply = plugin.call("NetworkDriver.CreateNetwork", &calls::network("n1", 1, &json!({})));
    let error = reply.error();
    assert!(error.contains("driver acme is not loaded: the file is compiled code"), "{error}");
    // What it never made it need not give up.
    plugin.call("NetworkDriver.Leave", &calls::ids("n1", "e1")).ok();
    plugin.call("NetworkDriver.DeleteEndpoint", &calls::ids("n1", "e1")).ok();
    plugin.call("NetworkDriver.DeleteNetwork", &json!({ "NetworkID": "n1" })).ok();
}
