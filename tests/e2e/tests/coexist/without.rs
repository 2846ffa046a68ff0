use wasmnet_lab::assert_same_state;

use super::Scene;

const NO_RULES: &[&str] = &["--iptables=false"];

#[test]
fn beside_an_engine_that_leaves_the_firewall_alone() {
    let scene = Scene::new(NO_RULES, |_| {});
    assert_eq!(policy(&scene), "-P FORWARD ACCEPT");
    scene.assert_works("where nobody drops");
    assert_eq!(scene.site.host.sh("iptables -S | grep -c wasmnet || true"), "0");

    // Somebody else sets it while networks stand, and takes it back.
    for policy in ["DROP", "ACCEPT"] {
        scene.assert_soon_good_after(&format!("iptables -P FORWARD {policy}"));
        scene.assert_works(&format!("where somebody else has set {policy}"));
    }
    scene.remove();
}

#[test]
fn beside_somebody_else_who_drops() {
    let mut before = String::new();
    let scene = Scene::new(NO_RULES, |host| {
        host.sh("iptables -P FORWARD DROP");
        before = host.sh("iptables -S");
    });
    assert_eq!(policy(&scene), "-P FORWARD DROP");
    let rules = scene.site.host.sh("iptables -S");
    assert!(!rules.contains("DOCKER"), "the engine should have no rules: {rules}");
    scene.assert_works("where somebody else drops");
    scene.assert_soon_good_after("iptables -F FORWARD");
    let host = scene.site.host.clone();
    scene.remove();
    assert_same_state(&before, &host.sh("iptables -S"));
}

fn policy(scene: &Scene) -> String {
    scene.site.host.sh("iptables -S FORWARD | head -1")
}
