//! The process that compiles one component: `wasmnet compile`.
//!
//! It reads the component from its standard input and writes native code to its standard
//! output. It has nothing else: no capabilities, no other descriptors, no environment, no
//! files to open, and no system calls but those that computing takes. It could not even
//! start a thread, so its time is bounded by that of one processor.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    path::Path,
};

use rustix::{
    process::{Resource, Rlimit, setrlimit},
    thread::CapabilitySet,
};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};
use tokio::process::Command;
use wasmtime::Engine;

use super::{COMPONENT_MAX, CompileLimits};
use crate::{privileges, runtime::engine};

/// The subcommand, and its arguments.
pub const SUBCOMMAND: &str = "compile";
const SECONDS: &str = "--seconds";
const MEMORY: &str = "--memory";

/// What a process may ask that computes. Whatever else it asks is refused.
const SYSTEM_CALLS: &[libc::c_long] = &[
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fstat,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_madvise,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_read,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_sigaltstack,
    libc::SYS_tgkill,
    libc::SYS_write,
    libc::SYS_writev,
];

/// Why nothing was compiled.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its rights could not be given up.
    #[error(transparent)]
    Privileges(#[from] privileges::Error),
    /// Descriptors that it was not meant to have could not be closed.
    #[error("cannot close inherited descriptors")]
    Descriptors(#[source] io::Error),
    /// Its limits could not be set.
    #[error("cannot limit {0:?}")]
    Limit(Resource, #[source] rustix::io::Errno),
    /// System calls could not be refused.
    #[error("cannot refuse system calls")]
    Filter(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No compiler on this machine.
    #[error("cannot set up the WebAssembly engine")]
    Engine(#[source] wasmtime::Error),
    /// The component could not be read.
    #[error("cannot read the component")]
    Read(#[source] io::Error),
    /// It does not compile. The words are the compiler's, which speaks for all of them.
    #[error("{0:#}")]
    Compile(wasmtime::Error),
    /// The code could not be written.
    #[error("cannot write the compiled code")]
    Write(#[source] io::Error),
}

/// The command that runs such a process.
pub(super) fn command(program: &Path, limits: &CompileLimits) -> Command {
    let mut command = bare_command(program);
    // Rounded up: a process without any time would not even start.
    let seconds = limits.time.as_secs_f64().ceil() as u64;
    command.args([SUBCOMMAND, SECONDS, &seconds.to_string(), MEMORY, &limits.memory.to_string()]);
    command
}

/// A program without arguments, environment and a place of its own.
pub(super) fn bare_command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().current_dir("/");
    command
}

/// Is such a process.
pub fn run(limits: &CompileLimits) -> Result<(), Error> {
    close_inherited()?;
    privileges::keep_only(CapabilitySet::empty())?;
    limit(limits)?;
    let engine = Engine::new(&engine::compiler_config()).map_err(Error::Engine)?;
    refuse_system_calls().map_err(Error::Filter)?;

    // Whatever a stranger wrote is read only from here on.
    let mut component = Vec::new();
    let most = COMPONENT_MAX as u64 + 1;
    io::stdin().take(most).read_to_end(&mut component).map_err(Error::Read)?;
    let code = engine.precompile_component(&component).map_err(Error::Compile)?;
    let mut stdout = io::stdout().lock();
    stdout.write_all(&code).and_then(|()| stdout.flush()).map_err(Error::Write)
}

/// Closes what the parent did not mean to hand over.
#[allow(unsafe_code, reason = "nobody else closes a range of descriptors")]
fn close_inherited() -> Result<(), Error> {
    // SAFETY: the process has just started and opened nothing: no value owns one of these.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
    if closed == 0 { Ok(()) } else { Err(Error::Descriptors(io::Error::last_os_error())) }
}

fn limit(limits: &CompileLimits) -> Result<(), Error> {
    let seconds = limits.time.as_secs();
    let all = [
        (Resource::As, limits.memory),
        (Resource::Cpu, seconds),
        (Resource::Nofile, 0),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
        // Root is exempt from this one; the system calls are refused besides.
        (Resource::Nproc, 0),
    ];
    for (resource, most) in all {
        // The signal that tells of spent time comes at the soft limit, death at the hard one.
        let spare = u64::from(resource == Resource::Cpu);
        let limit = Rlimit { current: Some(most), maximum: Some(most + spare) };
        setrlimit(resource, limit).map_err(|errno| Error::Limit(resource, errno))?;
    }
    Ok(())
}

fn refuse_system_calls() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let arch: TargetArch = std::env::consts::ARCH.try_into()?;
    let allowed: BTreeMap<i64, _> =
        SYSTEM_CALLS.iter().map(|&number| (number, Vec::new())).collect();
    let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let filter = SeccompFilter::new(allowed, refuse, SeccompAction::Allow, arch)?;
    let program: BpfProgram = filter.try_into()?;
    Ok(seccompiler::apply_filter(&program)?)
}
