//! The commands that ask a daemon and print what it says.

use std::{io, path::PathBuf, time::SystemTime};

use super::{
    args::{Command, Driver, Endpoint, Global, Ipam, Network, Plan, Port},
    doctor, driver, events, inspect, ipam,
    output::{self, duration},
    plan,
};
use crate::admin::{
    self,
    client::{self, get, get_text, post},
    view::{
        ClusterView, DriverView, EndpointView, NetworkView, PortView, QuarantineView, Reset, Status,
    },
};
use crate::id::short;

/// Why nothing could be shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The daemon could not be asked.
    #[error(transparent)]
    Client(#[from] client::Error),
    /// There is no such network.
    #[error("there is no network {0}; \"wasmnet network ls\" shows them")]
    NoNetwork(String),
    /// More than one network's id begins so.
    #[error("more than one network's id begins with {0}; write more of it")]
    Ambiguous(String),
    /// A component cannot be had.
    #[error(transparent)]
    Source(#[from] driver::SourceError),
    /// Nothing can be said of a component.
    #[error(transparent)]
    Inspect(#[from] inspect::Error),
    /// A driver's files stay as they were.
    #[error(transparent)]
    Files(#[from] driver::FilesError),
    /// There is no such driver.
    #[error(
        "there is no driver {}; \"wasmnet driver ls\" shows them, and a file's path has a slash in it or ends in .wasm", .0.escape_default()
    )]
    NoDriver(String),
    /// Something is wrong with the host.
    #[error("something is wrong; see above")]
    Findings,
    /// The terminal is gone.
    #[error("cannot print")]
    Print(#[from] io::Error),
    /// No runtime.
    #[error("cannot set up the process")]
    Process(#[source] io::Error),
}

/// Runs a command.
pub(super) fn run(command: &Command, global: &Global) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Process)?;
    let socket = global.run_dir.join(admin::SOCKET);
    runtime.block_on(show(command, socket, global.json))
}

async fn show(command: &Command, socket: PathBuf, json: bool) -> Result<(), Error> {
    match command {
        // Not asked of a daemon.
        Command::Serve(_) | Command::Compile(_) | Command::Explain { .. } => Ok(()),
        Command::Completions { .. } | Command::Man { .. } => Ok(()),
        Command::New(_) | Command::Conformance(_) | Command::Driver(Driver::Annotate(_)) => Ok(()),
        Command::Status => {
            let status: Status = get(&socket, "/v1/status").await?;
            if json { Ok(output::json(&status)?) } else { print_status(&status) }
        }
        Command::Plan(Plan::CreateNetwork(wanted)) => {
            plan::create_network(&socket, wanted, json).await
        }
        Command::Doctor(options) => match doctor::run(&socket, options, json).await? {
            true => Ok(()),
            false => Err(Error::Findings),
        },
        Command::Network(Network::Ls) => {
            let networks: Vec<NetworkView> = get(&socket, "/v1/networks").await?;
            if json { Ok(output::json(&networks)?) } else { print_networks(&networks) }
        }
        Command::Network(Network::Inspect { networks: wanted }) => {
            let networks: Vec<NetworkView> = get(&socket, "/v1/networks").await?;
            let found = wanted
                .iter()
                .map(|wanted| find(&networks, wanted))
                .collect::<Result<Vec<_>, _>>()?;
            Ok(output::json(&found)?)
        }
        Command::Endpoint(Endpoint::Ls { network }) => {
            let mut endpoints: Vec<EndpointView> = get(&socket, "/v1/endpoints").await?;
            if let Some(wanted) = network {
                let networks: Vec<NetworkView> = get(&socket, "/v1/networks").await?;
                let network = find(&networks, wanted)?;
                endpoints.retain(|endpoint| endpoint.network == network.id);
            }
            if json { Ok(output::json(&endpoints)?) } else { print_endpoints(&endpoints) }
        }
        Command::Port(Port::Ls) => {
            let ports: Vec<PortView> = get(&socket, "/v1/ports").await?;
            if json { Ok(output::json(&ports)?) } else { print_ports(&ports) }
        }
        Command::Ipam(Ipam::Ls { free }) => ipam::show(&socket, *free, json).await,
        Command::Driver(Driver::Ls) => {
            let drivers: Vec<DriverView> = get(&socket, "/v1/drivers").await?;
            if json { Ok(output::json(&drivers)?) } else { print_drivers(&drivers) }
        }
        Command::Driver(Driver::Inspect { driver: wanted }) if driver::is_reference(wanted) => {
            driver::inspect(wanted, json).await
        }
        Command::Driver(Driver::Inspect { driver: wanted }) => {
            let drivers: Vec<DriverView> = get(&socket, "/v1/drivers").await?;
            let found = drivers.iter().find(|driver| driver.name.as_str() == wanted);
            let found = found.ok_or_else(|| Error::NoDriver(wanted.clone()))?;
            if json { Ok(output::json(found)?) } else { Ok(inspect::print_view(found)?) }
        }
        Command::Events(wanted) => events::show(&socket, wanted, json).await,
        Command::Metrics => Ok(output::lines(&get_text(&socket, "/metrics").await?)?),
        Command::Driver(Driver::Install(options)) => driver::install(&socket, options, json).await,
        Command::Driver(Driver::Upgrade(options)) => driver::upgrade(&socket, options, json).await,
        Command::Driver(Driver::Remove { name }) => driver::remove(&socket, name, json).await,
        Command::Driver(Driver::Push(options)) => driver::push(options, json).await,
        Command::Driver(Driver::Reload) => driver::reload(&socket, json).await,
        Command::Driver(Driver::Reset { name }) => {
            let reset: Reset = post(&socket, &format!("/v1/drivers/{name}/reset")).await?;
            if json { Ok(output::json(&reset)?) } else { print_reset(&reset) }
        }
    }
}

/// The network whose id is, or begins with, `wanted`.
fn find<'a>(networks: &'a [NetworkView], wanted: &str) -> Result<&'a NetworkView, Error> {
    let mut found = networks.iter().filter(|network| network.id.as_str().starts_with(wanted));
    match (found.next(), found.next()) {
        (Some(network), None) => Ok(network),
        (None, _) => Err(Error::NoNetwork(wanted.to_owned())),
        (Some(_), Some(_)) => networks
            .iter()
            .find(|network| network.id.as_str() == wanted)
            .ok_or_else(|| Error::Ambiguous(wanted.to_owned())),
    }
}

fn print_status(status: &Status) -> Result<(), Error> {
    let Status { version, pid, uptime, networks, endpoints, objects, doomed, .. } = status;
    let mut text = format!(
        "wasmnet {version}, pid {pid}, up {}\n{networks} networks, {endpoints} endpoints, {objects} kernel objects",
        duration(*uptime)
    );
    if *doomed > 0 {
        text.push_str(&format!(" ({doomed} still to be deleted)"));
    }
    output::lines(&text)?;
    if let Some(cluster) = &status.cluster {
        output::lines(&format!("\n{}", describe_cluster(cluster)))?;
    }
    output::lines("\n")?;
    print_drivers(&status.drivers)
}

/// The cluster in a line, and one more for each node if there are others.
fn describe_cluster(cluster: &ClusterView) -> String {
    let ClusterView { store, endpoints, reach, node, nodes, published, followed } = cluster;
    let state = match &reach.reason {
        Some(reason) => {
            let ago = now().saturating_sub(reach.since);
            format!("cannot be reached for {}: {reason}", duration(ago))
        }
        None => "reachable".to_owned(),
    };
    let mut text = match endpoints.is_empty() {
        true => format!("cluster: {store}"),
        false => format!("cluster: {store} at {}, {state}", endpoints.join(", ")),
    };
    text.push_str(&format!("; {published} values published, {followed} groups followed"));
    if !endpoints.is_empty() {
        for other in nodes {
            let own = if other.id.as_str() == node { ", this one" } else { "" };
            text.push_str(&format!("\n  node {other}{own}"));
        }
    }
    text
}

fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_secs())
}

fn print_drivers(drivers: &[DriverView]) -> Result<(), Error> {
    let row = |driver: &DriverView| {
        let state = match (&driver.reason, &driver.quarantine) {
            (Some(reason), _) => format!("not loaded: {reason}"),
            (None, Some(quarantine)) => quarantined(quarantine),
            (None, None) => "ready".to_owned(),
        };
        vec![
            driver.name.to_string(),
            driver.roles.join(", "),
            driver.version.clone(),
            driver.networks.to_string(),
            driver.imports.join(", "),
            state,
        ]
    };
    let head = ["DRIVER", "ROLE", "VERSION", "NETWORKS", "IMPORTS", "STATE"];
    Ok(output::table(&head, drivers.iter().map(row))?)
}

fn quarantined(quarantine: &QuarantineView) -> String {
    let QuarantineView { until, failures, reason } = quarantine;
    let now = now();
    let next = match until.saturating_sub(now) {
        0 => "the next call is a trial".to_owned(),
        seconds => format!("for {}", duration(seconds)),
    };
    format!("in quarantine {next}: failed {failures} times in a row, last: {reason}")
}

fn print_reset(reset: &Reset) -> Result<(), Error> {
    let Reset { driver, lifted } = reset;
    Ok(output::lines(&match lifted {
        true => format!("driver {driver} is called again"),
        false => format!("driver {driver} is not in quarantine"),
    })?)
}

fn print_networks(networks: &[NetworkView]) -> Result<(), Error> {
    let row = |network: &NetworkView| {
        vec![
            short(network.id.as_str()),
            network.driver.to_string(),
            list(&network.subnets),
            list(&network.gateways),
            if network.internal { "yes" } else { "no" }.to_owned(),
            network.endpoints.len().to_string(),
        ]
    };
    let head = ["NETWORK", "DRIVER", "SUBNETS", "GATEWAYS", "INTERNAL", "ENDPOINTS"];
    Ok(output::table(&head, networks.iter().map(row))?)
}

fn print_endpoints(endpoints: &[EndpointView]) -> Result<(), Error> {
    let row = |endpoint: &EndpointView| {
        vec![
            short(endpoint.id.as_str()),
            short(endpoint.network.as_str()),
            endpoint.driver.to_string(),
            list(&endpoint.addresses),
            endpoint.mac.map(|mac| mac.to_string()).unwrap_or_default(),
            endpoint.link.clone().unwrap_or_default(),
            if endpoint.sandbox.is_some() { "joined" } else { "made" }.to_owned(),
        ]
    };
    let head = ["ENDPOINT", "NETWORK", "DRIVER", "ADDRESSES", "MAC", "LINK", "STATE"];
    Ok(output::table(&head, endpoints.iter().map(row))?)
}

fn print_ports(ports: &[PortView]) -> Result<(), Error> {
    let row = |port: &PortView| {
        vec![
            short(port.network.as_str()),
            short(port.endpoint.as_str()),
            port.host.map_or("routed".to_owned(), |host| host.to_string()),
            format!("{}/{}", port.container, port.protocol),
        ]
    };
    let head = ["NETWORK", "ENDPOINT", "HOST", "CONTAINER"];
    Ok(output::table(&head, ports.iter().map(row))?)
}

fn list<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}
