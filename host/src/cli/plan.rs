//! `wasmnet plan`: what a driver would do.

use std::path::Path;

use serde_json::json;

use super::{args::CreateNetwork, output, show::Error};
use crate::{
    admin::client::post_json,
    kernel::Object,
    model::{Network, Pool},
};

/// Asks for the plan of a network and prints it, an object a line.
pub(super) async fn create_network(
    socket: &Path,
    wanted: &CreateNetwork,
    json: bool,
) -> Result<(), Error> {
    let body = json!({ "driver": wanted.driver, "network": network(wanted) });
    let objects: Vec<Object> = post_json(socket, "/v1/plan/create-network", &body).await?;
    if json {
        return Ok(output::json(&objects)?);
    }
    let lines: Vec<String> = objects.iter().map(line).collect();
    Ok(output::lines(&lines.join("\n"))?)
}

fn line(object: &Object) -> String {
    let verb = match object {
        Object::Link(link) if link.adopted => "use",
        Object::Sysctl(_) => "set",
        Object::Firewall(_) => "firewall:",
        _ => "make",
    };
    match object {
        Object::Sysctl(setting) => format!("{verb} {} to {}", object.key(), setting.value),
        _ => format!("{verb} {}", object.key()),
    }
}

/// The network as Docker would ask for it.
fn network(wanted: &CreateNetwork) -> Network {
    let pool = |subnet: &ipnet::IpNet| {
        let given = wanted.gateways.iter().copied().find(|gateway| subnet.contains(gateway));
        let gateway = given.or_else(|| subnet.hosts().next());
        Pool {
            address_space: "plan".to_owned(),
            subnet: subnet.trunc(),
            gateway: gateway.and_then(|ip| ipnet::IpNet::new(ip, subnet.prefix_len()).ok()),
            auxiliary: Default::default(),
        }
    };
    let (ipv4, ipv6) =
        wanted.subnets.iter().map(pool).partition(|pool| pool.subnet.addr().is_ipv4());
    Network {
        id: wanted.id.clone(),
        options: wanted.options.iter().cloned().collect(),
        internal: wanted.internal,
        ipv4,
        ipv6,
    }
}
