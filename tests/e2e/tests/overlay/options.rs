use wasmnet_e2e::{Site, Sites};

#[test]
fn what_cannot_be_has_a_sentence_and_leaves_nothing() {
    let site = Site::new();
    let before = site.host.netns_state();
    for (options, sentence) in [
        ("-o encrypted", "option encrypted: this driver cannot encrypt yet"),
        ("-o encrypted=true", "option encrypted: this driver cannot encrypt yet"),
        ("-o wasmnet.overlay.name=x", "option wasmnet.overlay.name is not known"),
        ("-o com.docker.network.driver.overlay.x=1", "driver.overlay.x is not known"),
        ("-o wasmnet.overlay.id=a/b", "must be 1 to 64 letters, digits, dots, dashes"),
        ("-o wasmnet.overlay.port=0", "must be a UDP port from 1 to 65535"),
        ("-o wasmnet.overlay.gateway=me", "must be engine (docker_gwbridge) or host"),
        ("-o com.docker.network.driver.overlay.vxlanid_list=7,8", "must be one number"),
        ("-o com.docker.network.driver.overlay.vxlanid_list=0", "must be one number"),
        ("-o com.docker.network.driver.mtu=1500", "use 1450 or less"),
        ("--ipam-driver null", "needs an IPAM driver that gives it a subnet"),
    ] {
        let output = site.try_docker(&format!("network create --driver wasm-overlay {options} n"));
        assert!(!output.success(), "{options}: {output}");
        assert!(output.stderr.contains(sentence), "{options}: {output}");
        site.assert_nothing_left();
    }
    wasmnet_lab::assert_same_state(&before, &site.host.netns_state());
    // Nothing is left in the store either: all identifiers are free.
    site.overlay("n", 53, 0, "-o com.docker.network.driver.overlay.vxlanid_list=1048576");
    let output = site.try_docker(
        "network create --driver wasm-overlay --subnet 10.54.0.0/24 \
         -o com.docker.network.driver.overlay.vxlanid_list=1048576 m",
    );
    assert!(output.stderr.contains("1048576 is another network's"), "{output}");
    let output = site.try_docker("network create --driver wasm-overlay --subnet 10.54.0.0/24 m");
    assert!(output.success(), "{output}");
}

/// Swarm's first network has VNI 4096 and our UDP port.
#[test]
fn a_host_of_a_swarm_can_have_networks_of_ours() {
    let cluster = Sites::new(1, 1);
    let [site] = cluster.first();
    site.host.sh("ip link add swarm type vxlan id 4096 dstport 4789 local 127.0.0.1");
    site.overlay("n", 54, 0, "");
}

#[test]
fn hosts_must_mean_the_same_network() {
    let cluster = Sites::new(2, 1);
    let [a, b] = cluster.first();
    a.overlay("n", 55, 0, "-o wasmnet.overlay.id=blue -o wasmnet.overlay.port=4790");
    for (options, sentence) in [
        ("--subnet 10.56.0.0/24", "subnet 10.55.0.0/24 on the other hosts, and not 10.56.0.0/24"),
        ("--subnet 10.55.0.0/24", "UDP port 4790 on the other hosts, and not 4789"),
        (
            "--subnet 10.55.0.0/24 -o wasmnet.overlay.port=4790 \
             -o com.docker.network.driver.overlay.vxlanid_list=99",
            "identifier 1048576 on the other hosts, and not 99",
        ),
    ] {
        let create = "network create --driver wasm-overlay -o wasmnet.overlay.id=blue";
        let output = b.try_docker(&format!("{create} {options} n"));
        assert!(output.stderr.contains(sentence), "{options}: {output}");
        b.assert_nothing_left();
    }
    let again = "network create --driver wasm-overlay --subnet 10.57.0.0/24 \
                 -o wasmnet.overlay.id=blue m";
    let output = a.try_docker(again);
    assert!(output.stderr.contains("this host has a network id:blue already"), "{output}");
    b.overlay("n", 55, 1, "-o wasmnet.overlay.id=blue -o wasmnet.overlay.port=4790");
    a.container("one", "--network n");
    b.container("two", "--network n");
    cluster.wait_converged();
    a.assert_pings("one", &b.address("two", "n"));
}

/// Engines do not know what the others have given away.
#[test]
fn an_address_that_another_host_has_is_refused_with_its_name() {
    let cluster = Sites::new(2, 1);
    let [a, b] = cluster.first();
    cluster.network("n", 58, "");
    a.container("one", "--network n --ip 10.58.0.200");
    b.wait_neighbours(&a.overlay_endpoints());
    let output = b.try_docker("run --name two --network n --ip 10.58.0.200 busybox true");
    assert!(output.stderr.contains("10.58.0.200 is in use on host a"), "{output}");
    assert!(output.stderr.contains("--ip-range"), "{output}");
    b.docker("rm two");
    b.wait_ledger(1, 0);
    a.docker("rm --force one");
    b.wait_neighbours(&Default::default());
    b.container("two", "--network n --ip 10.58.0.200");
    a.wait_neighbours(&b.overlay_endpoints());
}

#[test]
fn several_subnets_and_both_families() {
    let cluster = Sites::new(2, 1);
    let [a, b] = cluster.first();
    for (site, at) in [(a, 0), (b, 64)] {
        site.docker(&format!(
            "network create --driver wasm-overlay --ipv6 \
             --subnet 10.59.0.0/24 --ip-range 10.59.0.{at}/26 \
             --subnet 10.59.1.0/24 --ip-range 10.59.1.{at}/26 \
             --subnet fd00:59::/64 --ip-range fd00:59::{at}:0/112 n"
        ));
    }
    a.container("one", "--network n");
    b.container("two", "--network n --ip 10.59.1.77");
    cluster.wait_converged();
    a.assert_pings("one", "10.59.1.77");
    a.wait_pings("one", &b.address6("two", "n"));
    b.wait_pings("two", &a.address6("one", "n"));
    b.assert_pings("two", &a.address("one", "n"));
}

#[test]
fn the_underlay_may_be_ipv6() {
    let lab = wasmnet_lab::Lab::new();
    let etcd = lab.etcd(1);
    let site = |name: &str, at: usize| {
        let endpoints = etcd.endpoints();
        let host = lab.host(name);
        let address = host.address6();
        let config = format!(
            "[node]\naddress = \"{address}\"\n[cluster]\nstore = \"etcd\"\nendpoints = {endpoints:?}\n"
        );
        let site = Site::on(host, &lab, &config);
        site.overlay("n", 60, at, "");
        site.container("one", "--network n");
        site
    };
    let (a, b) = (site("a", 0), site("b", 1));
    a.wait_neighbours(&b.overlay_endpoints());
    b.wait_neighbours(&a.overlay_endpoints());
    a.assert_pings("one", &b.address("one", "n"));
    let mtu = a.in_container("one", "cat /sys/class/net/eth0/mtu");
    assert_eq!(mtu.trim(), "1430", "1500 less the headers of IPv6, UDP and VXLAN");
    a.assert_pings("one", &format!("-s 1402 {}", b.address("one", "n")));
}
