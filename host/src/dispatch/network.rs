//! Networks, and what is about no network in particular.

use std::sync::Arc;

use super::{Dispatcher, Error, Order, now};
use crate::{
    id::{DriverName, NetworkId},
    ledger::{EndpointKey, NetworkRecord, Scope},
    model::{Network, Node, Options, Pool},
};

/// The address spaces of the engine's own IPAM, in which no two networks overlap.
const ENGINES_OWN: [&str; 2] = ["LocalDefault", "GlobalDefault"];

// === impl Dispatcher ===

impl Dispatcher {
    /// Whether the engine should skip the IPv4 and the IPv6 gateway.
    pub async fn gateway_allocation(
        &self,
        name: &DriverName,
        options: &Options,
    ) -> Result<(bool, bool), Error> {
        let transaction = self.begin(name, None, None);
        let driver = self.driver(name)?;
        let answer = driver.gateway_allocation(self.call(&driver, &transaction), options).await;
        let skip = driver.judge(answer);
        transaction.roll_back().await;
        Ok(skip?)
    }

    /// Allots what a network needs on all nodes of a Swarm.
    pub async fn allocate_network(
        &self,
        name: &DriverName,
        id: &NetworkId,
        options: &Options,
        ipv4: &[Pool],
        ipv6: &[Pool],
    ) -> Result<Options, Error> {
        let order = self.lock_network(id).await;
        let driver = self.driver(name)?;
        let transaction = self.begin(name, None, None);
        let call = self.call(&driver, &transaction);
        let answer = driver.allocate_network(call, id.as_str(), options, ipv4, ipv6).await;
        let options = self.settle(&transaction, &order, driver.judge(answer)).await?;
        self.commit(&transaction).await?;
        Ok(options)
    }

    /// Gives it back.
    pub async fn free_network(&self, name: &DriverName, id: &NetworkId) -> Result<(), Error> {
        let order = self.lock_network(id).await;
        let driver = self.driver(name)?;
        let transaction = self.begin(name, None, None);
        let answer = driver.free_network(self.call(&driver, &transaction), id.as_str()).await;
        self.settle(&transaction, &order, driver.judge(answer)).await?;
        self.commit(&transaction).await
    }

    /// Makes a network.
    pub async fn create_network(&self, name: &DriverName, network: Network) -> Result<(), Error> {
        let order = self.lock_network(&network.id).await;
        let existing = self.ledger.read().networks.get(&network.id).cloned();
        if let Some(record) = existing {
            let repeated = record.driver == *name && record.network == network;
            return if repeated { Ok(()) } else { Err(Error::NetworkExists(network.id)) };
        }
        self.delete_displaced(name, &network).await;
        let driver = self.driver(name)?;
        let id = network.id.clone();
        let transaction =
            self.begin(name, Some(Scope::network(name.clone(), id.clone())), Some(&network));
        let answer = driver.create_network(self.call(&driver, &transaction), &network).await;
        self.settle(&transaction, &order, driver.judge(answer)).await?;
        let record = NetworkRecord { driver: name.clone(), network, created: now() };
        transaction.set_network(id.clone(), Some(record)).await;
        self.commit(&transaction).await?;
        tracing::info!(driver = %name, network = %id, "network created");
        Ok(())
    }

    /// Deletes networks whose subnet the engine now gives to another: it has deleted them,
    /// and that call was lost with a daemon that died. It asks only once.
    async fn delete_displaced(&self, name: &DriverName, new: &Network) {
        let displaced: Vec<NetworkId> = {
            let state = self.ledger.read();
            let joined = |id: &NetworkId| {
                state.endpoints_of(id).any(|(_, endpoint)| endpoint.joined.is_some())
            };
            state
                .networks
                .iter()
                .filter(|(_, record)| record.driver == *name && displaces(new, &record.network))
                .map(|(id, _)| id.clone())
                .filter(|id| !joined(id))
                .collect()
        };
        for id in displaced {
            tracing::warn!(driver = %name, network = %id, by = %new.id, "stale network removed: its subnet was given to another");
            if let Err(error) = self.delete_network(name, &id).await {
                tracing::warn!(error = %crate::error::chain(&error), "while removing a stale network");
            }
        }
    }

    /// Deletes a network with everything in it, even if the driver fails.
    pub async fn delete_network(&self, name: &DriverName, id: &NetworkId) -> Result<(), Error> {
        let _order = self.lock_network(id).await;
        let Some(record) = self.network_record(name, id) else { return Ok(()) };
        let scope = Scope::network(name.clone(), id.clone());
        let begin = || self.begin(name, Some(scope.clone()), Some(&record.network));
        let transaction = begin();
        let asked = match self.driver(name) {
            Ok(driver) => {
                let call = self.call(&driver, &transaction);
                let answer = driver.delete_network(call, &record.network).await;
                driver.judge(answer).map_err(Error::from)
            }
            Err(error) => Err(error),
        };
        let (transaction, failure) = self.insist(transaction, asked, begin).await;
        transaction.sweep(&scope).await;
        let endpoints: Vec<_> =
            self.ledger.read().endpoints_of(id).map(|(endpoint, _)| endpoint.clone()).collect();
        for endpoint in endpoints {
            transaction.set_endpoint(EndpointKey { network: id.clone(), endpoint }, None).await;
        }
        transaction.set_network(id.clone(), None).await;
        self.commit(&transaction).await?;
        tracing::info!(driver = %name, network = %id, "network deleted");
        forced(name, "delete-network", failure)
    }

    /// Tells a driver about a Swarm node.
    pub async fn discover(
        &self,
        name: &DriverName,
        node: Node,
        appeared: bool,
    ) -> Result<(), Error> {
        let driver = self.driver(name)?;
        // It is about no network, so there is nothing that could get out of order.
        let order: Order = Arc::new(());
        let transaction = self.begin(name, None, None);
        let answer = driver.discover(self.call(&driver, &transaction), node, appeared).await;
        self.settle(&transaction, &order, driver.judge(answer)).await?;
        self.commit(&transaction).await
    }

    /// Tells a network's driver that the host has made its objects again.
    pub async fn restore_network(&self, id: &NetworkId) -> Result<(), Error> {
        let order = self.lock_network(id).await;
        let Some(record) = self.ledger.read().networks.get(id).cloned() else { return Ok(()) };
        let driver = self.driver(&record.driver)?;
        let scope = Scope::network(record.driver.clone(), id.clone());
        let transaction = self.begin(&record.driver, Some(scope), Some(&record.network));
        let answer =
            driver.restore_network(self.call(&driver, &transaction), &record.network).await;
        self.settle(&transaction, &order, driver.judge(answer)).await?;
        self.commit(&transaction).await
    }

    /// A network of this driver.
    pub(super) fn network_record(
        &self,
        name: &DriverName,
        id: &NetworkId,
    ) -> Option<NetworkRecord> {
        self.ledger.read().networks.get(id).filter(|record| record.driver == *name).cloned()
    }

    /// A network of this driver, or the error that says how to get it back.
    pub(super) fn need_network(
        &self,
        name: &DriverName,
        id: &NetworkId,
    ) -> Result<NetworkRecord, Error> {
        self.network_record(name, id)
            .ok_or_else(|| Error::NoNetwork { driver: name.clone(), network: id.clone() })
    }
}

/// Whether the engine could not have given `new` its subnets while it had the other. That is
/// so where its own IPAM gives them out; others may have their reasons. It lets two networks
/// share a subnet if their ranges differ, but never a gateway's address.
fn displaces(new: &Network, other: &Network) -> bool {
    let clash = |new: &Pool, other: &Pool| {
        let overlap = other.subnet.contains(&new.subnet) || new.subnet.contains(&other.subnet);
        let shared =
            new.subnet == other.subnet && (new.gateway.is_none() || new.gateway != other.gateway);
        // First what no two of a host's networks have in common, as a rule.
        overlap
            && new.address_space == other.address_space
            && ENGINES_OWN.contains(&new.address_space.as_str())
            && !shared
    };
    new.pools().any(|new| other.pools().any(|other| clash(new, other)))
}

/// The answer to a call that happened although the driver may have failed in it.
pub(super) fn forced(
    driver: &DriverName,
    method: &'static str,
    failure: Option<Error>,
) -> Result<(), Error> {
    match failure {
        None => Ok(()),
        Some(error) => {
            Err(Error::Forced { driver: driver.clone(), method, source: Box::new(error) })
        }
    }
}
