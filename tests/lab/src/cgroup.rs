//! Removal of the cgroups that an engine made for its containers and plugins.

use std::fs;
use std::path::{Path, PathBuf};

use crate::janitor::retry;

/// Removes every cgroup whose name `matches`, in all hierarchies and at any
/// depth: a managed plugin's is below the one that the test itself is in.
pub(crate) fn remove(matches: &dyn Fn(&str) -> bool) {
    remove_below(Path::new("/sys/fs/cgroup"), matches);
}

/// The names of the cgroups of managed plugins, which are not below the
/// engine's parent cgroup, by the engine's data.
pub(crate) fn of_plugins(engine_data: &Path) -> Vec<String> {
    let names = dirs(&engine_data.join("plugins"))
        .into_iter()
        .filter_map(|dir| dir.file_name()?.to_str().map(str::to_owned));
    names.filter(|id| id.len() == 64).collect()
}

fn remove_below(parent: &Path, matches: &dyn Fn(&str) -> bool) {
    for group in dirs(parent) {
        if group.file_name().and_then(|name| name.to_str()).is_some_and(matches) {
            // The kernel lets go of a group only when its last process is reaped.
            retry(|| {
                remove_tree(&group);
                !group.exists()
            });
        } else {
            remove_below(&group, matches);
        }
    }
}

/// Cgroups are removed from the leaves up, directory by directory: their files
/// cannot be unlinked.
fn remove_tree(group: &Path) {
    for child in dirs(group) {
        remove_tree(&child);
    }
    // Refused while a process is in it: the caller tries again.
    let _ = fs::remove_dir(group);
}

/// The directories in a directory.
pub(crate) fn dirs(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    entries
        .flatten()
        // Not following links: version 1 has some from one hierarchy to another.
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}
