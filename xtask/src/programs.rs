//! Where programs are.
//!
//! A root shell may lack the system's folders (`su`, `sudo` with somebody's PATH), and
//! Debian's installer refuses to work without them.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

/// The caller's PATH and the system's folders.
pub fn path() -> OsString {
    let mut path = env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin");
    path
}

/// The file of a program.
pub fn find(program: &str) -> Option<PathBuf> {
    env::split_paths(&path()).map(|folder| folder.join(program)).find(|file| file.is_file())
}
