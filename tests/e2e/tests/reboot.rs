//! The host loses its network state, by a reboot or because somebody deletes it.

use std::time::Duration;

use wasmnet_e2e::Site;
use wasmnet_lab::{assert_same_state, wait_for};

/// How long something may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn a_daemon_that_finds_nothing_makes_its_networks_again() {
    let mut site = started();
    site.docker("kill one two");
    site.wait_ledger(2, 0);
    // The kernel takes its time to see that a bridge has lost its last port.
    let idle = |site: &Site| !site.host.sh("ip -o link show type bridge").contains(" state UP ");
    wait_for("the bridges to be idle", PATIENCE, || idle(&site));
    let standing = site.host.netns_state();
    site.daemon.kill();
    delete_links(&site);
    site.host.sh("nft delete table inet wasmnet");

    site.daemon.start_again();
    assert_same_state(&standing, &site.host.netns_state());
    site.docker("start one two");
    assert_works(&site);
    remove_all(&site);
}

#[test]
fn a_daemon_that_finds_nothing_forgets_containers_without_a_link() {
    let mut site = started();
    site.daemon.kill();
    delete_links(&site);
    site.host.sh("nft delete table inet wasmnet");

    site.daemon.start_again();
    site.wait_ledger(2, 0);
    site.docker("restart one two");
    assert_works(&site);
    site.wait_endpoints(&["10.81.1.10", "10.81.1.20"]);
    remove_all(&site);
}

#[test]
fn after_a_reboot_everything_stands_before_the_engine_starts() {
    let mut site = started();
    let bridges = bridges_of(&site);
    let firewall = site.host.sh("nft -t list table inet wasmnet");
    let passes = site.host.sh("iptables -S DOCKER-USER | sort");
    reboot(&mut site, "11111111-2222-3333-4444-555555555555");

    site.daemon.start_again();
    site.wait_ledger(2, 0);
    assert_eq!(bridges_of(&site), bridges, "the bridges");
    assert_eq!(site.host.sh("nft -t list table inet wasmnet"), firewall, "the firewall");
    let masqueraded = site.host.sh("nft list set inet wasmnet masquerade4");
    assert!(masqueraded.contains('"'), "no bridge in {masqueraded}");

    // Docker's firewall comes only now, and it drops what it does not know.
    site.engine.start();
    let policy = site.host.sh("iptables -S FORWARD | head -1");
    assert_eq!(policy, "-P FORWARD DROP", "the engine should drop as on a real host");
    wait_for("our links to pass Docker's firewall", PATIENCE, || {
        let is = site.host.sh("iptables -S DOCKER-USER | sort");
        if is == passes { Ok(()) } else { Err(format!("{is}\nand not\n{passes}")) }
    });
    wait_for("Docker's bridge to be known as one", PATIENCE, || {
        site.host.sh("nft list set inet wasmnet foreign").contains("docker0")
    });
    site.docker("start one two");
    assert_works(&site);
    site.wait_endpoints(&["10.81.1.10", "10.81.1.20"]);
    remove_all(&site);
}

#[test]
fn containers_with_a_restart_policy_come_back_after_a_reboot() {
    let mut site = started();
    site.docker("update --restart always one two");
    reboot(&mut site, "11111111-2222-3333-4444-666666666666");
    site.daemon.start_again();
    site.engine.start();
    site.wait_endpoints(&["10.81.1.10", "10.81.1.20"]);
    site.wait_pings("one", "two");
    assert_works(&site);
    remove_all(&site);
}

/// A host with containers one and two on net1, and a network with a bridge of its own
/// name that nobody is on.
fn started() -> Site {
    let site = Site::new();
    site.network("net1", "--subnet 10.81.1.0/24");
    site.network("net2", "--subnet 10.81.2.0/24 --opt com.docker.network.bridge.name=acme0");
    site.container("one", "--network net1 --ip 10.81.1.10");
    site.container("two", "--network net1 --ip 10.81.1.20");
    assert_works(&site);
    site
}

/// What worked before works, on both networks.
fn assert_works(site: &Site) {
    let outside = site.lab.outside().address().to_string();
    assert_eq!(site.address("one", "net1"), "10.81.1.10");
    for (from, to) in
        [("one", "two"), ("two", "10.81.1.10"), ("one", "10.81.1.1"), ("one", &outside)]
    {
        site.assert_pings(from, to);
    }
    site.container("three", "--network net2");
    site.assert_pings("three", "10.81.2.1");
    site.assert_pings("three", &outside);
    site.docker("rm --force three");
}

fn remove_all(site: &Site) {
    site.docker("rm --force one two");
    site.docker("network rm net1 net2");
    site.assert_nothing_left();
    assert_eq!(site.host.sh(LINKS), "", "links left behind");
}

/// Deletes all links of the daemon.
fn delete_links(site: &Site) {
    // A veth's other end goes with it.
    site.host.sh(&format!("for link in $({LINKS}); do ip link delete $link || true; done"));
    assert_eq!(site.host.sh(LINKS), "", "links that could not be deleted");
}

/// Prints the names of the daemon's links.
const LINKS: &str = "ip -o link | sed -nE 's/^[0-9]+: (wn[^:@]*|acme0)[:@].*/\\1/p'";

/// The daemon's bridges with their addresses.
fn bridges_of(site: &Site) -> String {
    site.host.sh(
        "ip -brief -4 address show type bridge | grep ' 10\\.81\\.' | awk '{print $1, $3}' | sort",
    )
}

/// Takes away what a reboot takes away. Neither daemon nor engine is started.
fn reboot(site: &mut Site, boot_id: &str) {
    let pids = site.docker("inspect --format {{.State.Pid}} one two");
    site.daemon.kill();
    site.engine.kill();
    let boot_id = site.host.put("boot-id", format!("{boot_id}\n"));
    site.host.sh(&format!(
        "kill -9 {}
        umount /run/docker/netns/* || true
        rm -rf /run/docker/netns /run/docker/plugins/*.sock /run/wasmnet
        ip link delete docker0
        nft flush ruleset
        echo 0 >/proc/sys/net/ipv4/ip_forward
        mount --bind {} /proc/sys/kernel/random/boot_id",
        pids.replace('\n', " "),
        boot_id.display(),
    ));
    delete_links(site);
}
