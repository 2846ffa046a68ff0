//! Frames between containers go from link to link, past the bridge and the host's firewall.

use wasmnet_e2e::{Site, Sites};
use wasmnet_lab::wait_for;

use super::PATIENCE;

/// Counts what br_netfilter has the host's firewall see of a network, but for ARP and ND.
const COUNTER: &str = "
table inet seen {
    counter bridged { }
    chain forward {
        type filter hook forward priority -300
        ip saddr 10.58.0.0/24 ip daddr 10.58.0.0/24 counter name bridged
    }
}";

/// The host's firewall sees bridged packets, as where Docker was told `--icc=false`, and
/// counts them.
fn count(site: &Site) {
    site.host.sh("echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables");
    site.host.sh(&format!("nft '{COUNTER}'"));
}

/// How many packets of the network it has counted since it was asked last.
fn counted(site: &Site) -> u64 {
    let listed = site.host.sh("nft reset counter inet seen bridged");
    let mut words = listed.split_whitespace().skip_while(|word| *word != "packets");
    words.nth(1).and_then(|count| count.parse().ok()).unwrap()
}

/// What there is of shortcuts, in an order of its own: the kernel lists elements in any.
fn shortcuts(site: &Site) -> Vec<String> {
    let listed = site.host.sh("nft list table netdev wasmnet 2>/dev/null || true");
    let separators = |letter: char| letter.is_whitespace() || ",{}=".contains(letter);
    let words = listed.split(separators).filter(|word| !word.is_empty());
    let mut words: Vec<String> = words.map(str::to_owned).collect();
    words.sort();
    words
}

/// Whether one leads to an Ethernet address.
fn has_shortcut(site: &Site, mac: &str) -> bool {
    shortcuts(site).iter().any(|word| word == mac)
}

#[test]
fn frames_to_containers_go_past_the_firewall() {
    let cluster = Sites::new(2, 1);
    let [a, b] = cluster.first();
    cluster.network("net", 58, "");
    for (site, names) in [(a, ["one", "two"]), (b, ["three", "four"])] {
        for name in names {
            site.container(name, "--network net");
        }
        count(site);
    }
    cluster.wait_converged();
    let three = b.address("three", "net");
    let two = a.address("two", "net");
    for to in [&two, &three] {
        a.assert_pings("one", to);
    }
    assert_eq!((counted(a), counted(b)), (0, 0), "{:?}", shortcuts(a));

    // Without them frames take the bridge, where they are counted, and they are put back.
    let stood = shortcuts(a);
    let vtep = a.host.sh("ip -br link show type vxlan | cut -d' ' -f1");
    for trouble in [
        "nft delete table netdev wasmnet".to_owned(),
        "nft flush ruleset".to_owned(),
        format!("nft flush chain netdev wasmnet {}", vtep.trim()),
        format!("ip link del {}", vtep.trim()),
    ] {
        a.host.sh(&trouble);
        wait_for(&format!("shortcuts after {trouble}"), PATIENCE, || {
            let now = shortcuts(a);
            if now == stood { Ok(()) } else { Err(format!("{now:?} instead of {stood:?}")) }
        });
        cluster.wait_converged();
        if trouble.contains("ruleset") {
            a.host.sh(&format!("nft '{COUNTER}'"));
        }
        let _ = (counted(a), counted(b));
        for to in [&two, &three] {
            a.assert_pings("one", to);
        }
        assert_eq!((counted(a), counted(b)), (0, 0), "after {trouble}: {:?}", shortcuts(a));
    }
    for name in ["one", "two"] {
        a.docker(&format!("rm --force {name}"));
    }
    a.docker("network rm net");
    wait_for("the table to be gone", PATIENCE, || {
        let left = shortcuts(a);
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
}

/// Of two that have the same Ethernet address the bridge knows who spoke last.
#[test]
fn an_address_given_twice_has_no_shortcut() {
    const TWICE: &str = "02:42:00:00:00:09";
    let cluster = Sites::new(1, 1);
    let [a] = cluster.first();
    cluster.network("net", 58, "");
    count(a);
    a.container("one", "--network net");
    a.container_with_mac("two", "net", None, TWICE);
    assert!(has_shortcut(a, TWICE));
    a.container_with_mac("three", "net", None, TWICE);
    assert!(!has_shortcut(a, TWICE));
    a.docker("rm --force three");
    wait_for("a shortcut", PATIENCE, || {
        if has_shortcut(a, TWICE) { Ok(()) } else { Err(format!("{:?}", shortcuts(a))) }
    });
    a.assert_pings("one", &a.address("two", "net"));
    assert_eq!(counted(a), 0, "{:?}", shortcuts(a));
}
