//! What the user asks for, seen in the container and on the host.

use wasmnet_e2e::Site;
use wasmnet_lab::assert_same_state;

#[test]
fn addresses_gateway_and_mtu_are_as_asked() {
    let site = Site::new();
    let before = site.host.netns_state();
    site.network(
        "net1",
        "--subnet 10.81.0.0/16 --ip-range 10.81.5.0/24 --gateway 10.81.9.9 \
         --aux-address printer=10.81.5.0 --aux-address scanner=10.81.5.1 \
         --opt com.docker.network.driver.mtu=1400 \
         --opt com.docker.network.bridge.name=acme0",
    );
    site.container_with_mac("fixed", "net1", Some("10.81.7.7"), "02:00:00:00:be:ef");
    site.container("free", "--network net1");

    let addresses = site.in_container("fixed", "ip address show eth0");
    for part in ["inet 10.81.7.7/16 ", "link/ether 02:00:00:00:be:ef ", " mtu 1400 "] {
        assert!(addresses.contains(part), "no \"{part}\" in the container: {addresses}");
    }
    let free = site.address("free", "net1");
    assert_eq!(free, "10.81.5.2", "the first of the range that is not an auxiliary address");
    for container in ["fixed", "free"] {
        let routes = site.in_container(container, "ip route");
        assert!(routes.contains("default via 10.81.9.9 dev eth0"), "in {container}: {routes}");
        site.assert_pings(container, "10.81.9.9");
        site.assert_pings(container, &site.lab.outside().address().to_string());
    }
    // 1400 bytes with the headers of IP and ICMP pass in one piece.
    site.in_container("fixed", &format!("ping -c 1 -W 2 -s 1372 {free}"));
    let inspected = site.docker(
        "inspect --format {{.NetworkSettings.Networks.net1.IPAddress}},\
         {{.NetworkSettings.Networks.net1.MacAddress}} fixed",
    );
    assert_eq!(inspected, "10.81.7.7,02:00:00:00:be:ef", "docker inspect");
    let bridge = site.host.run(&["ip", "address", "show", "acme0"]);
    for part in ["inet 10.81.9.9/16 ", " mtu 1400 "] {
        assert!(bridge.contains(part), "no \"{part}\" on the bridge: {bridge}");
    }
    let ports = site.host.run(&["ip", "-o", "link", "show", "master", "acme0"]);
    assert_eq!(ports.lines().count(), 2, "{ports}");
    for port in ports.lines() {
        assert!(port.contains(" mtu 1400 "), "{port}");
    }

    site.docker("rm --force fixed free");
    site.docker("network rm net1");
    site.assert_nothing_left();
    assert_same_state(&before, &site.host.netns_state());
}

#[test]
fn the_bridge_and_the_containers_interface_are_called_as_asked() {
    let site = Site::new();
    let before = site.host.netns_state();
    site.network(
        "net1",
        "--opt com.docker.network.bridge.name=a23456789012345 \
         --opt com.docker.network.container_iface_prefix=lan",
    );
    site.container("one", "--network net1");
    site.container("two", "--network net1");

    site.host.run(&["ip", "link", "show", "type", "bridge", "dev", "a23456789012345"]);
    site.in_container("one", "ip link show lan0");
    let links = site.in_container("one", "ip -o link");
    assert!(!links.contains("eth0"), "{links}");
    // Docker's firewall lets a bridge pass that is not called as ours usually are.
    site.assert_pings("one", "two");
    site.assert_pings("one", &site.lab.outside().address().to_string());

    site.docker("rm --force one two");
    site.docker("network rm net1");
    site.assert_nothing_left();
    assert_same_state(&before, &site.host.netns_state());
}

#[test]
fn without_masquerade_the_outside_sees_the_container() {
    let site = Site::new();
    site.network(
        "net1",
        "--subnet 10.81.1.0/24 --opt com.docker.network.bridge.enable_ip_masquerade=false",
    );
    site.container("one", "--network net1 --ip 10.81.1.10");
    let outside = site.lab.outside();
    site.assert_silent("one", &outside.address().to_string(), "while there is no way back");

    outside.sh(&format!("ip route add 10.81.1.0/24 via {}", site.host.address()));
    let _server = site.serve_outside();
    assert_eq!(site.seen_outside("one"), "10.81.1.10");
}

#[test]
fn without_icc_neighbours_do_not_reach_each_other() {
    let site = Site::new();
    site.network("net1", "--opt com.docker.network.bridge.enable_icc=false");
    site.container("one", "--network net1");
    site.container("two", "--network net1");
    // Whether bridged frames pass the IP firewall or not.
    for br_netfilter in ["1", "0"] {
        site.host.sh(&format!("echo {br_netfilter} >/proc/sys/net/bridge/bridge-nf-call-iptables"));
        site.assert_silent("one", &site.address("two", "net1"), "without icc");
        site.assert_silent("two", &site.address("one", "net1"), "without icc");
        for container in ["one", "two"] {
            site.assert_pings(container, &site.lab.outside().address().to_string());
            site.assert_pings(container, &site.host.address().to_string());
        }
    }
}

#[test]
fn a_wrong_value_is_refused_by_name_and_changes_nothing() {
    let site = Site::new();
    site.host.run(&["ip", "link", "add", "mine", "type", "veth", "peer", "yours"]);
    let before = site.host.netns_state();
    let cases = [
        ("com.docker.network.driver.mtu", "abc"),
        ("com.docker.network.driver.mtu", "10"),
        ("com.docker.network.driver.mtu", "65536"),
        ("com.docker.network.driver.mtu", "-1"),
        ("com.docker.network.bridge.nmae", "acme0"),
        ("com.docker.network.bridge.enable_icc", "maybe"),
        ("com.docker.network.bridge.enable_ip_masquerade", "2"),
        ("com.docker.network.container_iface_prefix", "a/b"),
        ("com.docker.network.container_iface_prefix", "abcdefghijklmno"),
        ("com.docker.network.bridge.name", "a234567890123456"),
        ("com.docker.network.bridge.name", "a/b"),
        // Taken: by somebody, by the engine, by the uplink.
        ("com.docker.network.bridge.name", "mine"),
        ("com.docker.network.bridge.name", "docker0"),
        ("com.docker.network.bridge.name", "eth0"),
    ];
    let mut wrong = Vec::new();
    for (key, value) in cases {
        let created = format!("network create --driver wasm-bridge --opt {key}={value} net1");
        let output = site.try_docker(&created);
        assert!(!output.success(), "{key}={value} was taken: {output}");
        let text = output.stderr.trim();
        let clear = text.contains(key)
            && (text.contains(value) || value == "acme0")
            && text.lines().count() == 1;
        if !clear {
            wrong.push(format!("{key}={value}: {text}"));
        }
    }
    assert!(wrong.is_empty(), "not one sentence with key and value:\n{}", wrong.join("\n"));
    site.assert_nothing_left();
    assert_same_state(&before, &site.host.netns_state());
    let networks = site.docker("network ls --quiet --filter driver=wasm-bridge");
    assert_eq!(networks, "", "the engine has a network that was refused");
}
