//! The driver on a host in memory.

use wasmnet_sdk::mock::{self, Docker};

use crate::Bridge;

fn network() -> mock::NetworkBuilder {
    mock::network("n1").subnet("10.1.0.0/24").subnet("fd00:1::/64")
}

#[test]
fn a_network_is_a_bridge_with_the_gateways_addresses() {
    let mut docker = Docker::<Bridge>::new();
    docker.create_network(&network().done()).unwrap();
    assert_eq!(
        docker.host().standing(),
        [
            "bridge n1/bridge",
            "setting ipv6 disable_ipv6=0 of n1/bridge",
            "setting ipv6 accept_ra=0 of n1/bridge",
            "setting ipv4 route_localnet=1 of n1/bridge",
            "policy of n1/bridge: IPv4 published, IPv6 published",
            "address 10.1.0.1/24 on n1/bridge",
            "subnet 10.1.0.0/24 on n1/bridge, masquerade",
            "address fd00:1::1/64 on n1/bridge",
            "subnet fd00:1::/64 on n1/bridge, masquerade",
        ]
    );
}

#[test]
fn whatever_fails_nothing_is_left_behind() {
    let mut docker = Docker::<Bridge>::new();
    let network = network().done();
    assert_eq!(docker.fail_everywhere(|docker| docker.create_network(&network)), 9);
    let request = mock::endpoint("e1").address("10.1.0.2/24").done();
    docker.fail_everywhere(|docker| docker.create_endpoint("n1", &request));
    docker.fail_everywhere(|docker| docker.join("n1", "e1"));
    let ports = [mock::port(8080, 80), mock::port(0, 443)];
    docker.fail_everywhere(|docker| docker.program("n1", "e1", &ports));
    docker.delete_network("n1").unwrap();
    assert_eq!(docker.host().standing(), [""; 0]);
}

#[test]
fn a_bridge_that_is_there_is_adopted() {
    let mut docker = Docker::<Bridge>::new();
    docker.host().add_bridge("br7");
    let named = network().option("com.docker.network.bridge.name", "br7").done();
    docker.create_network(&named).unwrap();
    assert_eq!(docker.host().standing()[0], "adopted bridge n1/bridge");
}
