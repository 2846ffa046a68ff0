use serde_json::json;
use wasmnet_e2e::{Site, Tries, publish};
use wasmnet_lab::{Place, Transport, assert_same_state, transports};

use super::{at, web};

const ANY: [u8; 4] = [0, 0, 0, 0];

#[test]
fn a_taken_port_fails_the_container_and_leaves_nothing() {
    let site = Site::new();
    site.network("net1", "--subnet 10.81.1.0/24");
    site.docker("network create --driver bridge --subnet 10.81.3.0/24 builtin");
    // Bridges that stay up throughout.
    site.container("keeper", "--network net1");
    site.docker("network connect builtin keeper");
    let host = Place::host(&site.host);

    // By a program: on all addresses, and on one of them.
    for transport in transports() {
        let _on_all = host.serve_at(transport, at(ANY, 8080));
        let _on_one = host.serve_at(transport, at([127, 0, 0, 1], 8081));
        let _on_all6 = host.serve_at(transport, at([0; 16], 8082));
        for port in [8080, 8081, 8082] {
            let publish = format!("--publish {port}:80/{transport}");
            assert_refused(&site, &publish, &format!("0.0.0.0:{port}"), transport);
        }
        let publish = format!("--publish 127.0.0.1:8081:80/{transport}");
        assert_refused(&site, &publish, "127.0.0.1:8081", transport);
        // What it could have had goes back, too.
        let publish = format!("--publish 8070:80/{transport} --publish 8081:80/{transport}");
        assert_refused(&site, &publish, "0.0.0.0:8081", transport);
        drop(host.serve_at(transport, at(ANY, 8070)));
    }
    // By a container of the built-in driver, and by one of ours.
    for network in ["builtin", "net1"] {
        for transport in transports() {
            site.docker(&format!(
                "run --detach --name first --network {network} --publish 8083:80/{transport} \
                 busybox sleep 3600"
            ));
            let publish = format!("--publish 8083:80/{transport}");
            assert_refused(&site, &publish, "0.0.0.0:8083", transport);
            site.docker("rm --force first");
        }
    }
    // Now they are free, and those of the other transport always were.
    for port in [8070, 8080, 8081, 8082, 8083] {
        let publish = publish(&format!("{port}:80"));
        site.docker(&format!("run --rm --network net1 {publish} busybox true"));
    }
}

/// Tries to start a container with `publish`, which must fail because `taken` is.
fn assert_refused(site: &Site, publish: &str, taken: &str, transport: Transport) {
    let before = site.host.netns_state();
    let output = site.try_docker(&format!("run --rm --network net1 {publish} busybox sleep 3600"));
    assert!(!output.success(), "{publish} ({transport}) was given twice");
    let sentence = format!("Bind for {taken} failed: port is already allocated");
    assert!(output.stderr.contains(&sentence), "not \"{sentence}\": {output}");
    assert_same_state(&before, &site.host.netns_state());
}

#[test]
fn nobody_else_gets_a_published_port() {
    let site = Site::new();
    site.network("net1", "--subnet 10.81.1.0/24");
    site.docker("network create --driver bridge --subnet 10.81.3.0/24 builtin");
    site.container("web", &format!("--network net1 {}", publish("8080:80")));
    let host = Place::host(&site.host);
    for transport in transports() {
        for address in [at(ANY, 8080), at([127, 0, 0, 1], 8080), at([0; 16], 8080)] {
            let taken = host.try_serve_at(transport, address);
            assert!(taken.is_err(), "a program has {transport} {address}");
        }
        let output = site.try_docker(&format!(
            "run --rm --network builtin --publish 8080:80/{transport} busybox true"
        ));
        assert!(!output.success(), "the built-in driver has {transport} port 8080, too");
    }
}

#[test]
fn a_range_gives_its_first_free_port() {
    let site = Site::new();
    site.network("net1", "--subnet 10.81.1.0/24");
    let host = Place::host(&site.host);
    let _taken = host.serve_at(Transport::Tcp, at(ANY, 9001));
    let publish = "--network net1 --publish 9000-9003:80";
    let webs = ["one", "two", "three"].map(|name| web(&site, name, publish));
    let mut tries = Tries::default();
    for (name, port) in [("one", 9000), ("two", 9002), ("three", 9003)] {
        tries.reaches(&host, Transport::Tcp, at(site.host.address(), port), name);
    }
    tries.assert_good("a range of ports");
    let output = site.try_docker(&format!("run --rm {publish} busybox true"));
    assert!(!output.success(), "there are four ports, and a fifth was given: {output}");
    assert!(output.stderr.contains("9000-9003"), "{output}");
    drop(webs);

    // The first one that is free again.
    site.docker("rm --force two");
    let _two = web(&site, "two", publish);
    Place::host(&site.host).assert_reaches(Transport::Tcp, at(site.host.address(), 9002), "two");
}

#[test]
fn an_ephemeral_port_is_in_the_kernels_range_and_not_reserved() {
    let site = Site::new();
    site.host.sh("echo 40000 40009 >/proc/sys/net/ipv4/ip_local_port_range
         echo 40001,40003-40006 >/proc/sys/net/ipv4/ip_local_reserved_ports");
    let remote = Place::host(&site.lab.host("b"));
    let _taken = Place::host(&site.host).serve_at(Transport::Tcp, at(ANY, 40008));
    site.network("net1", "--subnet 10.81.1.0/24");
    let mut found = vec![40008];
    let mut webs = Vec::new();
    for name in ["one", "two", "three", "four"] {
        let web = web(&site, name, "--network net1 --publish 80");
        let port = new_port(&site, &found);
        // The host itself has no port left to ask from.
        remote.assert_reaches(Transport::Tcp, at(site.host.address(), port), name);
        found.push(port);
        webs.push(web);
    }
    found.sort_unstable();
    assert_eq!(found, [40000, 40002, 40007, 40008, 40009]);
    let output = site.try_docker("run --rm --network net1 --publish 80 busybox true");
    assert!(output.stderr.contains("ip_local_port_range"), "no port is left: {output}");

    // A port just given up rests while another is free.
    drop(webs);
    site.docker("rm --force one two three four");
    let mut after = Vec::new();
    for name in ["one", "two"] {
        site.container(name, "--network net1 --publish-all --expose 80");
        after.push(new_port(&site, &[40008]));
        site.docker(&format!("rm --force {name}"));
    }
    assert_ne!(after[0], after[1], "the same port at once again");
}

#[test]
fn the_daemon_shows_which_port_it_chose() {
    let site = Site::new();
    site.network("net1", "--subnet 10.81.1.0/24");
    site.host.sh("echo 40000 40009 >/proc/sys/net/ipv4/ip_local_port_range");
    site.container("web", "--network net1 --publish 80");
    let port = new_port(&site, &[]);
    let ports = site.daemon.json(&["port", "ls"]);
    let host = json!(format!("0.0.0.0:{port}"));
    assert!(ports.as_array().unwrap().iter().any(|shown| shown["host"] == host), "{ports}");
    let endpoints = site.daemon.json(&["endpoint", "ls"]);
    assert_eq!(endpoints[0]["ports"], ports, "{endpoints}");
}

/// The host's TCP port in the ephemeral range that listens and is not in `known`.
fn new_port(site: &Site, known: &[u16]) -> u16 {
    let listening = site.host.sh("ss -Hltn4 | awk '{print $4}' | sed 's/.*://'");
    let mut ports = listening.lines().filter_map(|port| port.parse().ok());
    let port = ports.find(|port| (40000..40010).contains(port) && !known.contains(port));
    port.unwrap_or_else(|| panic!("no new port listens: {listening}"))
}
