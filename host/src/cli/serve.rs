//! `wasmnet serve`.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use sd_notify::NotifyState;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tracing_subscriber::EnvFilter;

use super::args::{Global, Serve};
use crate::{
    daemon::{self, Daemon},
    privileges,
    runtime::CompileLimits,
    sockets::{self, Given},
};

/// The variable that says what is logged, as in `WASMNET_LOG=debug`.
const LOG_VARIABLE: &str = "WASMNET_LOG";

/// Why the daemon ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// It could not start.
    #[error(transparent)]
    Daemon(#[from] daemon::Error),
    /// It could not give up what it does not need.
    #[error(transparent)]
    Privileges(#[from] privileges::Error),
    /// It was handed sockets that it cannot use.
    #[error(transparent)]
    Sockets(#[from] sockets::Error),
    /// No threads or signals.
    #[error("cannot set up the process")]
    Process(#[source] io::Error),
}

/// Runs the daemon until SIGTERM or SIGINT.
pub(super) fn run(serve: Serve, global: &Global) -> Result<(), Error> {
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
    // Before there are threads and other descriptors.
    let given = Given::from_environment()?;
    privileges::keep_only(privileges::KEPT)?;
    raise_open_files();
    let options = daemon::Options {
        config: serve.config,
        plugin_dir: serve.plugin_dir,
        state_dir: serve.state_dir,
        run_dir: global.run_dir.clone(),
        compile: CompileLimits {
            time: Duration::from_secs(serve.compile_seconds.into()),
            ..CompileLimits::default()
        },
    };
    let runtime = tokio::runtime::Runtime::new().map_err(Error::Process)?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(Error::Process)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Process)?;
        let daemon = Daemon::start(&options, given).await?;
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "ready");
        tell_manager(NotifyState::Ready);
        let watchdog = tokio::spawn(feed_watchdog());
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(daemon.serve(stopped));
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping; networks and containers go on");
        tell_manager(NotifyState::Stopping);
        // The receivers live in the task that is being waited for.
        let _ = stop.send(true);
        let _ = serving.await;
        watchdog.abort();
        Ok(())
    })
}

/// Tells whoever started the daemon how it is, if that one wants to know (sd_notify(3)).
fn tell_manager(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(false, &[state]) {
        tracing::warn!(%error, "cannot tell the service manager");
    }
}

/// Shows the service manager that tasks still run, if it wants to see that.
async fn feed_watchdog() {
    let mut microseconds = 0;
    if !sd_notify::watchdog_enabled(false, &mut microseconds) {
        return;
    }
    // Half of the time, as sd_watchdog_enabled(3) has it. Zero would be a panic.
    let mut ticks = tokio::time::interval(Duration::from_micros((microseconds / 2).max(1)));
    loop {
        ticks.tick().await;
        tell_manager(NotifyState::Watchdog);
    }
}

/// A published port takes up to two file descriptors, and the usual limit is 1024: takes
/// what the hard limit allows.
fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "cannot raise the number of open files");
    }
}
