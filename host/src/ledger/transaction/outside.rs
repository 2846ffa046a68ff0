//! What a call can learn of the engine, the host and the world.

use std::{
    io::Read,
    path::{Component, Path},
};

use futures::FutureExt;
use ipnet::IpNet;

use super::{Transaction, TxError};
use crate::{
    grants::Request as Permit,
    outbound::{self, Request, Response, Target},
    resolvers,
};

/// The longest file that a driver may read, in bytes.
const FILE_MAX: u64 = 1 << 20;

// === impl Transaction ===

impl Transaction {
    /// How often the engine has begun to speak with the driver.
    pub fn engine_session(&self) -> u64 {
        let state = self.shared.ledger.read();
        state.sessions.get(&self.shared.driver).copied().unwrap_or_default()
    }

    /// The networks that the host itself uses: those of its routes, its addresses and its
    /// name servers; none lies within another.
    pub async fn host_networks(&self) -> Result<Vec<IpNet>, TxError> {
        self.step(|shared, mut inner| {
            async move {
                shared.permit(&mut inner, Permit::HostNetworks)?;
                let mut networks = shared.kernel.networks().await.map_err(TxError::Kernel)?;
                networks.extend(resolvers::find().into_iter().map(IpNet::from));
                Ok(IpNet::aggregate(&networks.into_iter().collect::<Vec<_>>()))
            }
            .boxed()
        })
        .await
    }

    /// Sends an HTTP request and waits for the answer.
    pub async fn send(&self, request: Request) -> Result<Response, TxError> {
        let target = Target::of(&request)?;
        {
            let mut inner = self.inner.lock().await;
            self.shared.permit(&mut inner, Permit::Http(&target.host, target.port))?;
        }
        if self.shared.rehearsed && !["GET", "HEAD"].contains(&request.method.as_str()) {
            return Err(TxError::HttpInPlan(request.method));
        }
        let _waiting = self.shared.waited.begin();
        self.shared.detached(async move { Ok(outbound::send(target, request).await?) }).await
    }

    /// The bytes of a file of the host.
    pub async fn read_file(&self, path: &str) -> Result<Vec<u8>, TxError> {
        let plain = Path::new(path).is_absolute()
            && !path.contains(['\0', '*'])
            && Path::new(path)
                .components()
                .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        if !plain {
            return Err(TxError::FilePath(path.to_owned()));
        }
        let mut inner = self.inner.lock().await;
        self.shared.permit(&mut inner, Permit::File(path))?;
        let failed = |error| TxError::File(path.to_owned(), error);
        // A link may lead to where the operator has granted nothing.
        let real = std::fs::canonicalize(path).map_err(failed)?;
        let real = real.to_str().ok_or_else(|| TxError::FilePath(path.to_owned()))?;
        if real != path {
            self.shared.permit(&mut inner, Permit::File(real))?;
        }
        let file = std::fs::File::open(real).map_err(failed)?;
        let facts = file.metadata().map_err(failed)?;
        if !facts.is_file() {
            return Err(TxError::FilePath(path.to_owned()));
        }
        let mut bytes = Vec::new();
        file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_MAX {
            return Err(TxError::FileTooLong(path.to_owned(), FILE_MAX));
        }
        Ok(bytes)
    }
}
