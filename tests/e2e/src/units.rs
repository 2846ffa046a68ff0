//! The systemd units of this repository.

use std::{fs, path::PathBuf};

/// A unit file's settings, in order.
pub struct Unit {
    path: PathBuf,
    settings: Vec<(String, String)>,
}

// === impl Unit ===

impl Unit {
    /// Reads a unit of the `packaging` folder.
    pub fn read(name: &str) -> Self {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
        let path = root.join("packaging").join(name).canonicalize().unwrap();
        let settings = fs::read_to_string(&path)
            .unwrap()
            .lines()
            .filter(|line| !line.starts_with(['#', '[']))
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        Self { path, settings }
    }

    /// Its file.
    pub fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// The values of a setting, word by word.
    pub fn words(&self, key: &str) -> Vec<&str> {
        let values = self.settings.iter().filter(|(name, _)| name == key);
        values.flat_map(|(_, value)| value.split_whitespace()).collect()
    }
}
