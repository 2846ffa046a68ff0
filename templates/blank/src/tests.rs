use wasmnet_sdk::{Error, mock};

use crate::Driver;

#[test]
fn a_container_is_connected_and_leaves_nothing() -> Result<(), Error> {
    let mut docker = mock::Docker::<Driver>::new();
    docker.create_network(&mock::network("n1").subnet("10.1.0.0/24").done())?;
    docker.create_endpoint("n1", &mock::endpoint("e1").address("10.1.0.2/24").done())?;
    let joined = docker.join("n1", "e1")?;
    let host = docker.host();
    assert_eq!(host.standing(), ["bridge n1/bridge", "veth n1/e1/port at n1/bridge"]);
    let peer = host.link("n1/e1/port").and_then(|link| link.peer);
    assert_eq!(joined.interface.map(|interface| interface.source), peer);

    docker.delete_endpoint("n1", "e1")?;
    docker.delete_network("n1")?;
    assert_eq!(host.standing(), [""; 0]);
    Ok(())
}

#[test]
fn a_failure_leaves_nothing() {
    let mut docker = mock::Docker::<Driver>::new();
    let network = mock::network("n1").subnet("10.1.0.0/24").done();
    docker.fail_everywhere(|docker| docker.create_network(&network));
    let request = mock::endpoint("e1").done();
    docker.fail_everywhere(|docker| docker.create_endpoint("n1", &request));
}
