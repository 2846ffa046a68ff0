//! Running nft(8) and iptables(8).

use std::{ffi::OsStr, io, process::Stdio, time::Duration};

use tokio::{io::AsyncWriteExt, process::Command};

use crate::kernel::Refusal;

/// How long a program may take; iptables may wait for another one's lock.
const PATIENCE: Duration = Duration::from_secs(10);

/// Applies an nft script as one transaction.
pub(super) async fn nft(script: &str) -> Result<(), Refusal> {
    run("nft", &["-f", "-"], script).await.map(drop)
}

/// Runs a program with `input` and returns what it printed. A program that
/// fails is refused with the first line it complained in.
pub(super) async fn run<S: AsRef<OsStr>>(
    program: &str,
    arguments: &[S],
    input: &str,
) -> Result<String, Refusal> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| missing(program, error))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that complains early closes its input; its complaint says more.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let output =
        tokio::time::timeout(PATIENCE, child.wait_with_output()).await.map_err(|_| {
            Refusal::Tool(format!("{program}: no answer within {} s", PATIENCE.as_secs()))
        })??;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let line = complaint.lines().find(|line| !line.trim().is_empty()).unwrap_or("no reason given");
    Err(Refusal::Tool(format!("{program}: {}", line.trim())))
}

fn missing(program: &str, error: io::Error) -> Refusal {
    if error.kind() == io::ErrorKind::NotFound {
        Refusal::Tool(format!(
            "{program} is not installed (Debian: apt install {})",
            match program {
                "nft" => "nftables",
                _ => "iptables",
            }
        ))
    } else {
        Refusal::Io(error)
    }
}
