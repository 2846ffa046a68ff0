//! Who the members are, and who we are to them.

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

use super::{Options, http::InvalidEndpoint};

/// Whom the host trusts.
const TRUSTED: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Why etcd cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// An endpoint is none.
    #[error(transparent)]
    Endpoint(#[from] InvalidEndpoint),
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
    #[error("the certificates for the cluster store cannot be used")]
    Tls(#[source] rustls::Error),
}

/// What connections with TLS are made with.
pub(super) struct Tls {
    ca: Option<PathBuf>,
    certificate: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

// === impl Tls ===

impl Tls {
    pub(super) fn load(options: &Options) -> Result<Self, SetupError> {
        let certificate = options.certificate.as_ref().map(|(certificate, key)| {
            let bytes = read(key)?;
            let secret = PrivateKeyDer::from_pem_slice(&bytes)
                .map_err(|_| SetupError::Pem { path: key.clone(), what: "private key" })?;
            Ok::<_, SetupError>((certificates(certificate)?, secret))
        });
        Ok(Self { ca: options.ca.clone(), certificate: certificate.transpose()? })
    }

    pub(super) fn connector(&self) -> Result<TlsConnector, SetupError> {
        let mut roots = RootCertStore::empty();
        let file = self.ca.as_deref().unwrap_or(Path::new(TRUSTED));
        roots.add_parsable_certificates(certificates(file)?);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(SetupError::Tls)?
            .with_root_certificates(roots);
        let config = match &self.certificate {
            Some((certificate, key)) => config
                .with_client_auth_cert(certificate.clone(), key.clone_key())
                .map_err(SetupError::Tls)?,
            None => config.with_no_client_auth(),
        };
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

/// The bytes of a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, SetupError> {
    fs::read(path).map_err(|source| SetupError::Read { path: path.to_owned(), source })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    let bytes = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.ok().filter(|found| !found.is_empty());
    found.ok_or_else(|| SetupError::Pem { path: path.to_owned(), what: "certificate" })
}
