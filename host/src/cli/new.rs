//! `wasmnet new`: the crate of a new driver.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{
    args::{New, Template},
    output,
};

/// The line of a template that says where the SDK is in this repository.
const SDK_HERE: &str = "wasmnet-sdk = { path = \"../../sdk\" }";
/// The version of the released SDK that goes with this program.
const SDK_VERSION: &str = env!("CARGO_PKG_VERSION");
/// Makes a crate that lies anywhere one for itself, with a profile for components.
const STANDALONE: &str = include_str!("../../../templates/standalone.toml");
/// What cargo makes.
const IGNORED: &str = "/target\n";

/// Longest name: that of a driver, which is also a file's.
const NAME_MAX: usize = 64;
/// Names that cargo or Rust keeps for itself, or that the crate's dependencies have.
const RESERVED: [&str; 60] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "ipnet",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "wasmnet-sdk",
    "where",
    "while",
    "wit-bindgen",
    "yield",
    "build",
];

/// Why no crate was made.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The name will not do.
    #[error(
        "\"{}\" cannot be a driver's name: use 1 to {NAME_MAX} small letters, digits and dashes, beginning with a letter", .0.escape_default()
    )]
    Name(String),
    /// The name is taken.
    #[error("a driver cannot be called \"{0}\": Rust or the SDK has that name for itself")]
    Reserved(String),
    /// There is something of this name.
    #[error("{} is there already; choose another name or remove it", .0.display())]
    Exists(PathBuf),
    /// There is no SDK.
    #[error("there is no SDK at {}: name a checkout of wasmnet, or its folder sdk", .0.display())]
    Sdk(PathBuf),
    /// A file cannot be written.
    #[error("cannot write {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
    /// The terminal is gone.
    #[error("cannot print")]
    Print(#[from] io::Error),
}

/// A template's files.
struct Files {
    /// What it is called in the repository.
    name: &'static str,
    manifest: &'static str,
    readme: &'static str,
    lib: &'static str,
    tests: &'static str,
}

macro_rules! files {
    ($name:literal) => {
        Files {
            name: concat!("template-", $name),
            manifest: include_str!(concat!("../../../templates/", $name, "/Cargo.toml")),
            readme: include_str!(concat!("../../../templates/", $name, "/README.md")),
            lib: include_str!(concat!("../../../templates/", $name, "/src/lib.rs")),
            tests: include_str!(concat!("../../../templates/", $name, "/src/tests.rs")),
        }
    };
}

/// Makes a crate in a new folder and says what to do with it.
pub(super) fn run(options: &New, json: bool) -> Result<(), Error> {
    let New { name, template, sdk } = options;
    check(name)?;
    let sdk = match sdk {
        None => format!("wasmnet-sdk = \"{SDK_VERSION}\""),
        Some(path) => {
            let path = toml::Value::String(find_sdk(path)?.display().to_string());
            format!("wasmnet-sdk = {{ path = {path} }}")
        }
    };
    let folder = PathBuf::from(name);
    match fs::create_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(Error::Exists(folder));
        }
        made => made.map_err(|error| Error::Write(folder.clone(), error))?,
    }
    let files = template.files().render(name, &sdk);
    for (path, text) in &files {
        let path = folder.join(path);
        if let Err(error) = write(&path, text) {
            // The folder is ours: it was not there before.
            let _ = fs::remove_dir_all(&folder);
            return Err(Error::Write(path, error));
        }
    }
    if json {
        let files: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
        return Ok(output::json(&json!({ "folder": folder, "files": files }))?);
    }
    Ok(output::lines(&format!(
        "made {name}. Next:\n\n    cd {name}\n    cargo test\n    cargo build --release --target wasm32-wasip2\n    \
         wasmnet conformance target/wasm32-wasip2/release/{}.wasm",
        name.replace('-', "_")
    ))?)
}

fn check(name: &str) -> Result<(), Error> {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let fits = name.len() <= NAME_MAX
        && name.bytes().next().is_some_and(|first| first.is_ascii_lowercase())
        && name.bytes().all(word);
    if !fits {
        return Err(Error::Name(name.to_owned()));
    }
    match RESERVED.contains(&name) {
        true => Err(Error::Reserved(name.to_owned())),
        false => Ok(()),
    }
}

/// The SDK's folder, of a checkout or itself.
fn find_sdk(path: &Path) -> Result<PathBuf, Error> {
    let is_sdk = |folder: &Path| {
        let manifest = fs::read_to_string(folder.join("Cargo.toml"));
        manifest.is_ok_and(|text| text.contains("name = \"wasmnet-sdk\""))
    };
    let folders = [path.to_owned(), path.join("sdk")];
    let found = folders.iter().find(|folder| is_sdk(folder));
    let found = found.and_then(|folder| folder.canonicalize().ok());
    found.ok_or_else(|| Error::Sdk(path.to_owned()))
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)
}

// === impl Template ===

impl Template {
    fn files(self) -> Files {
        match self {
            Self::Bridge => files!("bridge"),
            Self::Ipam => files!("ipam"),
            Self::Blank => files!("blank"),
        }
    }
}

// === impl Files ===

impl Files {
    /// The files of a crate of this name, by their paths in it.
    fn render(&self, name: &str, sdk: &str) -> Vec<(&'static str, String)> {
        let named = |text: &str| {
            text.replace(self.name, name)
                .replace(&self.name.replace('-', "_"), &name.replace('-', "_"))
        };
        let manifest = named(self.manifest).replace(SDK_HERE, sdk) + STANDALONE;
        vec![
            ("Cargo.toml", manifest),
            ("README.md", named(self.readme)),
            (".gitignore", IGNORED.to_owned()),
            ("src/lib.rs", named(self.lib)),
            ("src/tests.rs", named(self.tests)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cargo_or_docker_would_not_take_are_refused() {
        for wrong in ["", "Acme", "1st", "a/b", "..", "a_b", "-a", "a b", "ä", &"a".repeat(65)] {
            assert!(matches!(check(wrong), Err(Error::Name(_))), "{wrong}");
        }
        for reserved in ["fn", "std", "test", "wasmnet-sdk"] {
            assert!(matches!(check(reserved), Err(Error::Reserved(_))), "{reserved}");
        }
        check("acme-net2").unwrap();
    }

    #[test]
    fn nothing_of_the_repository_is_left_in_a_crate() {
        for template in [Template::Bridge, Template::Ipam, Template::Blank] {
            for (path, text) in template.files().render("acme", "wasmnet-sdk = \"1\"") {
                assert!(!text.contains("template"), "{path}: {text}");
                assert!(!text.contains("../"), "{path}: {text}");
            }
        }
    }
}
