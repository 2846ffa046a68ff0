//! The daemon: puts the parts together, in an order in which a failure changes nothing.
//!
//! First everything is looked at (rights, config, sockets, state), then the state
//! directory is locked, then kernel and ledger are brought together, and only then do
//! the sockets appear: whoever sees one can use it.

mod drivers;

use std::{path::PathBuf, sync::Arc};

use tokio::{sync::watch, task::JoinSet};

use self::drivers::{Loader, Opening, Openings, wanted};
pub use self::drivers::{ReloadError, Roster};
use crate::{
    admin,
    cluster::{self, Cluster, Embedded, Etcd, Identity},
    config::{self, ClusterOptions, Config, StoreOptions},
    dispatch::Dispatcher,
    docker,
    id::DriverName,
    kernel::{self, Kernel, linux::Linux},
    ledger::{self, Ledger},
    privileges, probe, reconcile,
    runtime::{CompileLimits, Compiler, LoadError, Runtime},
    sockets::{self, Given, Socket},
    store::{self, Store},
};

/// The folder for compiled code, in the state directory.
const CACHE: &str = "cache";

/// Where a daemon finds and puts things.
#[derive(Debug, Clone)]
pub struct Options {
    /// The config file; none: the default one, if it exists.
    pub config: Option<PathBuf>,
    /// Docker's plugin directory.
    pub plugin_dir: PathBuf,
    /// What must last.
    pub state_dir: PathBuf,
    /// The admin socket.
    pub run_dir: PathBuf,
    /// What compiling one driver may take.
    pub compile: CompileLimits,
}

/// Why the daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It has not the rights.
    #[error(transparent)]
    Privileges(#[from] privileges::Error),
    /// The config file is wrong.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// A socket cannot be had.
    #[error(transparent)]
    Socket(#[from] sockets::Error),
    /// The state cannot be had.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The state cannot be read.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// The kernel cannot be reached.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// The sandbox cannot be set up.
    #[error(transparent)]
    Runtime(#[from] LoadError),
    /// The cluster's store cannot be used as it is configured.
    #[error("the cluster store cannot be used")]
    ClusterSetup(#[from] cluster::SetupError),
    /// The node has no part in a cluster.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// Kernel and ledger cannot be brought together.
    #[error(transparent)]
    Reconcile(#[from] reconcile::Error),
}

/// A daemon that is ready to serve.
pub struct Daemon {
    dispatcher: Arc<Dispatcher>,
    runtime: Arc<Runtime>,
    roster: Arc<Roster>,
    openings: Openings,
    admin: Socket,
}

// === impl Daemon ===

impl Daemon {
    /// Starts a daemon. When this returns its sockets exist; it takes those that it is given.
    pub async fn start(options: &Options, mut given: Given) -> Result<Self, Error> {
        privileges::check()?;
        let config = Config::load(options.config.as_deref())?;
        let sources = wanted(&config);
        let socket_of = |name: &DriverName| options.plugin_dir.join(format!("{name}.sock"));
        let admin = options.run_dir.join(admin::SOCKET);
        let plugins = sources.keys().map(socket_of);
        for socket in plugins.chain([admin.clone()]).filter(|socket| !given.has(socket)) {
            sockets::check(&socket)?;
        }
        sockets::check_folder(&options.plugin_dir)?;
        sockets::check_private_folder(&options.run_dir)?;

        let ledger = Arc::new(Ledger::open(Store::open(&options.state_dir)?)?);
        sockets::make_folder(&options.plugin_dir)?;
        sockets::make_private_folder(&options.run_dir)?;
        let kernel: Arc<dyn Kernel> = Arc::new(Linux::open()?);
        let compiler = Compiler::this_program(options.compile);
        let runtime = Arc::new(Runtime::new(&options.state_dir.join(CACHE), compiler)?);
        let cluster = Arc::new(join(config.cluster, &ledger)?);
        let loader = Loader::new(Arc::clone(&runtime), Arc::clone(&kernel), Arc::clone(&ledger));
        let drivers = loader.load_all(&sources).await;
        let dispatcher = Dispatcher::new(kernel, ledger, drivers, Arc::default());
        let dispatcher = Arc::new(dispatcher.in_cluster(cluster));
        reconcile::start(&dispatcher).await?;

        let admin = given.take_or_bind(&admin)?;
        let (roster, openings) = Roster::new(
            options.config.clone(),
            options.plugin_dir.clone(),
            loader,
            Arc::clone(&dispatcher),
        );
        for (name, wanted) in sources {
            let socket = given.take_or_bind(&socket_of(&name))?;
            roster.begin(name, wanted, socket).await;
        }
        for socket in given.left() {
            tracing::warn!(socket = %socket.display(), "no driver has the name of a socket that was handed over");
        }
        Ok(Self { dispatcher, runtime, roster: Arc::new(roster), openings, admin })
    }

    /// Serves until `stop` is true; then removes the sockets, finishes the calls
    /// under way and returns.
    pub async fn serve(self, stop: watch::Receiver<bool>) {
        let Self { dispatcher, runtime, roster, mut openings, admin } = self;
        let repairs = tokio::spawn(reconcile::run(Arc::clone(&dispatcher)));
        let cluster = dispatcher.cluster().cloned();
        let sharing = cluster.clone().map(|cluster| {
            let (ledger, events) = (dispatcher.ledger(), dispatcher.events());
            let probe = probe::run(Arc::clone(&cluster), Arc::clone(ledger));
            let run =
                cluster.run(Arc::clone(ledger), Arc::clone(events), Arc::clone(&dispatcher) as _);
            tokio::spawn(async move { tokio::join!(run, probe) })
        });
        let mut servers = JoinSet::new();
        let state =
            admin::State::new(Arc::clone(&dispatcher), runtime, Arc::clone(&roster), stop.clone());
        let state = Arc::new(state);
        let mut stopping = stop.clone();
        servers.spawn(
            admin.serve(stop, move |request| admin::server::serve(Arc::clone(&state), request)),
        );
        loop {
            tokio::select! {
                Some(Opening { driver, socket, stop }) = openings.recv() => {
                    let dispatcher = Arc::clone(&dispatcher);
                    servers.spawn(socket.serve(stop, move |request| {
                        docker::server::serve(Arc::clone(&dispatcher), driver.clone(), request)
                    }));
                }
                // The socket of a driver that was removed.
                Some(_ended) = servers.join_next() => {}
                _ = stopping.wait_for(|stop| *stop) => break,
            }
        }
        roster.close().await;
        while servers.join_next().await.is_some() {}
        repairs.abort();
        if let (Some(cluster), Some(sharing)) = (cluster, sharing) {
            sharing.abort();
            cluster.finish().await;
        }
        // What was deleted is gone before the daemon is.
        dispatcher.ledger().reap(&**dispatcher.kernel(), None).await;
    }
}

/// This host's part of its cluster.
fn join(options: ClusterOptions, ledger: &Ledger) -> Result<Cluster, Error> {
    let ClusterOptions { name, address, store, settings } = options;
    let id = ledger.node_id().ok_or(cluster::Error::NotKnownYet)?;
    let store: Arc<dyn cluster::Store> = match store {
        StoreOptions::Embedded => {
            Arc::new(Embedded::open(Arc::clone(ledger.store()), &settings.prefix)?)
        }
        StoreOptions::Etcd(options) => Arc::new(Etcd::new(&options)?),
    };
    Ok(Cluster::new(store, Identity { id, name, address }, settings))
}
