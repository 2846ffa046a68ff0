use std::{fs, os::unix::fs::symlink, path::Path, time::Duration};

use wasmnet_e2e::{Site, binary};
use wasmnet_lab::Lab;

use super::{checkout, documented::commands, target};

/// Compiling a crate twice, and all else.
const LIMIT: Duration = Duration::from_secs(300);

#[test]
fn who_follows_the_guide_has_a_container_on_a_driver_of_ones_own() {
    let lab = Lab::new();
    let site = Site::in_lab(&lab, "a", "");
    let before = site.host.netns_state();
    let page = commands(&Path::new(checkout()).join("docs/start.md"));
    for command in ["wasmnet driver install", "docker run", "wasmnet driver upgrade"] {
        assert!(page.lines().any(|line| line.starts_with(command)), "no {command}: {page}");
    }
    // This SDK is not released yet, its dependencies are here, and so is what they are built to.
    let setup = format!("cp {0}/Cargo.lock . && ln -s {1} target", checkout(), target().display());
    fs::create_dir_all(target()).unwrap();
    let components = site.host.path_in_data_dir("components");
    let page = page
        .replace("--template bridge", &format!("--template bridge --sdk {}", checkout()))
        .replace("cd hello\n", &format!("cd hello\n{setup}\n"))
        .replace("--yes\n", &format!("--yes --components {}\n", components.display()));
    let programs = site.host.path_in_data_dir("programs");
    fs::create_dir(&programs).unwrap();
    symlink(binary(), programs.join("wasmnet")).unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let place = site.host.path_in_data_dir("place");
    fs::create_dir(&place).unwrap();

    let script = format!(
        "unset CARGO_TARGET_DIR CARGO_ENCODED_RUSTFLAGS RUSTC_WORKSPACE_WRAPPER RUSTC_WRAPPER\n\
         cd {}\n{page}",
        place.display()
    );
    let shell = site.host.exec(&["sh", "-exc", &script]).env("PATH", &path);
    let output = shell.env("CARGO_NET_OFFLINE", "true").limit(LIMIT).output();
    assert!(output.success(), "{output}");
    assert_eq!(output.stdout.matches(" 0% packet loss").count(), 2, "{output}");
    assert!(output.stdout.contains(" 0.2.0 "), "no upgrade: {output}");
    site.assert_nothing_left();
    wasmnet_lab::assert_same_state(&before, &site.host.netns_state());
}
