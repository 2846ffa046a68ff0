use wasmnet_e2e::{Site, Tries, publish};
use wasmnet_lab::{Place, Transport, assert_same_state, transports, wait_for};

use super::{PATIENCE, at, serve, web};

const PORT: &str = "8080:80";

#[test]
fn a_port_is_free_at_once_when_its_container_has_gone() {
    let site = Site::new();
    let remote = Place::host(&site.lab.host("b"));
    let host = Place::host(&site.host);
    site.network("net1", "--subnet 10.81.1.0/24");
    let uplink = at(site.host.address(), 8080);
    let ends = ["rm --force", "stop", "kill", "network disconnect net1"];
    for (number, end) in ends.iter().enumerate() {
        let name = format!("web{number}");
        let web = web(&site, &name, &format!("--network net1 {}", publish(PORT)));
        let mut tries = Tries::default();
        for transport in transports() {
            tries.reaches(&remote, transport, uplink, &name);
        }
        tries.assert_good(&format!("before {end}"));
        drop(web);
        site.docker(&format!("{end} {name}"));
        // For everybody, not only for the next container.
        if number % 2 == 0 {
            for transport in transports() {
                drop(host.serve_at(transport, at([0, 0, 0, 0], 8080)));
            }
        }
    }
    let mut tries = Tries::default();
    for transport in transports() {
        tries.cut_off(&remote, transport, uplink);
    }
    tries.assert_good("when all have gone");
}

#[test]
fn a_stopped_container_has_its_ports_again_when_it_is_started() {
    let site = Site::new();
    let remote = Place::host(&site.lab.host("b"));
    site.network("net1", "--subnet 10.81.1.0/24");
    drop(web(&site, "web", &format!("--network net1 {}", publish(PORT))));
    for how in ["stop", "kill", "restart --time 1"] {
        site.docker(&format!("{how} web"));
        site.docker("start web");
        let place = Place::container(&site.host, "web");
        let _servers = serve(&place, 80);
        for transport in transports() {
            remote.assert_reaches(transport, at(site.host.address(), 8080), "web");
        }
    }
}

#[test]
fn a_udp_client_that_goes_on_sending_gets_to_the_next_container() {
    let site = Site::new();
    let remote = Place::host(&site.lab.host("b"));
    let host = Place::host(&site.host);
    site.host.sh("echo 1 >/proc/sys/net/ipv6/conf/all/forwarding");
    site.network("net1", "--ipv6 --subnet 10.81.1.0/24 --subnet fd81:1::/64");
    let targets = [
        (&remote, at(site.host.address(), 8080)),
        (&remote, at(site.host.address6(), 8080)),
        (&host, at([127, 0, 0, 1], 8080)),
        (&host, at(site.host.address(), 8080)),
    ];
    let flows = targets.map(|(from, to)| (from, from.flow().unwrap(), to));
    let mut web = Some(web(&site, "web0", &format!("--network net1 {}", publish(PORT))));
    for number in 0..3 {
        let name = format!("web{number}");
        for (from, flow, to) in &flows {
            wait_for(&format!("{from} at {to} to be answered by {name}"), PATIENCE, || match flow
                .ask_once(*to)
            {
                Ok(seen) if seen.by == name => Ok(()),
                other => Err(format!("{other:?}")),
            });
        }
        web = None;
        site.docker(&format!("rm --force {name}"));
        // The clients do not notice that nobody is there.
        for (_, flow, to) in &flows {
            let _ = flow.ask_once(*to);
        }
        if number < 2 {
            web = Some(super::web(
                &site,
                &format!("web{}", number + 1),
                &format!("--network net1 {}", publish(PORT)),
            ));
        }
    }
    drop(web);
}

#[test]
fn ten_ports_come_and_go_and_leave_nothing() {
    let site = Site::new();
    site.network("net1", "--ipv6 --subnet 10.81.1.0/24 --subnet fd81:1::/64");
    site.container("neighbour", "--network net1");
    let before = site.host.netns_state();
    let listening = || site.host.sh("ss -Hltun | wc -l");
    let sockets = listening();
    let ports: String = (0..5).map(|n| publish(&format!("808{n}:80"))).collect();
    for _ in 0..3 {
        let web = web(&site, "web", &format!("--network net1 {ports}"));
        let mut tries = Tries::default();
        for port in 8080..8085 {
            for transport in transports() {
                let to = at(site.host.address(), port);
                tries.reaches(&Place::host(&site.host), transport, to, "web");
            }
        }
        tries.assert_good("ten ports");
        drop(web);
        site.docker("rm --force web");
        site.wait_ledger(1, 1);
        assert_same_state(&before, &site.host.netns_state());
        assert_eq!(listening(), sockets, "sockets left");
    }
}

#[test]
fn the_port_moves_with_the_gateway_from_network_to_network() {
    let site = Site::new();
    let remote = Place::host(&site.lab.host("b"));
    site.network("alpha", "--subnet 10.81.1.0/24");
    site.network("beta", "--subnet 10.81.2.0/24");
    let web = web(&site, "web", &format!("--network beta {}", publish(PORT)));
    let to = at(site.host.address(), 8080);
    let gateway = || site.in_container("web", "ip route | grep default");
    let assert_reached = |when: &str| {
        let mut tries = Tries::default();
        for transport in transports() {
            tries.reaches(&remote, transport, to, "web");
        }
        tries.assert_good(&format!("{when}; {}", gateway()));
    };
    assert_reached("on one network");
    site.docker("network connect alpha web");
    assert_reached("on a second one");
    site.docker("network disconnect alpha web");
    assert_reached("without the second");
    site.docker("network connect alpha web");
    site.docker("network disconnect beta web");
    assert_reached("without the first");
    site.docker("network disconnect alpha web");
    remote.assert_cut_off(Transport::Tcp, to);
    drop(web);
}
