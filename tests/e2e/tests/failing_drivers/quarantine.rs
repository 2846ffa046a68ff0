//! A driver that fails again and again is left alone for a while.

use std::time::{Duration, Instant};

use serde_json::json;
use wasmnet_e2e::{CHAOS, Plugin, Site, binary, calls, driver_config};
use wasmnet_lab::wait_for;

/// How long it may take until the driver is refused for [`LONG`]: 1 + 2 + 4 + 8 s, and calls.
const PATIENCE: Duration = Duration::from_secs(60);
/// A quarantine in which there is time for a test.
const LONG: u64 = 15;
/// How long a refusal may take.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A site with the driver that fails as told.
fn site() -> Site {
    Site::prepared(&["--config", "/run/chaos.toml"], |host| {
        let config = driver_config(&[("chaos", CHAOS)]);
        host.exec(&["sh", "-c", "cat >/run/chaos.toml"]).stdin(config).run();
    })
}

/// Makes a network of the driver in which every endpoint crashes it.
fn bad_network(plugin: &mut Plugin) {
    let bad = json!({ "chaos": "create-endpoint:trap" });
    plugin.call("NetworkDriver.CreateNetwork", &calls::network("bad", 87, &bad)).ok();
}

/// Crashes the driver, if it is called; returns what the engine is told.
fn crash(plugin: &mut Plugin) -> String {
    let endpoint = calls::endpoint("bad", "one", "10.87.0.2");
    plugin.call("NetworkDriver.CreateEndpoint", &endpoint).error()
}

/// Seconds for which a refusal says that the driver is in quarantine.
fn seconds(refusal: &str) -> Option<u64> {
    let (_, rest) = refusal.split_once(" is in quarantine until ")?;
    let (until, rest) = rest.split_once(" UTC (")?;
    assert_eq!(until.len(), "00:00:00".len(), "no time of day: {refusal}");
    rest.split_once(" s from now)")?.0.parse().ok()
}

#[test]
fn it_is_refused_at_once_and_what_stands_goes_on_and_can_be_removed() {
    let site = site();
    let mut plugin = Plugin::connect(&site.host, "chaos");
    site.docker("network create --driver chaos good");
    site.container("one", "--network good");
    site.container("two", "--network good");
    let two = site.address("two", "good");
    bad_network(&mut plugin);

    let mut crashes = 0;
    wait_for("a long quarantine", PATIENCE, || {
        let said = crash(&mut plugin);
        match seconds(&said) {
            Some(seconds) if seconds >= LONG => Ok(()),
            Some(_) if crashes < 5 => panic!("refused after {crashes} crashes: {said}"),
            Some(_) => Err(said),
            None => {
                assert!(said.contains("the driver crashed in create-endpoint"), "{said}");
                crashes += 1;
                Err(said)
            }
        }
    });
    // Five to begin with, and a trial after 1, 2, 4 and 8 seconds.
    assert_eq!(crashes, 9);

    let start = Instant::now();
    let said = crash(&mut plugin);
    assert!(start.elapsed() < AT_ONCE, "refusing took {:?}", start.elapsed());
    assert!(
        said.contains("it failed 9 times in a row; the last time: the driver crashed"),
        "{said}"
    );
    let output = site.try_docker("network create --driver chaos more");
    assert!(!output.success() && output.stderr.contains("is in quarantine until"), "{output}");

    let view = view(&site);
    assert_eq!(view["quarantine"]["failures"], 9, "{view}");
    let table = site.host.run(&[&binary(), "driver", "ls"]);
    assert!(
        table.contains("in quarantine for ") && table.contains("the driver crashed"),
        "{table}"
    );

    // Its networks work, and containers leave them; others' do not notice.
    site.assert_pings("one", &two);
    site.docker("rm --force two");
    site.docker("network create --driver wasm-bridge calm");
    site.docker("run --rm --network calm busybox true");
    let said = crash(&mut plugin);
    assert!(seconds(&said).is_some(), "what is removed by force is no trial: {said}");

    let reset = site.host.run(&[&binary(), "driver", "reset", "chaos"]);
    assert_eq!(reset, "driver chaos is called again");
    site.docker("run --rm --network good busybox true");
    assert!(self::view(&site)["quarantine"].is_null());
    let again = site.host.run(&[&binary(), "driver", "reset", "chaos"]);
    assert_eq!(again, "driver chaos is not in quarantine");
    let unknown = site.host.try_run(&[&binary(), "driver", "reset", "nobody"]);
    assert_eq!(unknown.status.code(), Some(1), "{unknown}");
    assert!(unknown.stderr.contains("there is no driver nobody;"), "{unknown}");

    site.docker("rm --force one");
    site.docker("network rm good calm");
    plugin.call("NetworkDriver.DeleteNetwork", &json!({ "NetworkID": "bad" })).ok();
    site.assert_nothing_left();
}

#[test]
fn networks_can_be_deleted_meanwhile_and_an_answer_ends_it() {
    let site = site();
    let mut plugin = Plugin::connect(&site.host, "chaos");
    bad_network(&mut plugin);
    wait_for("a quarantine", PATIENCE, || seconds(&crash(&mut plugin)).is_some());
    // As with any failing driver: done, and the failure is for the engine's log. Where the
    // quarantine is over by now, the driver does it.
    let reply = plugin.call("NetworkDriver.DeleteNetwork", &json!({ "NetworkID": "bad" }));
    if reply.status != 200 {
        let said = reply.error();
        assert!(said.contains("the host removed what was left without it"), "{said}");
        assert!(seconds(&said).is_some(), "{said}");
    }
    site.assert_nothing_left();

    wait_for("the trial", PATIENCE, || {
        site.try_docker("network create --driver chaos good").success()
    });
    assert!(view(&site)["quarantine"].is_null());
    site.docker("network rm good");
    site.assert_nothing_left();
}

/// What is shown of the driver.
fn view(site: &Site) -> serde_json::Value {
    let drivers = site.daemon.json(&["driver", "ls"]);
    let chaos = drivers.as_array().unwrap().iter().find(|driver| driver["name"] == "chaos");
    chaos.unwrap_or_else(|| panic!("no chaos in {drivers}")).clone()
}
