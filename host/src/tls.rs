//! Connections with TLS: whom the host trusts, and who it is to others.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_rustls::TlsConnector;

/// Whom the host trusts.
const TRUSTED: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Why TLS cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{} has no {what} in PEM", .path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should have.
        what: &'static str,
    },
    /// The certificate cannot be used.
    #[error("the certificates cannot be used")]
    Tls(#[source] rustls::Error),
}

/// What connections with TLS are made with.
pub(crate) struct Tls {
    ca: Option<PathBuf>,
    certificate: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

// === impl Tls ===

impl Tls {
    /// Trusts the authorities in a PEM file, or with none whom the host trusts; shows a
    /// certificate, if there is one, whose key is in a second file.
    pub(crate) fn load(
        ca: Option<&Path>,
        certificate: Option<&(PathBuf, PathBuf)>,
    ) -> Result<Self, Error> {
        let certificate = certificate.map(|(certificate, key)| {
            let bytes = read(key)?;
            let secret = PrivateKeyDer::from_pem_slice(&bytes)
                .map_err(|_| Error::Pem { path: key.clone(), what: "private key" })?;
            Ok::<_, Error>((certificates(certificate)?, secret))
        });
        Ok(Self { ca: ca.map(Path::to_owned), certificate: certificate.transpose()? })
    }

    /// What makes the connections.
    pub(crate) fn connector(&self) -> Result<TlsConnector, Error> {
        let mut roots = RootCertStore::empty();
        let file = self.ca.as_deref().unwrap_or(Path::new(TRUSTED));
        roots.add_parsable_certificates(certificates(file)?);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(Error::Tls)?
            .with_root_certificates(roots);
        let config = match &self.certificate {
            Some((certificate, key)) => config
                .with_client_auth_cert(certificate.clone(), key.clone_key())
                .map_err(Error::Tls)?,
            None => config.with_no_client_auth(),
        };
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

/// The bytes of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let bytes = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.ok().filter(|found| !found.is_empty());
    found.ok_or_else(|| Error::Pem { path: path.to_owned(), what: "certificate" })
}
