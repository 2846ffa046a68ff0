//! Names that tell their owner, and the removal of what dead owners left.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::{cgroup, engine};

const PREFIX: &str = "wasmnet-lab-";

/// How long a removal may be refused because something is still dying.
const PATIENCE: Duration = Duration::from_secs(5);

/// A name nobody else uses: `wasmnet-lab-PID-STARTTIME-N`. The start time tells
/// the owner from a later process with the same pid.
pub(crate) fn new_name() -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let pid = std::process::id();
    let start = start_time(pid).expect("a process has a start time in /proc");
    format!("{PREFIX}{pid}-{start}-{}", COUNTER.fetch_add(1, Ordering::Relaxed))
}

/// Where the directories of labs are.
pub(crate) fn base() -> PathBuf {
    std::env::temp_dir()
}

/// Removes directories and cgroups of labs whose owner is dead.
pub(crate) fn clean() {
    let mut orphans = cgroup::dirs(&base());
    orphans.retain(|dir| dir.file_name().and_then(|name| name.to_str()).is_some_and(is_orphan));
    let hosts = orphans.iter().flat_map(|lab| cgroup::dirs(lab));
    let plugins: Vec<String> =
        hosts.flat_map(|host| cgroup::of_plugins(&engine::data_root(&host))).collect();
    // First the cgroups: the directories tell which.
    cgroup::remove(&|name| is_orphan(name) || plugins.iter().any(|id| id == name));
    for dir in orphans {
        remove_dir(&dir);
    }
}

/// Removes a directory; what cannot be removed stays for the next janitor, it
/// is no reason to fail a test.
pub(crate) fn remove_dir(dir: &Path) {
    retry(|| match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => false,
        _ => dir.symlink_metadata().is_err(),
    });
}

/// Tries until it works or patience ends: a dying process may still write.
pub(crate) fn retry(mut attempt: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !attempt() && Instant::now() < deadline {
        sleep(Duration::from_millis(10));
    }
}

/// Whether this is the name of a lab, or of a part of one, whose owner is dead.
fn is_orphan(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX) else { return false };
    let mut parts = rest.split('-').map(str::parse::<u64>);
    match (parts.next(), parts.next()) {
        (Some(Ok(pid)), Some(Ok(start))) => {
            u32::try_from(pid).ok().and_then(start_time) != Some(start)
        }
        _ => false,
    }
}

/// When a living process started, in clock ticks since boot.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name is in parentheses and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let zombie = matches!(*fields.first()?, "Z" | "X");
    if zombie { None } else { fields.get(19)?.parse().ok() }
}
