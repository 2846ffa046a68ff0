//! Failures while something is being given up: Docker forgets it in any case, so it
//! has to be gone, and the log says what went wrong.

use wasmnet_lab::wait_for;

use super::{ONE_DEADLINE, PATIENCE, Scene, WAYS, hint, sentence};

#[test]
fn a_container_is_gone_though_revoking_its_ports_fails() {
    a_container_is_gone("revoke-external-connectivity");
}

#[test]
fn a_container_is_gone_though_leaving_fails() {
    a_container_is_gone("leave");
}

#[test]
fn a_container_is_gone_though_deleting_its_endpoint_fails() {
    a_container_is_gone("delete-endpoint");
}

#[test]
fn a_network_is_gone_though_deleting_it_fails() {
    let scene = Scene::new();
    let (before, ledger) = (scene.kernel(), scene.ledger());
    for how in WAYS {
        let case = format!("delete-network:{how}");
        scene.bad_network("delete-network", how);
        let (output, took) = scene.timed("network rm bad");

        assert!(output.success(), "{case}: {output}");
        assert!(took < ONE_DEADLINE, "{case}: the user waited {took:?}");
        assert_eq!(scene.site.docker("network ls --quiet --filter name=bad"), "", "{case}");
        scene.assert_back_to(&before, &case);
        scene.wait_ledger(ledger, &case);
        assert_logged(&scene, "delete-network", how);
        scene.assert_calm();
    }
}

/// `docker rm --force` with a network that fails in `method`, in all ways.
fn a_container_is_gone(method: &str) {
    let scene = Scene::new();
    let (empty, empty_ledger) = (scene.kernel(), scene.ledger());
    for how in WAYS {
        let case = format!("{method}:{how}");
        scene.bad_network(method, how);
        let (before, ledger) = (scene.kernel(), scene.ledger());
        scene.site.container("victim", "--network bad");
        scene.site.assert_pings("victim", &scene.site.host.address().to_string());
        let (output, took) = scene.timed("rm --force victim");

        assert!(output.success(), "{case}: {output}");
        assert!(took < ONE_DEADLINE, "{case}: the user waited {took:?}");
        assert_eq!(scene.site.docker("ps --all --quiet --filter name=victim"), "", "{case}");
        scene.assert_back_to(&before, &case);
        scene.wait_ledger(ledger, &case);
        assert_logged(&scene, method, how);
        scene.assert_calm();

        // The network still works as far as its driver lets it.
        scene.site.container("next", "--network bad");
        scene.site.assert_pings("next", &scene.site.host.address().to_string());
        scene.site.docker("rm --force next");
        scene.site.docker("network rm bad");
        scene.assert_back_to(&empty, &case);
        scene.wait_ledger(empty_ledger, &case);
    }
}

/// Fails the test unless both logs, the engine's too, say what went wrong.
fn assert_logged(scene: &Scene, method: &str, how: &str) {
    let case = format!("{method}:{how}");
    let sentence = sentence(method, how);
    let sentence = sentence.trim_start_matches("chaos: ");
    let log = scene.site.daemon.log();
    assert!(log.contains(sentence), "{case}: the log has no \"{sentence}\":\n{log}");
    if let Some(hint) = hint(method, how) {
        assert!(log.contains(&hint), "{case}: the log has no \"{hint}\":\n{log}");
    }
    // The engine writes quotes with backslashes; only what is before the first matters.
    wait_for(&format!("{case}: \"{sentence}\" in the engine's log"), PATIENCE, || {
        scene.site.engine.log().contains(sentence)
    });
}
