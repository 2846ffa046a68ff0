//! The end-to-end tests on a kernel that users have, in a virtual machine.
//!
//! Whatever kernel this machine has, it may lack what drivers are for. Debian's has all of it.
//! The virtual machine sees this machine's files as they are, and what it writes is gone with it;
//! so it runs the very programs that cargo has built here.

use std::env::consts::ARCH;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::geteuid;

use crate::cargo::{self, Profile};
use crate::command::{self, follow, show};
use crate::steps::{Failed, Live, Steps};
use crate::{install, rust};

/// Tests of what kernels may lack: SCTP, VLANs and ipvlan.
const FILTERS: [&str; 3] = ["ports::sctp", "ports::ways", "vlans_and_ipvlan"];
/// What it is made of, and what runs in it.
const FILES: [(&str, &str); 3] = [
    ("image.sh", include_str!("kernel/image.sh")),
    ("init.sh", include_str!("kernel/init.sh")),
    ("guest.sh", include_str!("kernel/guest.sh")),
];
/// The machine's memory; it is taken only as far as it is used.
const MEMORY: &str = "8G";

/// Why the tests could not be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Only root may.
    #[error(
        "the virtual machine reads all files and needs root: \
         sudo --preserve-env env \"PATH=$PATH\" cargo xtask kernel"
    )]
    NotRoot,
    /// Debian's kernel is got for one processor only.
    #[error("the virtual machine is an x86_64 one, and this machine is {ARCH}")]
    Processor,
    /// It has no place.
    #[error(transparent)]
    Target(#[from] cargo::Error),
    /// A step failed.
    #[error(transparent)]
    Step(#[from] Failed),
    /// The machine could not be started.
    #[error(transparent)]
    Command(#[from] command::Error),
    /// A file of the machine's.
    #[error("cannot use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The machine ended, and not by itself.
    #[error("the virtual machine ended before its tests did")]
    Ended,
}

/// Runs the tests with one of these in their names, and returns the runner's exit code.
pub fn run(steps: &mut Steps, filters: &[String]) -> Result<u8, Error> {
    if !geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    if ARCH != "x86_64" {
        return Err(Error::Processor);
    }
    install::packages(steps, &[install::LAB, install::TESTS, install::KERNEL])?;
    rust::target(steps)?;
    let dir = cargo::target_dir()?.join("kernel");
    let (image, shared) = (dir.join("image"), dir.join("shared"));
    fs::create_dir_all(&shared).map_err(|source| file(&shared, source))?;
    for (name, text) in FILES {
        write(&shared.join(name), text)?;
    }
    if !image.exists() {
        let command = "apt-get download linux-image-amd64";
        steps.step("get Debian's kernel", command, |live| make(live, &shared, &image))?;
    }
    let profile = Profile::Development;
    steps.step("build the daemon", profile.command(), |live| cargo::build_daemon(live, profile))?;
    let tests = steps.step("build the tests", cargo::BUILD_TESTS, cargo::build_tests)?;

    let mut words = vec![tests.to_string_lossy().into_owned(), "--test-threads=1".to_owned()];
    match filters {
        [] => words.extend(FILTERS.map(str::to_owned)),
        filters => words.extend_from_slice(filters),
    }
    write(&shared.join("words"), &(words.join("\n") + "\n"))?;
    let exit = shared.join("exit");
    match fs::remove_file(&exit) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(file(&exit, error)),
        _ => {}
    }
    steps.heading("In the virtual machine");
    show(machine(&image, &shared))?;
    let code = fs::read_to_string(&exit).ok().and_then(|code| code.trim().parse().ok());
    code.ok_or(Error::Ended)
}

/// Makes the image; what is there afterwards is whole.
fn make(live: &mut Live<'_>, shared: &Path, image: &Path) -> Result<(), command::Error> {
    let mut command = Command::new("sh");
    command.arg(shared.join("image.sh")).arg(image);
    follow(command, |line| live.show(line)).map(drop)
}

/// The machine, which ends by itself.
fn machine(image: &Path, shared: &Path) -> Command {
    let mut command = Command::new("qemu-system-x86_64");
    // The processor's own way, where it has one: what is at /dev/kvm may be there without.
    if fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| has_virtualisation(&text)) {
        command.args(["-accel", "kvm"]);
    }
    command.args(["-accel", "tcg,thread=multi", "-cpu", "max"]);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    command.args(["-smp", &processors.to_string(), "-m", MEMORY]);
    command.args(["-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"]);
    command.arg("-kernel").arg(image.join("vmlinuz")).arg("-initrd").arg(image.join("initrd"));
    let line = format!("console=ttyS0 quiet panic=1 shared={}", shared.display());
    command.args(["-append", &line]);
    for (tag, path, access) in [("host", Path::new("/"), ",readonly=on"), ("shared", shared, "")] {
        let path = path.display();
        let share = format!("local,path={path},mount_tag={tag},security_model=none");
        command.args(["-virtfs", &format!("{share},multidevs=remap{access}")]);
    }
    command.stdin(std::process::Stdio::null());
    command
}

/// Whether a processor of which the kernel tells this can run virtual machines itself.
fn has_virtualisation(cpuinfo: &str) -> bool {
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    flags.split_whitespace().any(|flag| flag == "vmx" || flag == "svm")
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(|source| file(path, source))
}

fn file(path: &Path, source: io::Error) -> Error {
    Error::File { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_says_whether_it_has_virtualisation() {
        let flags = |flags: &str| format!("processor\t: 0\nflags\t\t: {flags}\nvmx flags\t: x\n");
        for (cpuinfo, has) in [("fpu vmx sse", true), ("svm", true), ("fpu svm_lock", false)] {
            assert_eq!(has_virtualisation(&flags(cpuinfo)), has, "{cpuinfo}");
        }
        assert!(!has_virtualisation(""));
    }
}
