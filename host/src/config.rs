//! The config file.
//!
//! One TOML file, or none at all: then there are the built-in drivers. A key that is
//! not known is an error with its line, since a misspelt one would otherwise do nothing.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::id::DriverName;

/// Where the config file is unless said otherwise.
pub const DEFAULT_PATH: &str = "/etc/wasmnet/config.toml";

/// The config file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Drivers beside, or in place of, the built-in ones.
    #[serde(default, rename = "driver")]
    pub drivers: Vec<DriverConfig>,
}

/// A driver that an operator added.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriverConfig {
    /// Its name in Docker, and its socket's. A built-in driver of that name gives way.
    pub name: DriverName,
    /// The component's file.
    pub component: PathBuf,
}

/// What is wrong with a config file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read config file {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not what a config file looks like.
    #[error("config file {}, line {line}, column {column}: {message}", .path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
        /// Where, from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// Two drivers have one name.
    #[error("config file {}: two drivers are called {name}; give one another name", .path.display())]
    Twice {
        /// The file.
        path: PathBuf,
        /// The name.
        name: DriverName,
    },
    /// A driver's file is not there.
    #[error("driver {name}: cannot read component {}", .path.display())]
    Component {
        /// The driver.
        name: DriverName,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

// === impl Config ===

impl Config {
    /// Reads a config file; without a path the default one, which may be missing.
    pub fn load(path: Option<&Path>) -> Result<Self, Error> {
        let (path, must_exist) = match path {
            Some(path) => (path, true),
            None => (Path::new(DEFAULT_PATH), false),
        };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => {
                return Ok(Self::default());
            }
            Err(source) => return Err(Error::Read { path: path.to_owned(), source }),
        };
        let config = Self::parse(path, &text)?;
        config.check(path)?;
        Ok(config)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let before = text.get(..at).unwrap_or(text);
            Error::Parse {
                path: path.to_owned(),
                line: before.matches('\n').count() + 1,
                column: before.chars().rev().take_while(|c| *c != '\n').count() + 1,
                message: error.message().to_owned(),
            }
        })
    }

    fn check(&self, path: &Path) -> Result<(), Error> {
        for (index, driver) in self.drivers.iter().enumerate() {
            if self.drivers.iter().take(index).any(|other| other.name == driver.name) {
                return Err(Error::Twice { path: path.to_owned(), name: driver.name.clone() });
            }
            fs::File::open(&driver.component).map_err(|source| Error::Component {
                name: driver.name.clone(),
                path: driver.component.clone(),
                source,
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("c.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn drivers_are_read() {
        let config = parse("[[driver]]\nname = \"acme\"\ncomponent = \"/a.wasm\"\n").unwrap();
        assert_eq!(config.drivers[0].name.as_str(), "acme");
        assert_eq!(parse("").unwrap(), Config::default());
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        let error = parse("[[driver]]\nname = \"acme\"\ncomponnent = \"/a.wasm\"\n").unwrap_err();
        assert!(
            error.starts_with("config file c.toml, line 3, column 1: unknown field"),
            "{error}"
        );
        let error = parse("[[driver]]\nname = \"a/b\"\ncomponent = \"x\"\n").unwrap_err();
        assert!(error.contains("line 2") && error.contains("is not a driver name"), "{error}");
    }
}
