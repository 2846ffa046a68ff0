use wasmnet_lab::wait_for;

use super::{PATIENCE, Scene, assert_passes};

#[test]
fn beside_an_engine_with_iptables_legacy() {
    let scene = Scene::new(&[], |host| host.use_iptables_legacy());
    let host = &scene.site.host;
    let rules = host.sh("iptables-legacy -S");
    assert!(rules.contains("-P FORWARD DROP"), "the engine should drop as on a real host: {rules}");
    assert!(rules.contains("-N DOCKER-USER"), "the engine is not on iptables-legacy: {rules}");
    let others = host.sh("iptables-nft -S");
    assert!(!others.contains("DOCKER"), "the engine is on iptables-nft: {others}");
    scene.assert_works("as it was started");
    scene.assert_docker_is_left_alone("as it was started");

    let standing = scene.passes();
    for command in [
        "iptables-legacy -F DOCKER-USER",
        "iptables-legacy -F FORWARD; iptables-legacy -F DOCKER-USER",
    ] {
        scene.assert_soon_good_after(command);
        assert_passes(&scene, &standing, command);
    }
    scene.assert_works("with the rules flushed");
    scene.remove();
}

#[test]
fn a_network_of_dockers_that_comes_later_is_closed_too() {
    let scene = Scene::new(&[], |host| host.use_iptables_legacy());
    // Docker's bridge comes after ours, and nobody announces its rules.
    let site = &scene.site;
    site.docker("network create --driver bridge --subnet 10.81.4.0/24 late");
    site.container("later", "--network late");
    let later = site.address("later", "late");
    wait_for("the new network to be closed", PATIENCE, || !site.pings("one", &later));
    site.host.run(&["ping", "-c", "1", "-W", "2", &later]);
    site.docker("rm --force later");
    site.docker("network rm late");
    scene.remove();
}
