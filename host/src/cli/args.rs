//! What can be said on the command line.

use std::{net::IpAddr, path::PathBuf};

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use ipnet::IpNet;

use crate::{
    config::Digest,
    id::{DriverName, NetworkId},
};

/// Docker networks with drivers in a sandbox.
///
/// `wasmnet serve` is the daemon: to Docker it is plugins (wasm-bridge, wasm-ipam), each
/// a WebAssembly component that reaches the kernel only through what it is allowed.
/// Everything else asks a running daemon.
#[derive(Debug, Parser)]
#[command(name = "wasmnet", version, max_term_width = 100)]
pub struct Args {
    /// For all commands.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of all commands.
#[derive(Debug, ClapArgs)]
pub struct Global {
    /// Where the daemon's admin socket is
    #[arg(long, value_name = "DIR", global = true, default_value = "/run/wasmnet")]
    pub run_dir: PathBuf,
    /// Print JSON instead of tables
    #[arg(long, global = true)]
    pub json: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon
    Serve(Serve),
    /// Show how the daemon is
    Status,
    /// Show networks
    #[command(subcommand)]
    Network(Network),
    /// Show endpoints
    #[command(subcommand)]
    Endpoint(Endpoint),
    /// Show published ports
    #[command(subcommand)]
    Port(Port),
    /// Show addresses of containers: pools, who has what, what is free
    #[command(subcommand)]
    Ipam(Ipam),
    /// Show drivers, look into their files, and let a failing one be called again
    #[command(subcommand)]
    Driver(Driver),
    /// Say what is wrong on this host, and what to do about it
    Doctor(Doctor),
    /// Print what a driver would do, without doing it
    #[command(subcommand)]
    Plan(Plan),
    /// Say what a denial's code means, and which grant would allow it
    Explain {
        /// The code, as in "denied-route"; without one, all of them
        code: Option<String>,
    },
    /// Make the crate of a new driver in Rust, with tests
    New(New),
    /// Check whether a driver keeps the contract
    ///
    /// Plays an engine to it, on a kernel in memory: every method, in every order that engines
    /// use, with failures, crashes and restarts in between. What is found is printed; then the
    /// exit code is 1.
    Conformance(Conformance),
    /// Print what a shell has to know to complete this program's command lines
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print this program's man page
    Man {
        /// Write the pages of all commands to this folder
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
    /// Compile a component; the daemon's own process for it
    #[command(hide = true)]
    Compile(Compile),
    /// Show what has happened since the daemon started: its newest 1000 events
    Events(Events),
    /// Print counters for Prometheus
    Metrics,
}

/// Options of `events`.
#[derive(Debug, ClapArgs)]
pub struct Events {
    /// Go on with what happens from now on
    #[arg(long)]
    pub follow: bool,
    /// Only those about this network (its id, or the beginning of it)
    #[arg(long, value_name = "NETWORK")]
    pub network: Option<String>,
    /// Only those about this driver
    #[arg(long, value_name = "DRIVER")]
    pub driver: Option<String>,
}

/// What can be planned.
#[derive(Debug, Subcommand)]
pub enum Plan {
    /// What `docker network create` would make
    CreateNetwork(CreateNetwork),
}

/// A network, as for `docker network create`.
#[derive(Debug, ClapArgs)]
pub struct CreateNetwork {
    /// The driver
    #[arg(long, short, default_value = "wasm-bridge")]
    pub driver: DriverName,
    /// A subnet, as in 10.1.0.0/16; Docker chooses one if there is none
    #[arg(long = "subnet", value_name = "SUBNET", default_value = "172.30.0.0/16")]
    pub subnets: Vec<IpNet>,
    /// The gateway's address in a subnet [default: the subnet's first]
    #[arg(long = "gateway", value_name = "ADDRESS")]
    pub gateways: Vec<IpAddr>,
    /// No way to the outside
    #[arg(long)]
    pub internal: bool,
    /// An option of the driver
    #[arg(long = "opt", short, value_name = "KEY=VALUE", value_parser = option)]
    pub options: Vec<(String, String)>,
    /// The network's id, from which names of links are made
    #[arg(long, hide = true, default_value = "plan")]
    pub id: NetworkId,
}

fn option(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("an option is KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Options of `doctor`.
#[derive(Debug, ClapArgs)]
pub struct Doctor {
    /// Mend what can be mended: put kernel objects back, delete what Docker does not know
    #[arg(long)]
    pub fix: bool,
    /// Docker's socket
    #[arg(long, value_name = "SOCKET", default_value = "/run/docker.sock")]
    pub docker: PathBuf,
}

/// Options of `serve`.
#[derive(Debug, ClapArgs)]
pub struct Serve {
    /// Config file [default: /etc/wasmnet/config.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where Docker looks for plugin sockets
    #[arg(long, value_name = "DIR", default_value = "/run/docker/plugins")]
    pub plugin_dir: PathBuf,
    /// Where the state is kept
    #[arg(long, value_name = "DIR", default_value = "/var/lib/wasmnet")]
    pub state_dir: PathBuf,
    /// Most time that compiling one driver may take
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u16).range(1..))]
    pub compile_seconds: u16,
}

/// Limits of the process that compiles.
#[derive(Debug, ClapArgs)]
pub struct Compile {
    /// Time on a processor
    #[arg(long)]
    pub seconds: u64,
    /// Address space, in bytes
    #[arg(long)]
    pub memory: u64,
}

/// About networks.
#[derive(Debug, Subcommand)]
pub enum Network {
    /// List networks
    Ls,
    /// Show all about networks, as JSON
    Inspect {
        /// Ids, or beginnings of them
        #[arg(required = true, value_name = "NETWORK")]
        networks: Vec<String>,
    },
}

/// About endpoints.
#[derive(Debug, Subcommand)]
pub enum Endpoint {
    /// List endpoints
    Ls {
        /// Only those of this network (its id, or the beginning of it)
        #[arg(long, value_name = "NETWORK")]
        network: Option<String>,
    },
}

/// About published ports.
#[derive(Debug, Subcommand)]
pub enum Port {
    /// List published ports, which Docker does not show for other drivers' networks
    Ls,
}

/// About addresses.
#[derive(Debug, Subcommand)]
pub enum Ipam {
    /// List the pools of IPAM drivers, and who has which address since when
    Ls {
        /// The addresses that nobody has, in place of those that somebody has
        #[arg(long)]
        free: bool,
    },
}

/// Options of `new`.
#[derive(Debug, ClapArgs)]
pub struct New {
    /// What the crate, its folder and the driver are called
    pub name: String,
    /// What it begins with
    #[arg(long, value_enum, default_value_t = Template::Blank)]
    pub template: Template,
    /// A checkout of wasmnet, or the SDK's folder in it, in place of the released SDK
    #[arg(long, value_name = "PATH")]
    pub sdk: Option<PathBuf>,
}

/// What a new driver begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Template {
    /// A network driver: a bridge with NAT and published ports
    Bridge,
    /// An IPAM driver: the lowest free address of subnets that the user chooses
    Ipam,
    /// A network driver that connects containers, and nothing more
    Blank,
}

/// Options of `conformance`.
#[derive(Debug, ClapArgs)]
pub struct Conformance {
    /// The component
    pub file: PathBuf,
    /// An option that all networks, or pools, are made with
    #[arg(long = "opt", short, value_name = "KEY=VALUE", value_parser = option)]
    pub options: Vec<(String, String)>,
    /// What the operator would write into the driver's table "config"
    #[arg(long, value_name = "KEY=VALUE", value_parser = option)]
    pub config: Vec<(String, String)>,
    /// Go on with the real kernel, in a network namespace that is thrown away; needs root
    #[arg(long)]
    pub kernel: bool,
    /// Write the report as JUnit's XML, too
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// Options of `driver annotate`.
#[derive(Debug, ClapArgs)]
pub struct Annotate {
    /// The component
    pub file: PathBuf,
    /// What it says of itself, in TOML: name, version, description and a table "grants"
    #[arg(long, value_name = "FILE")]
    pub manifest: PathBuf,
    /// Where the annotated component goes [default: where it was]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// About drivers.
#[derive(Debug, Subcommand)]
pub enum Driver {
    /// List drivers
    Ls,
    /// Say what a driver is, what it wants, and for which contract it is made
    Inspect {
        /// Its file, or the name of one of the daemon's
        #[arg(value_name = "FILE|NAME")]
        driver: String,
    },
    /// Write a manifest into a component, in the place of the one it has
    Annotate(Annotate),
    /// Install a driver: shows what it asks for, and asks whether it may
    Install(Install),
    /// Put another component in the place of a driver's; networks and calls go on
    Upgrade(Upgrade),
    /// Remove a driver that has no networks
    Remove {
        /// The driver
        #[arg(value_name = "DRIVER")]
        name: DriverName,
    },
    /// Push a component to a registry
    Push(Push),
    /// Read the drivers' files again and make the drivers what they say
    Reload,
    /// Lift a driver's quarantine: it is called again at once
    Reset {
        /// The driver
        #[arg(value_name = "DRIVER")]
        name: DriverName,
    },
}

/// Options of `driver install`.
#[derive(Debug, ClapArgs)]
pub struct Install {
    /// The component: a file, or oci://REGISTRY/NAME[:TAG|@DIGEST]
    #[arg(value_name = "FILE|REFERENCE")]
    pub source: String,
    /// The driver's name in Docker [default: what the component calls itself]
    #[arg(long)]
    pub name: Option<DriverName>,
    /// How it is trusted and asked about
    #[command(flatten)]
    pub leave: Leave,
}

/// Options of `driver upgrade`.
#[derive(Debug, ClapArgs)]
pub struct Upgrade {
    /// The driver
    #[arg(value_name = "DRIVER")]
    pub name: DriverName,
    /// The component: a file, or oci://REGISTRY/NAME[:TAG|@DIGEST]
    #[arg(value_name = "FILE|REFERENCE")]
    pub source: String,
    /// How it is trusted and asked about
    #[command(flatten)]
    pub leave: Leave,
}

/// Who says yes to what a driver asks for.
#[derive(Debug, Clone, ClapArgs)]
pub struct Leave {
    /// Grant all that it asks for, without asking
    #[arg(long, visible_alias = "yes", short = 'y')]
    pub grant_all_permissions: bool,
    /// Refuse a component with other bytes: sha256: and 64 hex digits
    #[arg(long, value_name = "DIGEST")]
    pub digest: Option<Digest>,
    /// Where installed components are kept
    #[arg(long, value_name = "DIR", default_value = "/var/lib/wasmnet/drivers")]
    pub components: PathBuf,
}

/// Options of `driver push`.
#[derive(Debug, ClapArgs)]
pub struct Push {
    /// The component's file; its signature is taken along if FILE.minisig is there
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where to: oci://REGISTRY/NAME[:TAG]
    #[arg(value_name = "REFERENCE")]
    pub reference: String,
}
