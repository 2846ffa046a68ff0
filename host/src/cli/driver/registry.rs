//! Components in registries, in the layout that other tools for WebAssembly use too: an image
//! whose one layer is the component
//! (<https://tag-runtime.cncf.io/wgs/wasm/deliverables/wasm-oci-artifact/>).
//!
//! A signature stands in an annotation of the manifest, where tools that do not know it leave
//! it alone. Registries are spoken with over TLS, and without only on this host itself.

use std::{collections::BTreeMap, time::SystemTime};

use base64::{Engine, prelude::BASE64_STANDARD};
use docker_credential::{CredentialRetrievalError, DockerCredential};
use oci_client::{
    Client, Reference,
    client::{ClientConfig, ClientProtocol, Config, ImageLayer},
    errors::OciDistributionError,
    manifest::{OCI_IMAGE_MEDIA_TYPE, OciImageManifest, OciManifest},
    secrets::RegistryAuth,
};
use serde_json::json;

use super::source::Fetched;
use crate::runtime::{COMPONENT_MAX, Facts};

/// The one layer of a component's image.
const LAYER: &str = "application/wasm";
/// What its config is.
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// What an image is called, and the file that a layer is.
const TITLE: &str = "org.opencontainers.image.title";
/// Where the signature stands.
const SIGNATURE: &str = "dev.wasmnet.minisig";

/// Why a component does not come from a registry, or does not get there.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum Error {
    /// It is no reference.
    #[error("\"{0}\" is no reference as in oci://registry.example/drivers/acme:1.0")]
    Reference(String, #[source] oci_client::ParseError),
    /// Docker's config cannot be used.
    #[error("cannot get the registry's credentials from Docker's config")]
    Credentials(#[source] CredentialRetrievalError),
    /// The registry does not give it.
    #[error("cannot pull {reference}")]
    Pull {
        /// What.
        reference: String,
        /// Why.
        #[source]
        source: OciDistributionError,
    },
    /// The registry does not take it.
    #[error("cannot push {reference}")]
    Push {
        /// What.
        reference: String,
        /// Why.
        #[source]
        source: OciDistributionError,
    },
    /// It is something else.
    #[error("{0} is no WebAssembly component: an image with one layer of type {LAYER}")]
    NotAComponent(String),
    /// It is too large.
    #[error("{0} is larger than {limit} MiB, the most that is accepted", limit = COMPONENT_MAX >> 20)]
    TooLarge(String),
    /// It cannot be written down.
    #[error("cannot describe the component")]
    Describe(#[source] serde_json::Error),
}

/// Pulls a component. The client checks the bytes against the manifest's digest.
pub(super) async fn pull(text: &str) -> Result<Fetched, Error> {
    let reference = parse(text)?;
    let auth = credentials(&reference)?;
    let client = client(&reference);
    let failed = |source| Error::Pull { reference: text.to_owned(), source };
    let (manifest, _digest) = client.pull_manifest(&reference, &auth).await.map_err(failed)?;
    let OciManifest::Image(manifest) = manifest else {
        return Err(Error::NotAComponent(text.to_owned()));
    };
    let [layer] = manifest.layers.as_slice() else {
        return Err(Error::NotAComponent(text.to_owned()));
    };
    if layer.media_type != LAYER {
        return Err(Error::NotAComponent(text.to_owned()));
    }
    if usize::try_from(layer.size).is_ok_and(|size| size > COMPONENT_MAX) {
        return Err(Error::TooLarge(text.to_owned()));
    }
    let mut bytes = Vec::new();
    client.pull_blob(&reference, layer, &mut bytes).await.map_err(failed)?;
    let signature = manifest.annotations.and_then(|mut all| all.remove(SIGNATURE));
    let signature = signature.map(|text| BASE64_STANDARD.decode(text).unwrap_or_default());
    let signature = signature.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ok(Fetched { bytes, signature })
}

/// Pushes a component and says what it can be pulled as, whatever its tag will be.
pub(super) async fn push(fetched: &Fetched, seen: &Facts, text: &str) -> Result<String, Error> {
    let reference = parse(text)?;
    let auth = credentials(&reference)?;
    let (imports, exports) = (seen.import_names(), seen.export_names());
    let config = json!({
        "created": humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [format!("sha256:{}", seen.digest)],
        "component": { "imports": imports, "exports": exports, "target": null },
    });
    let config = serde_json::to_vec(&config).map_err(Error::Describe)?;
    let config = Config::new(config, CONFIG.to_owned(), None);
    let manifest = seen.manifest.clone().unwrap_or_default();
    // A layer's title is the name of its file: `oras pull` leaves out what has none.
    let stem = if manifest.name.is_empty() { "component" } else { &manifest.name };
    let file = BTreeMap::from([(TITLE.to_owned(), format!("{stem}.wasm"))]);
    let layers = [ImageLayer::new(fetched.bytes.clone(), LAYER.to_owned(), Some(file))];
    let mut annotations = BTreeMap::from([
        (TITLE.to_owned(), manifest.name),
        ("org.opencontainers.image.version".to_owned(), manifest.version),
        ("org.opencontainers.image.description".to_owned(), manifest.description),
    ]);
    if let Some(signature) = &fetched.signature {
        // Canonical JSON has no line breaks in texts.
        annotations.insert(SIGNATURE.to_owned(), BASE64_STANDARD.encode(signature));
    }
    let mut manifest = OciImageManifest::build(&layers, &config, Some(annotations));
    // What says what it is only by the way it is sent is nothing to `wkg`.
    manifest.media_type = Some(OCI_IMAGE_MEDIA_TYPE.to_owned());
    let client = client(&reference);
    let failed = |source| Error::Push { reference: text.to_owned(), source };
    client.push(&reference, &layers, config, &auth, Some(manifest)).await.map_err(failed)?;
    let (_, digest) = client.pull_manifest(&reference, &auth).await.map_err(failed)?;
    Ok(format!("{}/{}@{digest}", reference.registry(), reference.repository()))
}

fn parse(text: &str) -> Result<Reference, Error> {
    text.parse().map_err(|source| Error::Reference(text.to_owned(), source))
}

fn client(reference: &Reference) -> Client {
    // Whoever is first decides for the process; there is only one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let registry = reference.resolve_registry().to_owned();
    let protocol = match is_here(&registry) {
        true => ClientProtocol::HttpsExcept(vec![registry]),
        false => ClientProtocol::Https,
    };
    Client::new(ClientConfig { protocol, ..ClientConfig::default() })
}

/// Whether a registry is on this host, so that nobody is between.
fn is_here(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _port)| host);
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// What Docker's user has logged in with.
fn credentials(reference: &Reference) -> Result<RegistryAuth, Error> {
    use CredentialRetrievalError as Why;
    match docker_credential::get_credential(reference.resolve_registry()) {
        Ok(DockerCredential::UsernamePassword(user, password)) => {
            Ok(RegistryAuth::Basic(user, password))
        }
        Ok(DockerCredential::IdentityToken(token)) => Ok(RegistryAuth::Bearer(token)),
        Err(Why::ConfigNotFound | Why::ConfigReadError | Why::NoCredentialConfigured) => {
            Ok(RegistryAuth::Anonymous)
        }
        Err(error) => Err(Error::Credentials(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_host_is_spoken_with_in_the_clear() {
        for here in ["localhost:5000", "localhost", "127.0.0.1:5000", "127.9.9.9", "[::1]:5000"] {
            assert!(is_here(here), "{here}");
        }
        for away in ["registry.example", "192.0.2.1:5000", "localhost.example", "127.0.0.1.example"]
        {
            assert!(!is_here(away), "{away}");
        }
    }
}
