use wasmnet_e2e::{Site, publish};
use wasmnet_lab::{Place, Transport, assert_same_state, transports};

use super::{at, web};

/// What the user is told on a kernel without SCTP.
const LACKS: &str = "this kernel has no SCTP (it was built without, or the module is missing)";

#[test]
fn sctp_is_published_or_the_user_is_told_that_the_kernel_lacks_it() {
    let site = Site::new();
    site.network("nat", "--subnet 10.81.1.0/24");
    let routed = "--opt com.docker.network.bridge.gateway_mode_ipv4=routed";
    site.network("routed", &format!("--subnet 10.81.2.0/24 {routed}"));
    // Bridges that stay up throughout.
    site.container("keeper", "--network nat");
    site.docker("network connect routed keeper");
    let before = site.host.netns_state();

    if transports().contains(&Transport::Sctp) {
        let remote = Place::host(&site.lab.host("b"));
        let web = web(&site, "web", "--network nat --publish 80:80/sctp");
        remote.assert_reaches(Transport::Sctp, at(site.host.address(), 80), "web");
        drop(web);
        site.docker("rm --force web");
    } else {
        for network in ["nat", "routed"] {
            for ports in ["--publish 80:80/sctp", "--publish 8080:80 --publish 80:80/sctp"] {
                let run = format!("run --rm --network {network} {ports} busybox true");
                let output = site.try_docker(&run);
                assert!(!output.success(), "{run}: nobody can reach it, and nobody says so");
                let told = output.stderr.lines().filter(|line| line.contains(LACKS)).count();
                assert_eq!(told, 1, "{run}: not one line \"{LACKS}\": {output}");
            }
        }
    }
    site.wait_ledger(2, 2);
    assert_same_state(&before, &site.host.netns_state());
    // Nobody has what was asked for together with it.
    site.docker(&format!("run --rm --network nat {} busybox true", publish("8080:80")));
}
