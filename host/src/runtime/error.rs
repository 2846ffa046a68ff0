//! What goes wrong with drivers.

use std::{io, path::PathBuf, process::ExitStatus, time::Duration};

use super::{
    compiler::{COMPONENT_MAX, NESTING_MAX},
    contract::CONTRACT,
};
use crate::{id::DriverName, ledger::TxError, private_dir};

/// Why a component cannot serve as a driver. The cause of a variant is for the
/// log; its own sentence is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The engine could not be set up on this machine.
    #[error("cannot set up the WebAssembly engine")]
    Engine(#[source] wasmtime::Error),
    /// No threads for guests.
    #[error("cannot start the threads that drivers run on")]
    Threads(#[source] io::Error),
    /// The file cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is no component.
    #[error("{0}")]
    NotAComponent(&'static str),
    /// Its bytes are not those the operator means.
    #[error("the component's digest is sha256:{digest}, and not sha256:{expected} as configured")]
    Digest {
        /// What the operator wrote.
        expected: String,
        /// What it is.
        digest: String,
    },
    /// Nobody whom the operator trusts has signed it.
    #[error("the component is not trusted")]
    Trust(#[from] crate::trust::Error),
    /// Its manifest is of no use.
    #[error("the component's manifest cannot be read")]
    Manifest(#[source] serde_json::Error),
    /// It wants to serve more than this host.
    #[error(
        "the driver's networks span a cluster, which is not granted; write scope = \"global\" to allow it"
    )]
    Scope,
    /// It is larger than any driver needs to be.
    #[error("the component is larger than {} MiB, the most that is accepted", COMPONENT_MAX >> 20)]
    TooLarge,
    /// It is made to exhaust whoever reads it.
    #[error(
        "the component has parts nested more than {NESTING_MAX} deep, the most that is accepted"
    )]
    TooDeep,
    /// It is cut off, or not well-formed.
    #[error("the component does not compile: it is cut off or damaged at byte {} ({})", .0.offset(), .0.message())]
    Damaged(wasmparser::BinaryReaderError),
    /// It does not compile.
    #[error("the component does not compile")]
    Compile(#[source] wasmtime::Error),
    /// Compiling it takes too long.
    #[error("the component takes more than {} s to compile, the most that is allowed", .0.as_secs_f32())]
    CompileTime(Duration),
    /// Compiling it needs too much memory.
    #[error("the component needs more than {} MiB of memory to compile, the most that is allowed", .0 >> 20)]
    CompileMemory(u64),
    /// The compiler is not up to it.
    #[error("the component crashes the compiler ({0})")]
    CompileCrash(ExitStatus),
    /// The compiler's process could not be run.
    #[error("cannot run the compiler")]
    Compiler(#[source] io::Error),
    /// It is made for another version of the contract.
    #[error("the driver wants contract {wants}, this host has {CONTRACT}; {advice}")]
    Contract {
        /// The version it is made for.
        wants: String,
        /// What to do.
        advice: &'static str,
    },
    /// It exports no role.
    #[error(
        "the component is no driver for this host: it exports neither wasmnet:driver/network-driver@{CONTRACT} nor wasmnet:driver/ipam-driver@{CONTRACT}"
    )]
    NoRole,
    /// It imports what the host does not have.
    #[error("the component imports what this host does not have")]
    Link(#[source] wasmtime::Error),
    /// It did not say what it can.
    #[error("the driver does not answer \"{0}\"")]
    Capabilities(&'static str, #[source] Box<CallError>),
    /// The folder for compiled code cannot be used.
    #[error("cannot use the folder for compiled code")]
    Cache(#[from] private_dir::Error),
}

/// Why a call did not work. What it did has been undone, or is about to be.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The driver said no, for this reason.
    #[error("{message}")]
    Driver {
        /// For programs.
        code: &'static str,
        /// The driver's sentence, made fit for one line.
        message: String,
    },
    /// The driver could not be loaded.
    #[error("driver {driver} is not loaded: {reason}")]
    NotLoaded {
        /// Its name.
        driver: DriverName,
        /// Why, in one line.
        reason: String,
    },
    /// It failed too often and is left alone for a while.
    #[error(
        "driver {driver} is in quarantine until {until} ({} s from now) since it failed {failures} times in a row; the last time: {reason}",
        .left.as_secs_f32().ceil()
    )]
    Quarantined {
        /// Its name.
        driver: DriverName,
        /// How long it will be refused.
        left: Duration,
        /// The time of day when that is over.
        until: String,
        /// Failures in a row.
        failures: u32,
        /// The last one, in one line.
        reason: String,
    },
    /// The driver has no such role.
    #[error("driver {0} is no {1} driver")]
    NoRole(DriverName, &'static str),
    /// It ran past its deadline.
    #[error(
        "the driver did not answer within {} s in {method}{}",
        .limit.as_secs_f32(), of_these(.waited)
    )]
    Deadline {
        /// The method it was in.
        method: &'static str,
        /// Its deadline.
        limit: Duration,
        /// For how much of it the driver waited for what it had asked the host for.
        waited: Duration,
    },
    /// It crashed.
    #[error("the driver crashed in {method} ({reason})")]
    Trap {
        /// The method it was in.
        method: &'static str,
        /// What kind of crash, in a few words.
        reason: String,
        /// The whole of it, with the guest's backtrace.
        #[source]
        source: wasmtime::Error,
    },
    /// It answered something that cannot be.
    #[error("the driver's answer in {method} cannot be used: {reason}")]
    Answer {
        /// The method it was in.
        method: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// What it did could not be made durable.
    #[error(transparent)]
    Transaction(#[from] TxError),
}

/// Whose the time was, where it was not the driver's alone.
fn of_these(waited: &Duration) -> String {
    match waited.as_secs_f32() {
        ..0.1 => String::new(),
        waited => format!(", of which it waited {waited:.1} s for the host"),
    }
}

// === impl CallError ===

impl CallError {
    /// What kind of failure it is, in a word that does not change; the driver's own if it
    /// is the driver that said no.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Driver { code, .. } => code,
            Self::NotLoaded { .. } => "not-loaded",
            Self::NoRole(..) => "no-role",
            Self::Deadline { .. } => "deadline",
            Self::Quarantined { .. } => "quarantined",
            Self::Trap { .. } => crate::events::TRAP,
            Self::Answer { .. } => "answer",
            Self::Transaction(_) => "transaction",
        }
    }

    /// The sentence for Docker's user: causes that are only for the log are left out.
    pub fn external(&self) -> String {
        match self {
            Self::Trap { .. } => self.to_string(),
            _ => crate::error::chain(self),
        }
    }
}
