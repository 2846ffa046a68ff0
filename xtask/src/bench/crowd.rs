//! A host with much on it already: networks, containers and published ports of one driver.
//!
//! The engine makes them, so that it, too, has all of them to think of.

use super::Trouble;
use super::docker::{Docker, rest};
use crate::stage::Stage;
use crate::steps::Live;

/// What it is made of.
pub const WHAT: &str = "200 networks, 1000 published ports";

const NETWORKS: u8 = 200;
/// On the network that measured containers are on, too.
const CONTAINERS: u16 = 10;
/// Of each container: a thousand in all.
const PORTS: u16 = 100;
/// The first host port, above those of what is measured.
const FIRST_PORT: u16 = 25000;

/// What a crowd's parts are called.
const NETWORK: &str = "crowd";
const CONTAINER: &str = "member";

/// Makes the crowd, its networks being 10.B.N.0/24.
pub fn make(
    live: &mut Live<'_>,
    stage: &Stage,
    docker: &Docker<'_>,
    second_byte: u8,
) -> Result<(), Trouble> {
    for number in 0..NETWORKS {
        live.show(&format!("network {} of {NETWORKS}", number + 1));
        stage.on(|_| ())?;
        let name = docker.name(&format!("{NETWORK}{number}"));
        docker.create_network_on(&name, &format!("10.{second_byte}.{number}.0/24"))?;
    }
    for number in 0..CONTAINERS {
        live.show(&format!("container {} of {CONTAINERS}", number + 1));
        let name = docker.name(&format!("{CONTAINER}{number}"));
        docker.run(&name, (FIRST_PORT + number * PORTS, PORTS))?;
    }
    Ok(())
}

/// Removes it, and waits until the kernel has deleted its bridges.
pub fn remove(live: &mut Live<'_>, stage: &Stage, docker: &Docker<'_>) -> Result<(), Trouble> {
    let bridges = || {
        let list = ["ip", "-o", "link", "show", "type", "bridge"];
        stage.on(|host| host.run(&list).lines().count())
    };
    let others = bridges()?.saturating_sub(NETWORKS.into());
    for number in 0..CONTAINERS {
        live.show(&format!("container {} of {CONTAINERS}", number + 1));
        docker.remove(&docker.name(&format!("{CONTAINER}{number}")))?;
    }
    for number in 0..NETWORKS {
        live.show(&format!("network {} of {NETWORKS}", number + 1));
        stage.on(|_| ())?;
        docker.remove_network(&docker.name(&format!("{NETWORK}{number}")))?;
    }
    live.show("the kernel");
    while bridges()? > others {
        rest();
    }
    Ok(())
}
