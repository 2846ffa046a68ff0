use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use wasmnet_e2e::binary;

use super::{checkout, folder, target};

/// The commands of a page: those in its blocks that are for the shell.
pub(super) fn commands(page: &Path) -> String {
    let text = fs::read_to_string(page).unwrap();
    let mut commands = String::new();
    let mut inside = false;
    for line in text.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            line if inside => commands.push_str(&format!("{line}\n")),
            _ => {}
        }
    }
    commands
}

#[test]
fn the_commands_for_drivers_authors_work() {
    let folder = folder();
    let here = folder.path();
    let page = commands(&Path::new(checkout()).join("docs/drivers.md"));
    for command in ["wasmnet new", "cargo test", "wasmnet conformance", "wasmnet driver annotate"] {
        assert!(page.lines().any(|line| line.starts_with(command)), "no {command}: {page}");
    }
    // This SDK is not released yet, its dependencies are here, and so is what they are built to.
    let programs = here.join("programs");
    fs::create_dir(&programs).unwrap();
    symlink(binary(), programs.join("wasmnet")).unwrap();
    let setup = format!("cp {0}/Cargo.lock . && ln -s {1} target", checkout(), target().display());
    fs::create_dir_all(target()).unwrap();
    let page =
        page.replace("--template bridge", &format!("--template bridge --sdk {}", checkout()));
    let page = page.replace("cd acme\n", &format!("cd acme\n{setup}\n"));
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-exc", &page]).current_dir(here).env("PATH", path);
    shell.env("CARGO_NET_OFFLINE", "true").env_remove("CARGO_TARGET_DIR");
    for variable in ["CARGO_ENCODED_RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER", "RUSTC_WRAPPER"] {
        shell.env_remove(variable);
    }
    let output = shell.output().unwrap();
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{complained}");
    assert!(said.contains("acme 1.0.0: Containers on a bridge."), "{said}");
}
