//! Failures while something is being made: it fails, and nothing has happened.

use super::{ONE_DEADLINE, Scene, WAYS, assert_sentence, hint, sentence};

#[test]
fn a_network_that_fails_is_not_there() {
    let scene = Scene::new();
    let (before, ledger) = (scene.kernel(), scene.ledger());
    for how in WAYS.iter().copied().chain(["label"]) {
        let case = format!("create-network:{how}");
        let (output, took) =
            scene.timed(&format!("network create --driver chaos -o chaos={case} bad"));

        assert_sentence(&output, &sentence("create-network", how), &case);
        assert!(took < ONE_DEADLINE, "{case}: the user waited {took:?}");
        scene.assert_back_to(&before, &case);
        scene.wait_ledger(ledger, &case);
        assert_hint(&scene, "create-network", how);
        scene.assert_calm();
    }
    // The failures were the networks', not the driver's.
    scene.site.docker("network create --driver chaos good");
    scene.site.container("good1", "--network good");
    scene.site.assert_pings("good1", &scene.site.host.address().to_string());
}

#[test]
fn a_container_whose_endpoint_fails_does_not_start() {
    a_container_does_not_start("create-endpoint", &[]);
}

#[test]
fn a_container_whose_join_fails_does_not_start() {
    a_container_does_not_start("join", &["source"]);
}

#[test]
fn a_container_whose_ports_fail_does_not_start() {
    a_container_does_not_start("program-external-connectivity", &[]);
}

/// `docker start` with a network that fails in `method`, in all ways and `more`.
fn a_container_does_not_start(method: &str, more: &[&str]) {
    let scene = Scene::new();
    let (empty, empty_ledger) = (scene.kernel(), scene.ledger());
    for how in WAYS.iter().chain(more).copied() {
        let case = format!("{method}:{how}");
        scene.bad_network(method, how);
        scene.site.docker("create --name victim --network bad busybox sleep 3600");
        let (before, ledger) = (scene.kernel(), scene.ledger());
        let (output, took) = scene.timed("start victim");

        assert_sentence(&output, &sentence(method, how), &case);
        assert!(took < ONE_DEADLINE, "{case}: the user waited {took:?}");
        scene.assert_back_to(&before, &case);
        scene.wait_ledger(ledger, &case);
        assert_hint(&scene, method, how);
        scene.assert_calm();

        scene.site.docker("rm victim");
        scene.site.docker("network rm bad");
        scene.assert_back_to(&empty, &case);
        scene.wait_ledger(empty_ledger, &case);
    }
}

fn assert_hint(scene: &Scene, method: &str, how: &str) {
    if let Some(hint) = hint(method, how) {
        let log = scene.site.daemon.log();
        assert!(log.contains(&hint), "{method}:{how}: the log has no \"{hint}\":\n{log}");
    }
}
