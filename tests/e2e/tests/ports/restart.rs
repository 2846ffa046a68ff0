use wasmnet_e2e::{Site, Tries, publish};
use wasmnet_lab::{Place, TRANSPORTS, Transport, assert_same_state, transports, wait_for};

use super::{LOOPBACK, LOOPBACK6, PATIENCE, at, serve, web};

#[test]
fn published_ports_outlive_the_daemon_and_are_bound_again() {
    for kill in [true, false] {
        let mut site = Site::new();
        let remote = Place::host(&site.lab.host("b"));
        let host = Place::host(&site.host);
        site.network("net1", "--subnet 10.81.1.0/24");
        let web = web(&site, "web", &on_net1());
        site.container("neighbour", "--network net1");
        let neighbour = Place::container(&site.host, "neighbour");
        let uplink = at(site.host.address(), 8080);
        let standing = site.host.netns_state();
        let assert_reached = |when: &str| {
            let mut tries = Tries::default();
            for transport in transports() {
                for from in [&remote, &host, &neighbour, &web.place] {
                    tries.reaches(from, transport, uplink, "web");
                }
                tries.reaches(&host, transport, at(LOOPBACK, 8080), "web");
            }
            tries.assert_good(&format!("{when}, kill={kill}"));
        };

        if kill {
            site.daemon.kill();
        } else {
            site.daemon.stop();
        }
        assert_reached("while the daemon is away");
        site.daemon.start_again();
        assert_reached("when it is back");
        assert_same_state(&standing, &site.host.netns_state());
        for transport in TRANSPORTS {
            host.assert_reaches(transport, at(LOOPBACK6, 8080), "web");
        }
        for transport in transports() {
            let taken = host.try_serve_at(transport, at([0, 0, 0, 0], 8080));
            assert!(taken.is_err(), "a program got {transport} port 8080");
        }

        drop(web);
        site.docker("rm --force web neighbour");
        for transport in transports() {
            remote.assert_cut_off(transport, uplink);
            drop(host.serve_at(transport, at([0, 0, 0, 0], 8080)));
        }
        site.docker("network rm net1");
        site.assert_nothing_left();
    }
}

#[test]
fn a_port_taken_while_the_daemon_was_away_does_not_stop_it() {
    let mut site = Site::new();
    let remote = Place::host(&site.lab.host("b"));
    let host = Place::host(&site.host);
    site.network("net1", "--subnet 10.81.1.0/24");
    let web = web(&site, "web", &on_net1());
    site.daemon.kill();
    let thief = host.serve_at(Transport::Tcp, at([0, 0, 0, 0], 8080));
    site.daemon.start_again();
    let log = site.daemon.log();
    assert!(log.contains("8080"), "the log does not name the port:\n{log}");
    let mut tries = Tries::default();
    for transport in transports() {
        tries.reaches(&remote, transport, at(site.host.address(), 8080), "web");
    }
    tries.assert_good("NAT comes before the other program");
    drop((thief, web));
    site.docker("rm --force web");
    site.docker("network rm net1");
    site.assert_nothing_left();
}

#[test]
fn a_container_that_went_while_the_daemon_was_away_leaves_no_port() {
    let mut site = Site::new();
    let host = Place::host(&site.host);
    site.network("net1", "--subnet 10.81.1.0/24");
    drop(web(&site, "web", &on_net1()));
    site.engine.kill();
    site.daemon.kill();
    site.host.sh("pkill -KILL -x sleep || true");
    site.daemon.start_again();
    site.engine.start();
    site.wait_ledger(1, 0);
    for transport in transports() {
        drop(host.serve_at(transport, at([0, 0, 0, 0], 8080)));
    }
    site.docker("start web");
    let place = Place::container(&site.host, "web");
    let _servers = serve(&place, 80);
    for transport in transports() {
        host.assert_reaches(transport, at(site.host.address(), 8080), "web");
    }
}

#[test]
fn ports_work_after_the_firewall_was_flushed() {
    let site = Site::new();
    let remote = Place::host(&site.lab.host("b"));
    let host = Place::host(&site.host);
    site.network("net1", "--subnet 10.81.1.0/24");
    let _web = web(&site, "web", &on_net1());
    let uplink = at(site.host.address(), 8080);
    let standing = site.host.netns_state();
    site.host.sh("nft flush table inet wasmnet");
    wait_for("the firewall to be put back", PATIENCE, || site.host.netns_state() == standing);
    for transport in transports() {
        let seen = remote.assert_reaches(transport, uplink, "web");
        assert_ne!(seen, at([10, 81, 1, 1], 0).ip(), "carried, not translated");
        host.assert_reaches(transport, at(LOOPBACK, 8080), "web");
    }
}

fn on_net1() -> String {
    format!("--network net1 {}", publish("8080:80"))
}
