//! Where components come from.

use std::{fs, io, path::PathBuf};

use wasmparser::{Encoding, Parser, Payload};

use crate::runtime::COMPONENT_MAX;

/// What a reference to a registry begins with.
const OCI: &str = "oci://";

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum Error {
    /// The file cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is too much of it.
    #[error("the component is larger than {} MiB, the most that is accepted", COMPONENT_MAX >> 20)]
    TooLarge,
    /// Registries are not spoken with yet.
    #[error("{0}: registries cannot be used yet; get the component's file by other means")]
    Registry(String),
}

/// Whether this is a reference to a registry.
pub(super) fn is_reference(what: &str) -> bool {
    what.starts_with(OCI)
}

/// The bytes of a component.
pub(super) async fn fetch(from: &str) -> Result<Vec<u8>, Error> {
    if is_reference(from) {
        return Err(Error::Registry(from.to_owned()));
    }
    let path = PathBuf::from(from);
    let bytes = fs::read(&path).map_err(|source| Error::Read { path, source })?;
    if bytes.len() > COMPONENT_MAX { Err(Error::TooLarge) } else { Ok(bytes) }
}

/// What a component imports of the contract ("links", "firewall"); none if it is no
/// component. Only read, not run.
pub(super) fn imports(bytes: &[u8]) -> Option<Vec<String>> {
    let (mut imports, mut depth, mut component) = (Vec::new(), 0_usize, false);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.ok()? {
            Payload::Version { encoding: Encoding::Component, .. } if depth == 0 => {
                component = true;
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    imports.push(import.ok()?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    let ours = |name: String| {
        let rest = name.strip_prefix("wasmnet:driver/")?;
        Some(rest.split('@').next().unwrap_or(rest).to_owned())
    };
    component.then(|| imports.into_iter().filter_map(ours).collect())
}
