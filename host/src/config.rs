//! The config file.
//!
//! One TOML file, or none at all: then there are the built-in drivers. A key that is
//! not known is an error with its line, since a misspelt one would otherwise do nothing.

mod cluster;
mod driver;

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};

pub use self::cluster::{ClusterConfig, ClusterOptions, NodeConfig, StoreOptions};
pub use self::driver::{Digest, DriverConfig, InvalidValue, LimitsConfig};
use crate::{
    id::DriverName,
    runtime::Settings,
    trust::{Trust, TrustConfig},
};

/// Where the config file is unless said otherwise.
pub const DEFAULT_PATH: &str = "/etc/wasmnet/config.toml";
/// The folder beside it with one file a driver.
const DRIVERS: &str = "drivers.d";

/// The config file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// This node.
    #[serde(default)]
    node: NodeConfig,
    /// What it shares with others.
    #[serde(default)]
    cluster: ClusterConfig,
    /// Whose components are loaded.
    #[serde(default)]
    trust: TrustConfig,
    /// Drivers beside, or in place of, the built-in ones.
    #[serde(default, rename = "driver")]
    drivers: Vec<DriverConfig>,
}

/// What the operator wants.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Drivers beside, or in place of, the built-in ones; and built-in ones of which the
    /// operator has something to say.
    pub drivers: Vec<Configured>,
    /// This node, and what it shares with others.
    pub cluster: ClusterOptions,
    /// Whose components are loaded.
    pub trust: Trust,
}

/// A driver of the operator's.
#[derive(Debug, Clone)]
pub struct Configured {
    /// Its name in Docker.
    pub name: DriverName,
    /// The component's file; none means the built-in driver of that name.
    pub component: Option<PathBuf>,
    /// What else is said of it.
    pub settings: Settings,
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
    #[error("config file {}: another driver is called {name}, too; give one another name", .path.display())]
    Twice {
        /// The file.
        path: PathBuf,
        /// The name.
        name: DriverName,
    },
    /// A driver has no name.
    #[error("config file {}: a driver has no name; write name = \"…\"", .path.display())]
    NoName {
        /// The file.
        path: PathBuf,
    },
    /// A driver's own file is called otherwise than the driver.
    #[error("config file {}: the driver is called {name}, and so its file must be {name}.toml", .path.display())]
    FileName {
        /// The file.
        path: PathBuf,
        /// The driver's name.
        name: DriverName,
    },
    /// A driver is to be built in, but there is none of that name.
    #[error("config file {}: driver {name} has no component, and there is no built-in one of that name", .path.display())]
    NotBuiltIn {
        /// The file.
        path: PathBuf,
        /// The driver's name.
        name: DriverName,
    },
    /// Others could write what decides over rights.
    #[error("config file {} can be written by others than root; run chown root and chmod go-w on it", .path.display())]
    Writable {
        /// The file.
        path: PathBuf,
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
    /// Reads a config file, without a path the default one, which may be missing; and the
    /// drivers' own files in the folder beside it.
    pub fn load(path: Option<&Path>) -> Result<Self, Error> {
        let (path, must_exist) = match path {
            Some(path) => (path, true),
            None => (Path::new(DEFAULT_PATH), false),
        };
        let trust = Trust::new(path, TrustConfig::default());
        let mut config = Self { trust, ..Self::default() };
        if let Some((File { node, cluster, trust, drivers }, text)) =
            read::<File>(path, must_exist)?
        {
            config.cluster = ClusterOptions::new(node, cluster)
                .map_err(|error| place(path, &text, error.at, &error.message))?;
            config.trust = Trust::new(path, trust);
            for driver in drivers {
                let name = driver.name.clone();
                let name = name.ok_or_else(|| Error::NoName { path: path.to_owned() })?;
                config.add(path, name, &driver)?;
            }
        }
        for path in driver_files(path)? {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            if let Some((driver, _)) = read::<DriverConfig>(&path, true)? {
                let named = driver.name.clone().filter(|name| name.as_str() != stem);
                match (named, stem.parse::<DriverName>()) {
                    (None, Ok(name)) => config.add(&path, name, &driver)?,
                    (Some(name), _) => return Err(Error::FileName { path, name }),
                    (None, Err(_)) => return Err(Error::NoName { path }),
                }
            }
        }
        Ok(config)
    }

    fn add(&mut self, path: &Path, name: DriverName, driver: &DriverConfig) -> Result<(), Error> {
        let path = path.to_owned();
        if self.drivers.iter().any(|other| other.name == name) {
            return Err(Error::Twice { path, name });
        }
        match &driver.component {
            Some(component) => {
                // Not opened here: a named pipe would keep the daemon waiting.
                let looked_at = fs::metadata(component).and_then(|metadata| {
                    let is_file = metadata.is_file();
                    is_file.then_some(()).ok_or_else(|| io::Error::other("it is no file"))
                });
                looked_at.map_err(|source| Error::Component {
                    name: name.clone(),
                    path: component.clone(),
                    source,
                })?;
            }
            None if crate::builtin::find(&name).is_none() => {
                return Err(Error::NotBuiltIn { path, name });
            }
            None => {}
        }
        let (component, settings) = (driver.component.clone(), driver.settings(&name));
        self.drivers.push(Configured { name, component, settings });
        Ok(())
    }
}

/// The drivers' own files in the folder beside the config file, by name.
fn driver_files(config: &Path) -> Result<Vec<PathBuf>, Error> {
    let folder = config.with_file_name(DRIVERS);
    let read = |source| Error::Read { path: folder.clone(), source };
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(read(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(read)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads one file, and its text; none if it is not there and need not be.
fn read<T: DeserializeOwned>(path: &Path, must_exist: bool) -> Result<Option<(T, String)>, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let own = rustix::process::geteuid().as_raw();
    if ![0, own].contains(&metadata.uid()) || metadata.mode() & 0o022 != 0 {
        return Err(Error::Writable { path: path.to_owned() });
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    Ok(Some((parse(path, &text)?, text)))
}

fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, Error> {
    toml::from_str(text).map_err(|error| {
        place(path, text, error.span().map_or(0, |span| span.start), error.message())
    })
}

/// What is wrong at a place in a file.
fn place(path: &Path, text: &str, at: usize, message: &str) -> Error {
    let before = text.get(..at).unwrap_or(text);
    Error::Parse {
        path: path.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before.chars().rev().take_while(|c| *c != '\n').count() + 1,
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<File, String> {
        parse(Path::new("c.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn drivers_are_read() {
        let config = file(
            "[[driver]]\nname = \"acme\"\ncomponent = \"/a.wasm\"\n\
             [driver.grants]\nlinks = [\"bridge\"]\npublish = [\"80\", \"8000-8999\"]\n\
             [driver.limits]\nmemory = \"32MiB\"\ndeadline = \"500ms\"\nstore = \"1MiB\"\n\
             [driver.config]\nserver = \"one\"\n",
        );
        let driver = &config.unwrap().drivers[0];
        assert_eq!(driver.name.as_ref().unwrap().as_str(), "acme");
        let settings = driver.settings(driver.name.as_ref().unwrap());
        assert_eq!(settings.call_limits.memory, 32 << 20);
        assert_eq!(settings.call_limits.deadline.as_millis(), 500);
        assert_eq!(settings.limits.store_bytes, 1 << 20);
        assert_eq!(settings.grants.unwrap().publish.len(), 2);
        assert_eq!(settings.config["server"], "one");
        assert_eq!(file("").unwrap(), File::default());
    }

    #[test]
    fn a_strangers_driver_has_nothing_that_is_not_granted() {
        let config = file("[[driver]]\nname = \"acme\"\ncomponent = \"/a.wasm\"\n").unwrap();
        let settings =
            |file: &File| file.drivers[0].settings(file.drivers[0].name.as_ref().unwrap());
        assert_eq!(settings(&config).grants, Some(Default::default()));
        let built_in = file("[[driver]]\nname = \"wasm-bridge\"\n").unwrap();
        assert_eq!(settings(&built_in).grants, None, "what it asks for");
        let ipam = file("[[driver]]\nname = \"wasm-ipam\"\n").unwrap();
        assert_eq!(settings(&ipam).limits.store_bytes, 64 << 20, "room for its leases");
        let ipam = "[[driver]]\nname = \"wasm-ipam\"\nlimits = { store = \"1MiB\" }\n";
        assert_eq!(settings(&file(ipam).unwrap()).limits.store_bytes, 1 << 20);
    }

    fn cluster(text: &str) -> Result<ClusterOptions, String> {
        let File { node, cluster, .. } = file(text)?;
        ClusterOptions::new(node, cluster)
            .map_err(|error| place(Path::new("c.toml"), text, error.at, &error.message).to_string())
    }

    #[test]
    fn a_cluster_is_read() {
        let options = cluster(
            "[node]\nname = \"h1\"\naddress = \"192.0.2.1\"\n\
             [cluster]\nstore = \"etcd\"\nendpoints = [\"https://192.0.2.9:2379\"]\n\
             prefix = \"/x\"\nlease = 5\nca = \"/ca.pem\"\ncert = \"/c.pem\"\nkey = \"/k.pem\"\n\
             user = \"root\"\npassword-file = \"/p\"\n",
        )
        .unwrap();
        assert_eq!((options.name.as_str(), options.settings.lease.as_secs()), ("h1", 5));
        let StoreOptions::Etcd(etcd) = options.store else { panic!("embedded") };
        assert_eq!(etcd.endpoints, ["https://192.0.2.9:2379"]);
        assert!(etcd.certificate.is_some() && etcd.user.is_some());
        let default = cluster("").unwrap();
        assert!(matches!(default.store, StoreOptions::Embedded) && !default.name.is_empty());
        assert_eq!(default.settings.lease.as_secs(), 15);
    }

    #[test]
    fn mistakes_about_a_cluster_are_told_with_their_place() {
        let etcd = "[cluster]\nstore = \"etcd\"\nendpoints = [\"http://a:1\"]\n";
        for (text, place, says) in [
            ("[node]\naddress = \"host\"\n", "line 2, column 11", "not an address"),
            ("[node]\nname = \"a b\"\n", "line 2, column 8", "not a node's name"),
            ("[cluster]\nstore = \"consul\"\n", "line 2, column 9", "unknown variant"),
            ("[cluster]\nstore = \"etcd\"\n", "line 2, column 9", "needs endpoints"),
            ("[cluster]\nendpoints = [\"http://a:1\"]\n", "line 2, column 13", "\"etcd\" only"),
            ("[cluster]\nendpoints = [\"a:1\"]\n", "line 2, column 13", "not an endpoint"),
            ("[cluster]\nprefix = \"x\"\n", "line 2, column 10", "not a prefix"),
            ("[cluster]\nlease = 1\n", "line 2, column 9", "2 to 3600"),
            ("[cluster]\nleese = 1\n", "line 2, column 1", "unknown field"),
            (&format!("{etcd}cert = \"/c\"\n"), "line 4, column 8", "needs key"),
            (&format!("{etcd}key = \"/c\"\n"), "line 4, column 7", "needs cert"),
            (&format!("{etcd}user = \"u\"\n"), "line 4, column 8", "needs password-file"),
            (&format!("{etcd}password-file = \"/p\"\n"), "line 4, column 17", "needs user"),
        ] {
            let error = cluster(text).unwrap_err();
            assert!(error.contains(place) && error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        let begin = "[[driver]]\nname = \"acme\"\n";
        for (text, place, says) in [
            ("componnent = \"/a.wasm\"\n", "line 3, column 1", "unknown field `componnent`"),
            ("digest = \"sha256:12\"\n", "line 3, column 10", "is not a digest"),
            ("[driver.grants]\nlink = []\n", "line 4, column 1", "unknown field `link`"),
            ("[driver.grants]\nlinks = [\"tun\"]\n", "line 4, column 10", "unknown variant `tun`"),
            ("[driver.grants]\npublish = [\"0\"]\n", "line 4, column 11", "neither a port"),
            ("[driver.grants]\nadopt = [\"a/b\"]\n", "line 4, column 9", "pattern of names"),
            ("[driver.limits]\nmemory = \"1GiB\"\n", "line 4, column 10", "1 MiB to 64 MiB"),
            ("[driver.limits]\ndeadline = \"1h\"\n", "line 4, column 12", "10ms to 60s"),
        ] {
            let error = file(&format!("{begin}{text}")).unwrap_err();
            assert!(error.contains(place) && error.contains(says), "{text}: {error}");
        }
        let error = file("[[driver]]\nname = \"a/b\"\ncomponent = \"x\"\n").unwrap_err();
        assert!(error.contains("line 2") && error.contains("is not a driver name"), "{error}");
    }
}
