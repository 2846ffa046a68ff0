//! What a call would do, without doing it.
//!
//! The driver is asked as ever, with its grants and limits, but on a kernel in memory
//! and a ledger that nobody keeps.

use std::{net::Ipv4Addr, sync::Arc};

use super::{Dispatcher, Error};
use crate::{
    grants::{About, Authority},
    id::DriverName,
    kernel::{Beside, Link, LinkKind, Object, Simulated},
    ledger::{Caller, Ledger, Scope, Transaction, TxError},
    model::Network,
    runtime::CallError,
    store::Store,
};

// === impl Dispatcher ===

impl Dispatcher {
    /// The objects that making a network would make, in order.
    pub async fn plan_network(
        &self,
        name: &DriverName,
        network: &Network,
    ) -> Result<Vec<Object>, Error> {
        let failed = |error| Error::Call(CallError::Transaction(error));
        let kernel = self.likeness().await.map_err(TxError::Kernel).map_err(failed)?;
        let store = Store::in_memory().map_err(|error| failed(TxError::Ledger(error.into())))?;
        let ledger = Ledger::open(store).map_err(|error| failed(TxError::Ledger(error)))?;
        let driver = self.driver(name)?;
        let caller = Caller {
            driver: name.clone(),
            scope: Some(Scope::network(name.clone(), network.id.clone())),
            limits: driver.settings.limits,
            authority: Authority::new(Arc::clone(&driver.permits), About::from(network)),
            events: None,
            cluster: self.cluster().map(|cluster| Arc::new(cluster.rehearsal())),
            rehearsed: true,
        };
        let transaction = Transaction::begin(Arc::new(kernel), Arc::new(ledger), caller);
        let answer = driver.create_network(self.call(&driver, &transaction), network).await;
        let changes = transaction.changes().await;
        transaction.roll_back().await;
        driver.judge(answer)?;
        let mut made: Vec<_> = changes.objects.into_values().flatten().collect();
        made.sort_by_key(|entry| entry.sequence);
        Ok(made.into_iter().map(|entry| entry.object).collect())
    }

    /// A kernel in memory with the links that there are, which a network may want to use.
    async fn likeness(&self) -> Result<Simulated, crate::kernel::Error> {
        let snapshot = self.kernel.look(&Beside::default()).await?;
        let kernel = Simulated::default();
        for (name, is) in &snapshot.links {
            let link = Link { mac: is.mac, up: is.up, ..Link::bridge(name.clone()) };
            kernel.gain_link(match is.kind.as_str() {
                "bridge" => link,
                // Whatever it is: nothing that a network could use as its bridge.
                _ => {
                    let local = Ipv4Addr::UNSPECIFIED.into();
                    let kind = LinkKind::Vxlan { vni: 0, port: 0, local };
                    Link { kind, mtu: Some(is.mtu), ..link }
                }
            });
        }
        Ok(kernel)
    }
}
