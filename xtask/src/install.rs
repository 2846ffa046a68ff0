//! Installs the Debian packages that a task needs, and no others.
//!
//! What counts is whether a program is there, not which package it came from: an engine
//! that somebody installed another way is left alone. `install.sh` sees to it that no
//! package starts anything.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::command::{self, follow};
use crate::programs::find;
use crate::steps::{Failed, Live, Steps};

/// A program, and the package that brings it.
#[derive(Debug)]
pub struct Need {
    program: &'static str,
    /// The second where the first one does not bring it: newer Debians have the client
    /// of `docker.io` in a package of its own.
    packages: &'static [&'static str],
}

/// What test hosts are made of.
pub const LAB: &[Need] = &[
    need("dockerd", &["docker.io"]),
    need("docker", &["docker.io", "docker-cli"]),
    need("nft", &["nftables"]),
    need("iptables-save", &["iptables"]),
    need("ip6tables-save", &["iptables"]),
    need("ip", &["iproute2"]),
    need("tc", &["iproute2"]),
    need(BUSYBOX, &["busybox-static"]),
    need("unshare", &["util-linux"]),
    need("nsenter", &["util-linux"]),
    need("mount", &["mount"]),
    need("ping", &["iputils-ping"]),
    need("tar", &["tar"]),
];

/// What tests use besides.
pub const TESTS: &[Need] = &[
    need("conntrack", &["conntrack"]),
    need("curl", &["curl"]),
    need("docker-registry", &["docker-registry"]),
    need("etcd", &["etcd-server"]),
    need("faketime", &["faketime"]),
    need("htpasswd", &["apache2-utils"]),
    need("minisign", &["minisign"]),
    need("openssl", &["openssl"]),
    need("pip3", &["python3-pip"]),
    need("python3", &["python3"]),
    need("systemd-analyze", &["systemd"]),
];

/// What another engine's tree is made with.
pub const ENGINE: &[Need] =
    &[need("debootstrap", &["debootstrap"]), need("unshare", &["util-linux"])];

/// What a virtual machine with another kernel is made with.
pub const KERNEL: &[Need] = &[
    need("qemu-system-x86_64", &["qemu-system-x86"]),
    need("depmod", &["kmod"]),
    need("modprobe", &["kmod"]),
    need("cpio", &["cpio"]),
];

/// What the bench compares with. CNI's programs are not where programs are.
pub const CNI: &[Need] = &[need("/usr/lib/cni/portmap", &["containernetworking-plugins"])];

/// What the bench sends with.
pub const IPERF: &[Need] = &[need("iperf3", &["iperf3"])];

/// What podman makes its networks with.
pub const NETAVARK: &[Need] = &[need("/usr/lib/podman/netavark", &["netavark"])];

/// It becomes a container's image, alone, so it has to be static.
const BUSYBOX: &str = "busybox";

/// Installs what it is given, with nothing started.
const SCRIPT: &str = include_str!("install.sh");

/// Why packages could not be installed.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// This is not Debian, or a relative of it.
    #[error("there is no `apt-get` to install them with; install by hand what brings {0}")]
    NoApt(String),
    /// Only root may.
    #[error("installing packages needs root")]
    NotRoot,
    /// The package manager failed.
    #[error(transparent)]
    Install(#[from] command::Error),
    /// The packages do not bring what they should.
    #[error("after installing {packages}, there is still no {programs}")]
    StillMissing {
        /// What was installed.
        packages: String,
        /// What is not there.
        programs: String,
    },
}

const fn need(program: &'static str, packages: &'static [&'static str]) -> Need {
    Need { program, packages }
}

/// Installs what is missing of these; a step is shown only when there is something to do.
pub fn packages(steps: &mut Steps, needs: &[&'static [Need]]) -> Result<(), Failed> {
    let missing = missing(needs);
    if missing.is_empty() {
        return Ok(());
    }
    let command = format!("apt-get install {}", choose(&missing, 0).join(" "));
    let installed =
        steps.step("install packages", &command, |live| install(live, needs, missing))?;
    if installed.contains(&"docker.io") {
        steps.say("  Docker is installed but not started, and will not start at boot.");
    }
    Ok(())
}

/// Installs, and returns what was installed.
fn install(
    live: &mut Live<'_>,
    needs: &[&'static [Need]],
    mut missing: Vec<&'static Need>,
) -> Result<Vec<&'static str>, Error> {
    if find("apt-get").is_none() {
        return Err(Error::NoApt(programs(&missing)));
    }
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    let mut installed = Vec::new();
    for attempt in 0.. {
        let packages = choose(&missing, attempt);
        if packages.is_empty() {
            break;
        }
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "install"]).args(&packages);
        follow(command, |line| live.show(line)).map_err(|error| readable(error, &packages))?;
        installed.extend(packages);
        missing = self::missing(needs);
    }
    if missing.is_empty() {
        return Ok(installed);
    }
    Err(Error::StillMissing { packages: installed.join(", "), programs: programs(&missing) })
}

/// The packages to try for these programs, each once.
fn choose(missing: &[&'static Need], attempt: usize) -> Vec<&'static str> {
    let mut packages = Vec::new();
    for package in missing.iter().filter_map(|need| need.packages.get(attempt)) {
        if !packages.contains(package) {
            packages.push(*package);
        }
    }
    packages
}

fn missing(needs: &[&'static [Need]]) -> Vec<&'static Need> {
    needs.iter().copied().flatten().filter(|need| !is_here(need)).collect()
}

fn is_here(need: &Need) -> bool {
    find(need.program).is_some_and(|file| need.program != BUSYBOX || is_static(&file))
}

/// Whether a program needs no loader. Its name would be near the file's beginning.
fn is_static(file: &Path) -> bool {
    fs::read(file)
        .is_ok_and(|bytes| !bytes.windows(9).take(4096).any(|window| window == b"/ld-linux"))
}

fn programs(needs: &[&'static Need]) -> String {
    needs.iter().map(|need| need.program).collect::<Vec<_>>().join(", ")
}

/// Names the command that a person knows in place of our script.
fn readable(error: command::Error, packages: &[&str]) -> Error {
    let command = format!("apt-get install {}", packages.join(" "));
    Error::Install(match error {
        command::Error::Failed { status, said, .. } => {
            command::Error::Failed { command, status, said }
        }
        command::Error::Start { source, .. } => command::Error::Start { command, source },
        command::Error::Read { source, .. } => command::Error::Read { command, source },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_package_is_named_once() {
        let missing: Vec<&Need> = LAB.iter().collect();
        let packages = choose(&missing, 0);
        assert_eq!(packages.iter().filter(|name| **name == "docker.io").count(), 1);
        assert_eq!(choose(&missing, 1), ["docker-cli"]);
        assert!(choose(&missing, 2).is_empty());
    }
}
