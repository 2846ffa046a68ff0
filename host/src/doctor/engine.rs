//! Docker's own list of networks and containers beside the daemon's.
//!
//! Never asked while a call is served: Docker waits for the plugin then, and the plugin
//! would wait for Docker.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::Deserialize;

use super::{Finding, Fix, Kind};
use crate::{
    admin::{
        client::{self, get},
        view::{DriverView, NetworkView},
    },
    id::short,
};

/// A network as Docker shows it (Engine API, `GET /networks` and `/networks/ID`).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Network {
    id: String,
    name: String,
    driver: String,
    /// Of the running ones; only with an id in the path.
    #[serde(default)]
    containers: Option<BTreeMap<String, Container>>,
}

#[derive(Debug, Deserialize)]
struct Container {
    #[serde(rename = "EndpointID")]
    endpoint: String,
}

/// Compares Docker's networks with the daemon's.
pub(crate) async fn examine(
    docker: &Path,
    networks: &[NetworkView],
    drivers: &[DriverView],
) -> Vec<Finding> {
    match compare(docker, networks, drivers).await {
        Ok(findings) => findings,
        Err(error) => {
            let wrong = match &error {
                client::Error::Connect { path, source } => {
                    format!(
                        "Docker cannot be asked: nobody answers on {}: {source}",
                        path.display()
                    )
                }
                _ => format!("Docker cannot be asked: {}", crate::error::chain(&error)),
            };
            let advice = "start Docker, or name its socket with --docker";
            vec![Finding::new(Kind::Engine, wrong, advice)]
        }
    }
}

async fn compare(
    docker: &Path,
    networks: &[NetworkView],
    drivers: &[DriverView],
) -> Result<Vec<Finding>, client::Error> {
    let known: Vec<Network> = get(docker, "/networks").await?;
    let ours = |network: &&Network| drivers.iter().any(|view| view.name.as_str() == network.driver);
    let mut findings = Vec::new();
    for network in known.iter().filter(ours) {
        let Some(view) = networks.iter().find(|view| view.id.as_str() == network.id) else {
            let Network { name, id, driver, .. } = network;
            let wrong = format!(
                "Docker has network {name} ({}) of {driver}, which the daemon does not know",
                short(id)
            );
            let advice = format!("run \"docker network rm {name}\" and create it again");
            findings.push(Finding::new(Kind::Ghost, wrong, advice));
            continue;
        };
        let inspected: Network = get(docker, &format!("/networks/{}", network.id)).await?;
        let containers = inspected.containers.unwrap_or_default();
        let alive: BTreeSet<&str> = containers.values().map(|of| of.endpoint.as_str()).collect();
        for endpoint in view.endpoints.iter().filter(|of| !alive.contains(of.id.as_str())) {
            let addresses: Vec<String> =
                endpoint.addresses.iter().map(ToString::to_string).collect();
            let wrong = format!(
                "endpoint {} ({}) of network {} belongs to no running container",
                short(endpoint.id.as_str()),
                addresses.join(", "),
                network.name
            );
            let (network, endpoint) = (view.id.clone(), endpoint.id.clone());
            let fix = Fix::DeleteEndpoint { network, endpoint };
            findings.push(Finding::fixable(Kind::Ghost, wrong, fix));
        }
    }
    for view in networks {
        if !known.iter().any(|network| network.id == view.id.as_str()) {
            let wrong = format!(
                "the daemon has network {}, which Docker does not know",
                short(view.id.as_str())
            );
            let fix = Fix::DeleteNetwork { network: view.id.clone() };
            findings.push(Finding::fixable(Kind::Ghost, wrong, fix));
        }
    }
    Ok(findings)
}
