//! The `busybox` image: no registry is in reach of a test host.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::OnceLock;

use crate::needs;

/// A tar of the image's files, made once per process.
#[track_caller]
pub(crate) fn busybox() -> &'static [u8] {
    static TAR: OnceLock<Vec<u8>> = OnceLock::new();
    TAR.get_or_init(build)
}

fn build() -> Vec<u8> {
    let busybox = needs::find("busybox").expect("checked when the lab was made");
    let program = fs::read(&busybox).expect("read busybox");
    assert!(
        !program.windows(9).take(4096).any(|window| window == b"/ld-linux"),
        "the lab needs a static busybox, and {} is not: run `cargo xtask test`, which installs what is missing",
        busybox.display()
    );
    let root = tempfile::Builder::new().prefix("image").tempdir().expect("a temporary directory");
    for dir in ["bin", "dev", "etc", "proc", "root", "sys", "tmp", "var", "www"] {
        fs::create_dir(root.path().join(dir)).expect("make a directory");
    }
    fs::copy(&busybox, root.path().join("bin/busybox")).expect("copy busybox");
    for applet in output(Command::new(&busybox).arg("--list")).split(|&byte| byte == b'\n') {
        let applet = std::str::from_utf8(applet).expect("an applet's name");
        if !matches!(applet, "" | "busybox") {
            symlink("busybox", root.path().join("bin").join(applet)).expect("link an applet");
        }
    }
    fs::write(root.path().join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").expect("write");
    fs::write(root.path().join("etc/group"), "root:x:0:\n").expect("write");
    output(Command::new("tar").arg("-C").arg(root.path()).args(["-c", "."]))
}

fn output(command: &mut Command) -> Vec<u8> {
    let output = command.env("PATH", needs::path()).output().expect("run a command");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
