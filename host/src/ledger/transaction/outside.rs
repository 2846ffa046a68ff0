//! What a call can learn of the engine and the host.

use futures::FutureExt;
use ipnet::IpNet;

use super::{Transaction, TxError};
use crate::{grants::Request, resolvers};

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
                shared.permit(&mut inner, Request::HostNetworks)?;
                let mut networks = shared.kernel.networks().await.map_err(TxError::Kernel)?;
                networks.extend(resolvers::find().into_iter().map(IpNet::from));
                Ok(IpNet::aggregate(&networks.into_iter().collect::<Vec<_>>()))
            }
            .boxed()
        })
        .await
    }
}
