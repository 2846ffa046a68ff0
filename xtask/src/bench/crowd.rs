//! A host with much on it already: networks, endpoints and published ports of our driver.
//!
//! They are made at the plugin socket, without an engine: it would take much longer, and it
//! is our own growth that is measured.

use super::Trouble;
use super::plugin::{Endpoint, Plugin, id};
use crate::stage::Stage;
use crate::steps::Live;

const NETWORKS: u8 = 200;
/// Each network has one endpoint with as many ports: a thousand in all.
const PORTS: u16 = 5;
/// The first host port, above those of what is measured.
const FIRST_PORT: u16 = 25000;
/// Ours among the ids.
const KIND: u8 = 0xc0;

pub fn make(live: &mut Live<'_>, stage: &Stage) -> Result<(), Trouble> {
    let mut plugin = Plugin::connect(stage)?;
    for number in 0..NETWORKS {
        live.show(&format!("network {} of {NETWORKS}", number + 1));
        stage.on(|_| ())?;
        let endpoint = endpoint(number);
        plugin.create_network(&endpoint.network, endpoint.subnet)?;
        plugin.arrive(&endpoint)?;
    }
    Ok(())
}

pub fn remove(live: &mut Live<'_>, stage: &Stage) -> Result<(), Trouble> {
    let mut plugin = Plugin::connect(stage)?;
    for number in 0..NETWORKS {
        live.show(&format!("network {} of {NETWORKS}", number + 1));
        stage.on(|_| ())?;
        let endpoint = endpoint(number);
        plugin.go(&endpoint)?;
        plugin.delete_network(&endpoint.network)?;
    }
    Ok(())
}

fn endpoint(number: u8) -> Endpoint {
    Endpoint {
        network: id(KIND, number.into()),
        id: id(KIND, u32::from(number) + 1000),
        subnet: (number, 0),
        ports: (FIRST_PORT + u16::from(number) * PORTS, PORTS),
    }
}
