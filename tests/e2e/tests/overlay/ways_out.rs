use wasmnet_e2e::{Sites, publish};

/// As with Docker's overlay: the way out is docker_gwbridge, and ports are published there.
#[test]
fn the_engines_bridge_is_the_way_out() {
    let cluster = Sites::new(2, 1);
    let [a, b] = cluster.first();
    cluster.network("n", 61, "");
    a.container("one", &format!("--network n {}", publish("8080:80")));
    b.container("two", "--network n");
    cluster.wait_converged();
    let server = a.serve_outside();
    assert_eq!(a.seen_outside("one"), a.host.address().to_string());
    drop(server);
    let ports = a.docker("port one");
    assert!(ports.contains("8080"), "{ports}");
    a.assert_pings("one", &b.address("two", "n"));
    a.host.docker(&["exec", "--detach", "one", "nc", "-ll", "-p", "80", "-e", "echo", "hello"]);
    let ask = format!("busybox nc -w 2 {} 8080 </dev/null", a.host.address());
    wasmnet_lab::wait_for("the published port", std::time::Duration::from_secs(10), || {
        let answer = a.lab.outside().try_sh(&ask);
        if answer.stdout.contains("hello") { Ok(()) } else { Err(answer) }
    });
}

/// With this option the host itself is, on each host.
#[test]
fn the_host_is_the_way_out_if_asked() {
    let cluster = Sites::new(2, 1);
    let [a, b] = cluster.first();
    cluster.network("n", 62, "--gateway 10.62.0.1 -o wasmnet.overlay.gateway=host");
    a.container("one", &format!("--network n {}", publish("8080:80")));
    b.container("two", &format!("--network n {}", publish("8080:80")));
    cluster.wait_converged();
    a.assert_pings("one", &b.address("two", "n"));
    let _server = a.serve_outside();
    assert_eq!(a.seen_outside("one"), a.host.address().to_string());
    assert_eq!(b.seen_outside("two"), b.host.address().to_string());
    let interfaces = a.in_container("one", "ip -o link");
    assert_eq!(interfaces.lines().count(), 2, "lo and eth0 only: {interfaces}");
    for (site, name) in [(a, "one"), (b, "two")] {
        site.host.docker(&["exec", "--detach", name, "nc", "-ll", "-p", "80", "-e", "echo", name]);
        let ask = format!("busybox nc -w 2 {} 8080 </dev/null", site.host.address());
        wasmnet_lab::wait_for("the published port", std::time::Duration::from_secs(10), || {
            let answer = site.lab.outside().try_sh(&ask);
            if answer.stdout.contains(name) { Ok(()) } else { Err(answer) }
        });
    }
    // The host reaches its own containers; others' it does by their host only.
    assert!(a.host.try_run(&["ping", "-c", "1", "-W", "2", &a.address("one", "n")]).success());
}

#[test]
fn an_internal_network_has_no_way_out() {
    let cluster = Sites::new(2, 1);
    let [a, b] = cluster.first();
    cluster.network("n", 63, "--internal");
    a.container("one", "--network n");
    b.container("two", "--network n");
    cluster.wait_converged();
    a.assert_pings("one", &b.address("two", "n"));
    let routes = a.in_container("one", "ip route");
    assert!(!routes.contains("default"), "{routes}");
    let outside = a.lab.outside().address().to_string();
    a.assert_silent("one", &outside, "from an internal network");
    a.assert_silent("one", &b.host.address().to_string(), "from an internal network");
    assert!(!a.host.try_run(&["ping", "-c", "1", "-W", "1", &a.address("one", "n")]).success());
}
