use wasmnet_sdk::{Error, ErrorCode, mock};

use crate::Driver;

fn network(id: &str) -> mock::NetworkBuilder {
    mock::network(id).subnet("10.1.0.0/24")
}

#[test]
fn a_network_and_a_container_leave_nothing() -> Result<(), Error> {
    let mut docker = mock::Docker::<Driver>::new();
    docker.create_network(&network("n1").done())?;
    docker.create_endpoint("n1", &mock::endpoint("e1").address("10.1.0.2/24").done())?;
    let joined = docker.join("n1", "e1")?;
    assert_eq!(joined.gateway, Some("10.1.0.1".parse()?));
    docker.program("n1", "e1", &[mock::port(8080, 80)])?;
    let host = docker.host();
    assert_eq!(
        host.standing(),
        [
            "bridge n1/bridge",
            "policy of n1/bridge: IPv4 published, IPv6 published",
            "address 10.1.0.1/24 on n1/bridge",
            "subnet 10.1.0.0/24 on n1/bridge, masquerade",
            "veth n1/e1/port at n1/bridge",
            "port 0.0.0.0:8080 to 10.1.0.2:80/tcp",
            "port [::]:8080 to 10.1.0.2:80/tcp",
        ]
    );
    docker.delete_endpoint("n1", "e1")?;
    docker.delete_network("n1")?;
    assert_eq!(host.standing(), [""; 0]);
    Ok(())
}

#[test]
fn an_internal_network_has_no_way_out() -> Result<(), Error> {
    let mut docker = mock::Docker::<Driver>::new();
    docker.create_network(&network("n1").internal().done())?;
    docker.create_endpoint("n1", &mock::endpoint("e1").address("10.1.0.2/24").done())?;
    assert_eq!(docker.join("n1", "e1")?.gateway, None);
    let standing = docker.host().standing();
    assert!(
        standing.contains(&"subnet 10.1.0.0/24 on n1/bridge, no NAT".to_owned()),
        "{standing:?}"
    );
    Ok(())
}

#[test]
fn wrong_options_are_told() {
    let mut docker = mock::Docker::<Driver>::new();
    for (key, value) in [
        ("com.docker.network.driver.mtu", "much"),
        ("com.docker.network.bridge.enable_icc", "perhaps"),
    ] {
        let refused = docker.create_network(&network("n1").option(key, value).done());
        let error = refused.expect_err(key);
        assert_eq!(error.code, ErrorCode::Invalid);
        assert!(error.message.contains(key) && error.message.contains(value), "{error:?}");
    }
}

#[test]
fn a_failure_leaves_nothing() {
    let mut docker = mock::Docker::<Driver>::new();
    let network = network("n1").done();
    docker.fail_everywhere(|docker| docker.create_network(&network));
    let request = mock::endpoint("e1").address("10.1.0.2/24").done();
    docker.fail_everywhere(|docker| docker.create_endpoint("n1", &request));
    docker.fail_everywhere(|docker| docker.program("n1", "e1", &[mock::port(8080, 80)]));
}
