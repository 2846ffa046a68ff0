//! Whose components are loaded: minisign signatures and the operator's keys.
//!
//! A signature is a file beside the component, with `.minisig` behind its name. It is looked
//! at whenever the component is loaded, and not only when it is installed: who can change the
//! one file can change the other, but cannot sign it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use minisign_verify::{PublicKey, Signature};
use serde::Deserialize;

/// What is behind a component's name in that of its signature.
pub const EXTENSION: &str = "minisig";
/// The folder beside the config file with the keys that are trusted, one a file.
const KEYS: &str = "trust.d";

/// `[trust]` of the config file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrustConfig {
    /// Whether a component that no trusted key has signed is refused.
    pub require_signature: bool,
    /// The folder with the keys; none: `trust.d` beside the config file.
    pub keys: Option<PathBuf>,
}

/// Who is trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    required: bool,
    keys: PathBuf,
}

/// Why a component is not trusted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It has no signature.
    #[error(
        "it is not signed, and the config says require-signature = true; sign it with minisign, \
         or install it from where it is signed"
    )]
    Unsigned,
    /// The signature is another one's, or another file's.
    #[error("its signature is by none of the keys in {}", .0.display())]
    Untrusted(PathBuf),
    /// The signature is none.
    #[error("its signature cannot be read: it is none of minisign's")]
    Signature(#[source] minisign_verify::Error),
    /// A key is none.
    #[error("{} is no public key of minisign's", .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: minisign_verify::Error,
    },
    /// A file cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

// === impl Trust ===

impl Trust {
    /// As the config file at `config` says.
    pub fn new(config: &Path, trust: TrustConfig) -> Self {
        let TrustConfig { require_signature: required, keys } = trust;
        Self { required, keys: keys.unwrap_or_else(|| config.with_file_name(KEYS)) }
    }

    /// Who has signed the component in a file, if somebody has: the name of the key's file.
    pub fn check_file(&self, component: &Path, bytes: &[u8]) -> Result<Option<String>, Error> {
        let path = signature_of(component);
        match fs::read_to_string(&path) {
            Ok(signature) => self.check(bytes, Some(&signature)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.check(bytes, None),
            Err(source) => Err(Error::Read { path, source }),
        }
    }

    /// Who has signed these bytes. A signature that is there must be right, required or not.
    pub fn check(&self, bytes: &[u8], signature: Option<&str>) -> Result<Option<String>, Error> {
        let Some(signature) = signature else {
            return if self.required { Err(Error::Unsigned) } else { Ok(None) };
        };
        let signature = Signature::decode(signature).map_err(Error::Signature)?;
        for (name, key) in self.keys()? {
            if key.verify(bytes, &signature, false).is_ok() {
                return Ok(Some(name));
            }
        }
        Err(Error::Untrusted(self.keys.clone()))
    }

    fn keys(&self) -> Result<Vec<(String, PublicKey)>, Error> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Read { path, source }
        };
        let entries = match fs::read_dir(&self.keys) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(failed(&self.keys)(source)),
        };
        let mut keys = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed(&self.keys))?.path();
            if path.extension().is_some_and(|extension| extension == "pub") {
                let text = fs::read_to_string(&path).map_err(failed(&path))?;
                let key = PublicKey::decode(&text)
                    .map_err(|source| Error::Key { path: path.clone(), source })?;
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                keys.push((name, key));
            }
        }
        Ok(keys)
    }
}

/// Where a component's signature is.
pub fn signature_of(component: &Path) -> PathBuf {
    let mut name = component.as_os_str().to_owned();
    name.push(".");
    name.push(EXTENSION);
    name.into()
}
