use super::Scene;

const FILTERED: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";

#[test]
fn on_a_host_whose_bridges_the_firewall_does_not_see() {
    // The engine turns it on when it starts; the host's owner has the last word.
    let scene = Scene::before_networks(|host| drop(host.sh(&format!("echo 0 >{FILTERED}"))));
    assert_eq!(scene.site.host.sh(&format!("cat {FILTERED}")), "0", "the engine turned it on");
    scene.assert_works("without br_netfilter");
    scene.assert_docker_is_left_alone("without br_netfilter");
    scene.assert_soon_good_after("iptables -F DOCKER-USER; iptables -F FORWARD");
    scene.remove();
}
