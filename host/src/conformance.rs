//! Whether a driver keeps the contract: `wasmnet conformance`.
//!
//! The driver is called as an engine would have it called, through the same code as in the
//! daemon ([`docker`](crate::docker), [`dispatch`](crate::dispatch)), on a kernel in memory or,
//! in a network namespace that is thrown away, on the real one. Everything goes the same way
//! each time: there is fuel in place of deadlines, and clock and randomness are the runtime's
//! ([`Steady`]). Each [`check`] is a file of its own and adds [`Finding`]s to a [`Report`].
//!
//! [`bench`] is a dispatcher on a kernel, [`play`] makes calls and judges what comes of them,
//! [`mortal`] is a kernel on which operations fail and the daemon dies.

pub mod bench;
mod check;
mod clerk;
mod junit;
mod mortal;
mod namespace;
mod picture;
mod play;
mod report;
mod script;
mod subject;
mod underlay;
mod verdict;

use std::{collections::BTreeMap, sync::Arc};

pub use self::{
    bench::Bench,
    junit::junit,
    namespace::in_new_namespace,
    report::{Checked, Finding, Kind, Report},
};
use self::{
    check::CHECKS,
    play::Findings,
    subject::{Ground, Subject},
};
use crate::{
    error::chain,
    runtime::{Facts, LoadError, Runtime, Steady},
};

/// Instructions, roughly, that one call may take. What takes a second on a slow machine takes
/// more.
const FUEL: u64 = 2_000_000_000;

/// What is to be checked, and how.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Options that every network, or pool, is made with.
    pub options: BTreeMap<String, String>,
    /// What the operator would write for the driver.
    pub config: BTreeMap<String, String>,
    /// Whether to go on with the real kernel.
    pub kernel: bool,
}

/// Why nothing could be checked. It is never the driver's fault.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no folder for compiled code.
    #[error("cannot make a folder for compiled code")]
    Folder(#[source] std::io::Error),
    /// The engine does not work here.
    #[error(transparent)]
    Runtime(#[from] LoadError),
    /// No runtime.
    #[error("cannot set up the process")]
    Process(#[source] std::io::Error),
    /// There is no dispatcher.
    #[error(transparent)]
    Bench(#[from] bench::Error),
    /// There is no namespace.
    #[error("cannot make a network namespace for the real kernel; that takes root")]
    Namespace(#[source] std::io::Error),
    /// A recorded conversation cannot be read.
    #[error("a recorded conversation cannot be read")]
    Conversation(#[from] serde_json::Error),
}

/// Checks a component.
pub fn run(bytes: Vec<u8>, options: &Options) -> Result<Report, Error> {
    let cache = tempfile::tempdir().map_err(Error::Folder)?;
    let steady = Steady::new(FUEL);
    let wasm = Arc::new(Runtime::steady(&cache.path().join("code"), Arc::clone(&steady))?);
    let facts = Facts::read(&bytes);
    let mut report = Report::about(facts.as_ref().ok());

    let here = threads()?;
    let load = subject::load(&wasm, bytes.into(), options);
    let driver = match (facts, here.block_on(load)) {
        (Err(error), _) | (Ok(_), Err(subject::LoadFailed::Driver(error))) => {
            report.add(Checked::load(&chain(&error)));
            return Ok(report);
        }
        (Ok(_), Err(subject::LoadFailed::Bench(error))) => return Err(error.into()),
        (Ok(_), Ok(driver)) => driver,
    };
    let subject = Subject::new(driver, steady, options.options.clone());
    here.block_on(all(&subject, &mut report))?;
    if options.kernel {
        let subject = subject.on(Ground::Kernel);
        let report = &mut report;
        let checks = move || {
            threads()?.block_on(async {
                namespace::set_up().await.map_err(Error::Namespace)?;
                all(&subject, report).await
            })
        };
        in_new_namespace(checks).map_err(Error::Namespace)??;
    }
    Ok(report)
}

fn threads() -> Result<tokio::runtime::Runtime, Error> {
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    threads.worker_threads(2).enable_all().build().map_err(Error::Process)
}

/// Makes all checks that fit a subject.
async fn all(subject: &Subject, report: &mut Report) -> Result<(), Error> {
    for check in CHECKS.iter().filter(|check| check.fits(subject)) {
        let mut found = Findings::default();
        let skipped = match check.needs_more(subject, report) {
            Some(reason) => Some(reason),
            None => check.run(subject, &mut found).await.map(|()| None)?,
        };
        report.add(found.into_checked(check.name(subject), check.title, skipped));
    }
    Ok(())
}
