use wasmnet_lab::{assert_same_state, wait_for};

use super::{PATIENCE, Scene, assert_passes, assert_soon};

#[test]
fn traffic_is_back_soon_after_a_firewall_was_flushed() {
    let scene = Scene::new(&[], |_| {});
    let standing = scene.passes();
    scene.assert_works("as it was started");

    scene.assert_soon_good_after("iptables -F DOCKER-USER");
    assert_passes(&scene, &standing, "iptables -F DOCKER-USER");

    let before = scene.site.host.netns_state();
    scene.assert_soon_good_after("nft delete table inet wasmnet");
    wait_for("the table to be as it was", PATIENCE, || scene.site.host.netns_state() == before);
    assert_same_state(&before, &scene.site.host.netns_state());
    scene.assert_works("with the table made again");
    scene.assert_docker_is_left_alone("with the table made again");

    for command in ["iptables -F FORWARD", "iptables -F FORWARD; iptables -F DOCKER-USER"] {
        scene.assert_soon_good_after(command);
        assert_passes(&scene, &standing, command);
    }
    scene.assert_works("without Docker's rules");

    // Docker's own are away until it starts again, and so is what it drops.
    scene.assert_soon_good_after("nft flush ruleset");
    scene.assert_works("with the ruleset flushed");
    scene.remove();
}

#[test]
fn traffic_goes_on_while_the_engine_restarts() {
    let mut scene = Scene::new(&["--live-restore"], |_| {});
    let standing = scene.passes();
    for kill in [false, true] {
        let outage = scene.ways.outage(|| {
            if kill {
                scene.site.engine.kill();
                scene.site.engine.start();
            } else {
                scene.site.engine.restart();
            }
        });
        assert_soon(outage, &format!("a restart of the engine, killed={kill}"));
        assert_passes(&scene, &standing, "a restart of the engine");
    }
    scene.assert_works("with the engine started again");
    scene.assert_docker_is_left_alone("with the engine started again");
    scene.remove();
}
