//! What the machine must have.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

const PROGRAMS: &[&str] = &[
    "busybox",
    "docker",
    "ip",
    "ip6tables-save",
    "iptables-save",
    "mount",
    "nft",
    "nsenter",
    "sh",
    "tar",
    "tc",
    "unshare",
];

/// Panics with one sentence when something is missing.
#[track_caller]
pub(crate) fn check() {
    assert!(
        rustix::process::geteuid().is_root(),
        "the lab makes network namespaces and needs root"
    );
    let dockerd = dockerd();
    for program in PROGRAMS.iter().copied().chain([dockerd.as_str()]) {
        assert!(
            find(program).is_some(),
            "the lab needs `{program}`, which is not here: run `cargo xtask test`, which installs what is missing"
        );
    }
}

/// The engine to test with.
pub(crate) fn dockerd() -> String {
    env::var("WASMNET_LAB_DOCKERD").unwrap_or_else(|_| "dockerd".to_owned())
}

/// The caller's PATH and the system's directories, which a root shell may lack.
pub(crate) fn path() -> OsString {
    let mut path = env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin");
    path
}

/// Where a program is; one with a slash is taken as it is.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    // `join` with an absolute path gives just that path.
    env::split_paths(&path()).map(|dir| dir.join(program)).find(|file| file.is_file())
}
