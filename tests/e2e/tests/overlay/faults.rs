use wasmnet_e2e::{Site, Sites};

/// What needs no agreement goes on, the rest says why not; and all is caught up with.
#[test]
fn the_store_is_away_and_back() {
    let mut cluster = Sites::new(2, 1);
    cluster.network("n", 64, "");
    {
        let [a, b] = cluster.first();
        a.container("one", "--network n");
        b.container("two", "--network n");
        cluster.wait_converged();
    }
    cluster.etcd.kill(0);
    {
        let [a, b] = cluster.first();
        a.assert_pings("one", &b.address("two", "n"));
        a.container("three", "--network n");
        a.assert_pings("three", &a.address("one", "n"));
        b.docker("rm --force two");
        b.container("four", "--network n --ip 10.64.0.99");
        let output = a.try_docker("network create --driver wasm-overlay --subnet 10.65.0.0/24 m");
        assert!(output.stderr.contains("the cluster store cannot be reached: "), "{output}");
        a.docker("network create --driver wasm-bridge --subnet 10.65.0.0/24 m");
    }
    cluster.etcd.start(0);
    cluster.wait_converged();
    let [a, b] = cluster.first();
    b.assert_pings("four", &a.address("three", "n"));
    a.assert_pings("one", "10.64.0.99");
}

/// A network that goes while the store is away is left as soon as it can be.
#[test]
fn a_network_may_go_while_the_store_is_away() {
    let mut cluster = Sites::new(2, 1);
    cluster.network("n", 66, "");
    cluster.network("other", 67, "");
    cluster.etcd.kill(0);
    cluster.sites[0].docker("network rm n");
    cluster.sites[0].wait_ledger(1, 0);
    cluster.etcd.start(0);
    cluster.sites[1].docker("network rm n");
    let members = || cluster.etcd.keys("/wasmnet/agreed/wasm-overlay/member/subnet:10.66.0.0/24/");
    wasmnet_lab::wait_for("the network to be left", std::time::Duration::from_secs(60), || {
        let members = members();
        if members.is_empty() { Ok(()) } else { Err(format!("{members:?}")) }
    });
}

/// A host that is dead is forgotten with its lease; one that is back is known again.
#[test]
fn a_host_dies_and_is_back() {
    let mut cluster = Sites::new(3, 1);
    cluster.network("n", 68, "");
    for (number, site) in cluster.sites.iter().enumerate() {
        site.container("one", &format!("--network n --ip 10.68.0.{}", 100 + number));
    }
    cluster.wait_converged();
    // A daemon that is away for less than its lease is not missed.
    cluster.sites[0].daemon.kill();
    cluster.sites[0].daemon.start_again();
    cluster.wait_converged();

    let gone = cluster.sites[0].overlay_endpoints();
    cluster.sites[0].daemon.kill();
    cluster.sites[0].engine.kill();
    let [_, b, c] = cluster.first();
    let keep = |site: &Site| site.overlay_endpoints();
    b.wait_neighbours(&keep(c));
    c.wait_neighbours(&keep(b));
    b.assert_pings("one", "10.68.0.102");
    // Its address is another's now.
    b.container("two", "--network n --ip 10.68.0.110");
    c.wait_neighbours(&keep(b));
    cluster.sites[0].daemon.start_again();
    cluster.sites[0].engine.start();
    cluster.sites[0].docker("start one");
    cluster.wait_converged();
    assert_eq!(cluster.sites[0].overlay_endpoints(), gone);
    cluster.sites[0].assert_pings("one", "10.68.0.110");
}

/// The address is on one host, and at once on another: nobody keeps the old place.
#[test]
fn an_address_moves_from_host_to_host() {
    let cluster = Sites::new(3, 1);
    cluster.network("n", 69, "");
    let [a, b, c] = cluster.first();
    c.container("watcher", "--network n --ip 10.69.0.250");
    for round in 0..6 {
        let (from, to) = if round % 2 == 0 { (a, b) } else { (b, a) };
        if round == 0 {
            from.container("mover", "--network n --ip 10.69.0.200");
        }
        cluster.wait_converged();
        c.assert_pings("watcher", "10.69.0.200");
        from.docker("rm --force mover");
        // The engine there hears of it when it may.
        wasmnet_lab::wait_for("the address to be free", std::time::Duration::from_secs(10), || {
            let run = "run --detach --name mover --stop-signal KILL --network n \
                       --ip 10.69.0.200 busybox sleep 3600";
            let output = to.try_docker(run);
            if output.success() {
                return Ok(());
            }
            to.docker("rm --force mover");
            Err(output)
        });
        cluster.wait_converged();
        c.assert_pings("watcher", "10.69.0.200");
        to.assert_pings("mover", "10.69.0.250");
    }
}

/// Nothing is left of a host's links after a reboot; they are made again, and what the others
/// have changed meanwhile is known.
#[test]
fn a_host_is_rebooted() {
    let mut cluster = Sites::new(2, 1);
    cluster.network("n", 70, "");
    cluster.sites[0].container("one", "--network n");
    cluster.sites[1].container("two", "--network n");
    cluster.wait_converged();
    cluster.sites[0].daemon.kill();
    cluster.sites[0].engine.kill();
    let [a, b] = cluster.first();
    a.host.sh(
        "for link in $(ip -o link | grep -o 'wn[^:@ ]*'); do ip link delete $link 2>/dev/null || true; done
         nft delete table inet wasmnet",
    );
    b.container("three", "--network n");
    cluster.sites[0].daemon.start_again();
    cluster.sites[0].engine.start();
    cluster.sites[0].docker("start one");
    cluster.wait_converged();
    let [a, b] = cluster.first();
    a.assert_pings("one", &b.address("three", "n"));
    b.assert_pings("two", &a.address("one", "n"));
}
