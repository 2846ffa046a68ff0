//! Compiled drivers, handed on from one test's daemon to the next.
//!
//! A new daemon compiles its drivers, which takes seconds of a processor, and every test has
//! new daemons. What one has compiled is the same for all: a file's name says which component
//! it is, and by which wasmtime it was compiled. So a host's first daemon finds here what
//! others have left, in this run or an earlier one.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use wasmnet_lab::Host;

use crate::daemon::state_dir;

/// Puts what there is where a host's daemon looks for it.
pub(crate) fn lend(host: &Host) {
    let cache = cache(host);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&cache).unwrap();
    copy_new(&shelf(), &cache);
}

/// Keeps for others what a host's daemon has.
pub(crate) fn keep(host: &Host) {
    let shelf = shelf();
    fs::create_dir_all(&shelf).unwrap();
    copy_new(&cache(host), &shelf);
}

/// Beside this test's executable, so that it goes with what cargo has built.
fn shelf() -> PathBuf {
    std::env::current_exe().unwrap().with_file_name("wasmnet-compiled")
}

fn cache(host: &Host) -> PathBuf {
    state_dir(host).join("cache")
}

/// Copies compiled code that is not there yet. Other tests do the same at the same time, so
/// it gets its name when it is whole.
fn copy_new(from: &Path, to: &Path) {
    static COPIES: AtomicUsize = AtomicUsize::new(0);
    let Ok(files) = fs::read_dir(from) else { return };
    for file in files {
        let file = file.unwrap();
        let name = file.file_name();
        let is_code = Path::new(&name).extension().is_some_and(|extension| extension == "cwasm");
        if !is_code || to.join(&name).exists() {
            continue;
        }
        let number = COPIES.fetch_add(1, Ordering::Relaxed);
        let part = to.join(format!("{}-{number}.part", std::process::id()));
        match fs::copy(file.path(), &part) {
            Ok(_) => fs::rename(part, to.join(name)).unwrap(),
            // It went while we looked.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => panic!("{}: {error}", file.path().display()),
        }
    }
}
