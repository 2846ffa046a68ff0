//! From a component to native code, in bounds.
//!
//! The compiler reads bytes that a stranger wrote, and how long it takes and how much memory
//! it needs depends on them. So the daemon lets a process of its own do it ([`child`]), which
//! may compute and nothing else, and ends it when it takes too much.

pub mod child;
mod shape;

use std::{
    io,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use rustix::process::Signal;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::Command,
};
use wasmtime::Engine;

pub(super) use self::shape::check;
use super::LoadError;

/// Largest component, in bytes.
pub const COMPONENT_MAX: usize = 32 << 20;
/// How deep modules and components may be nested; the outermost one counts as one.
pub const NESTING_MAX: usize = 16;
/// Bytes of compiled code that are taken.
const CODE_MAX: u64 = 1 << 30;
/// Bytes of complaints that are read.
const COMPLAINT_MAX: u64 = 64 << 10;

/// Who compiles components.
#[derive(Debug, Clone)]
pub enum Compiler {
    /// This process, without bounds: for components that are known to be good.
    InProcess,
    /// This program, which is to be wasmnet, called with `compile`.
    Child {
        /// The program's file.
        program: PathBuf,
        /// What it has.
        limits: CompileLimits,
    },
}

/// What compiling one component may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompileLimits {
    /// Time on a processor. On a busy machine twice of it may pass.
    pub time: Duration,
    /// Address space of the process, in bytes.
    pub memory: u64,
}

/// What a compiler said that ended by itself or was ended.
struct Ended {
    status: ExitStatus,
    code: Vec<u8>,
    complaint: String,
}

// === impl CompileLimits ===

impl Default for CompileLimits {
    fn default() -> Self {
        Self { time: Duration::from_secs(60), memory: 1 << 30 }
    }
}

// === impl Compiler ===

impl Compiler {
    /// The program that runs now, as a compiler. Not its path: another version may be there
    /// by now.
    pub fn this_program(limits: CompileLimits) -> Self {
        Self::Child { program: "/proc/self/exe".into(), limits }
    }

    /// Compiles a component; what it returns is for `Component::deserialize`.
    pub(super) async fn compile<B: AsRef<[u8]> + Send + Sync + 'static>(
        &self,
        engine: &Engine,
        bytes: &Arc<B>,
    ) -> Result<Vec<u8>, LoadError> {
        match self {
            Self::InProcess => {
                let (engine, bytes) = (engine.clone(), Arc::clone(bytes));
                let compile = move || engine.precompile_component((*bytes).as_ref());
                let compiled = tokio::task::spawn_blocking(compile).await;
                let failed =
                    |error: tokio::task::JoinError| wasmtime::Error::msg(error.to_string());
                compiled.map_err(failed).flatten().map_err(LoadError::Compile)
            }
            Self::Child { program, limits } => {
                supervise(child::command(program, limits), limits, (**bytes).as_ref()).await
            }
        }
    }
}

/// Has a component compiled by a command, in bounds.
async fn supervise(
    command: Command,
    limits: &CompileLimits,
    component: &[u8],
) -> Result<Vec<u8>, LoadError> {
    let ended = tokio::time::timeout(2 * limits.time, run(command, component))
        .await
        .map_err(|_elapsed| LoadError::CompileTime(limits.time))?;
    ended.map_err(LoadError::Compiler)?.judge(limits)
}

/// Runs a compiler on a component. It is killed if nobody waits any more.
async fn run(mut command: Command, component: &[u8]) -> io::Result<Ended> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // One that complains early closes its input; its complaint says more.
            let _ = stdin.write_all(component).await;
        }
    };
    let ((), code, complaint) =
        tokio::join!(write, all(stdout, CODE_MAX), all(stderr, COMPLAINT_MAX));
    let status = child.wait().await?;
    Ok(Ended { status, code: code?, complaint: String::from_utf8_lossy(&complaint?).into_owned() })
}

async fn all(pipe: Option<impl AsyncRead + Unpin>, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(limit).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

// === impl Ended ===

impl Ended {
    fn judge(self, limits: &CompileLimits) -> Result<Vec<u8>, LoadError> {
        if self.status.success() {
            return Ok(self.code);
        }
        // Rust's allocator, the kernel and wasmtime in this order.
        let memory = ["memory allocation of", "Cannot allocate memory", "out of memory"];
        if memory.iter().any(|words| self.complaint.contains(words)) {
            return Err(LoadError::CompileMemory(limits.memory));
        }
        match self.status.signal().and_then(Signal::from_named_raw) {
            Some(Signal::XCPU) => Err(LoadError::CompileTime(limits.time)),
            Some(_) => Err(LoadError::CompileCrash(self.status)),
            None => {
                let complaint = super::convert::one_line(self.complaint.trim());
                Err(LoadError::Compile(wasmtime::Error::msg(complaint)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of compiling with a shell script in the compiler's place.
    async fn compile_with(script: &str) -> Result<Vec<u8>, LoadError> {
        let limits = CompileLimits { time: Duration::from_millis(500), memory: 1 << 30 };
        let mut command = child::bare_command("/bin/sh".as_ref());
        command.args(["-c", script]);
        supervise(command, &limits, b"component").await
    }

    #[tokio::test]
    async fn the_compiler_gets_the_component_and_nothing_else() {
        // A shell sets some variables by itself.
        let script = "cat; export -p | grep -v -E ' (PWD|OLDPWD|SHLVL|_)(=|$)'; pwd";
        let said = compile_with(script).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&said), "component/\n");
    }

    #[tokio::test]
    async fn a_compiler_that_takes_too_long_is_killed() {
        let start = std::time::Instant::now();
        let ended = compile_with("exec sleep 60").await;
        assert!(matches!(ended, Err(LoadError::CompileTime(_))), "{ended:?}");
        assert!(start.elapsed() < Duration::from_secs(30));
        let ended = compile_with("kill -XCPU $$").await;
        assert!(matches!(ended, Err(LoadError::CompileTime(_))), "{ended:?}");
    }

    #[tokio::test]
    async fn failures_are_told_apart() {
        let ended = compile_with("echo memory allocation of 5 bytes failed >&2; kill -ABRT $$");
        assert!(matches!(ended.await, Err(LoadError::CompileMemory(_))));
        assert!(matches!(compile_with("kill -SEGV $$").await, Err(LoadError::CompileCrash(_))));
        let said = match compile_with("printf 'no\\nway\\n' >&2; exit 1").await {
            Err(error @ LoadError::Compile(_)) => crate::error::chain(&error),
            other => panic!("{other:?}"),
        };
        assert!(said.starts_with("the component does not compile: no"), "{said}");
        assert!(!said.contains('\n'), "{said}");
    }

    #[tokio::test]
    async fn a_compiler_that_is_not_there_is_told() {
        let compiler =
            Compiler::Child { program: "/nowhere".into(), limits: CompileLimits::default() };
        let ended = compiler.compile(&Engine::default(), &Arc::new(b"")).await;
        assert!(matches!(ended, Err(LoadError::Compiler(_))), "{ended:?}");
    }
}
