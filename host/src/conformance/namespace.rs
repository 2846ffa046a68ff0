//! The real kernel, in a network namespace that is thrown away.

use std::{io, thread};

use rtnetlink::LinkUnspec;
use rustix::thread::UnshareFlags;

use super::underlay;

/// Runs something in a network namespace of its own, with threads that it starts. The
/// namespace goes with the last of them.
pub fn in_new_namespace<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare()?;
            Ok(work())
        });
        match thread.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Sets the loopback link of this thread's namespace up, where published ports listen, too, and
/// lets other nodes be behind it.
pub(super) async fn set_up() -> io::Result<()> {
    /// Every namespace's first link.
    const LOOPBACK: u32 = 1;
    let (connection, netlink, _) = rtnetlink::new_connection()?;
    let connection = tokio::spawn(connection);
    let message = LinkUnspec::new_with_index(LOOPBACK).up().build();
    let up = netlink.link().set(message).execute().await.map_err(io::Error::other);
    let connected = underlay::connect_link(&netlink, LOOPBACK).await;
    connection.abort();
    up.and(connected)
}

#[allow(unsafe_code, reason = "rustix marks unshare unsafe for what it can do to files")]
fn unshare() -> io::Result<()> {
    // SAFETY: a new network namespace changes no memory and no file descriptors; it is this
    // thread's alone.
    Ok(unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }?)
}
