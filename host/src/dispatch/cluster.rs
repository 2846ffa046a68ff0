//! What other nodes have published, told to the drivers here.

use async_trait::async_trait;

use super::{Dispatcher, Error, Slot};
use crate::{
    cluster::Listener,
    id::{DriverName, NetworkId},
    ledger::{FollowedKey, Group, Scope},
};

// === impl Dispatcher ===

impl Dispatcher {
    /// Tells a network's driver that entries of a group have changed: these keys, or any.
    /// Says whether it wants to be told the same again.
    pub async fn entries_changed(
        &self,
        id: &NetworkId,
        group: &Group,
        keys: Option<Vec<String>>,
    ) -> Result<bool, Error> {
        let order = self.lock_network(id).await;
        let record = {
            let state = self.ledger.read();
            let key = FollowedKey { group: group.clone(), network: id.clone() };
            let follows = state.shares.followed().contains(&key);
            state
                .networks
                .get(id)
                .filter(|record| follows && record.driver == group.driver)
                .cloned()
        };
        // It was deleted meanwhile.
        let Some(record) = record else { return Ok(false) };
        let driver = self.driver(&record.driver)?;
        let scope = Scope::network(record.driver.clone(), id.clone());
        let transaction = self.begin(&record.driver, Some(scope), Some(&record.network));
        let call = self.call(&driver, &transaction);
        let answer = driver.entries_changed(call, &record.network, &group.name, keys).await;
        let again = self.settle(&transaction, &order, driver.judge(answer)).await?;
        self.commit(&transaction).await?;
        Ok(again)
    }
}

#[async_trait]
impl Listener for Dispatcher {
    async fn entries_changed(
        &self,
        network: &NetworkId,
        group: &Group,
        keys: Option<Vec<String>>,
    ) -> Result<bool, String> {
        let told = Self::entries_changed(self, network, group, keys).await;
        told.map_err(|error| error.external())
    }

    fn sharers(&self) -> Vec<DriverName> {
        let shares = |slot: &Slot| match slot {
            Slot::Ready(driver) => {
                let permits = &driver.permits;
                driver.ipam_capabilities.is_some()
                    && permits.wanted.cluster
                    && permits.granted.cluster
            }
            Slot::Failed(_) => false,
        };
        let sharers = self.drivers.all().into_iter().filter(|(_, slot)| shares(slot));
        sharers.map(|(name, _)| name).collect()
    }

    async fn agreed_changed(&self, driver: &DriverName) -> Result<bool, String> {
        Self::agreed_changed(self, driver).await.map_err(|error| error.external())
    }
}
