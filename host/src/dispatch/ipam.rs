//! Address management. Calls of one driver happen in order: pools share subnets, and so
//! calls about different ones the driver's keys.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use ipnet::IpNet;

use super::{Dispatcher, Error, Order};
use crate::{
    id::DriverName,
    ledger::{Changes, Transaction},
    model::{Lease, Options, PoolReport, PoolRequest, ReservedPool},
    runtime::CallError,
    store::Lasting,
};

// === impl Dispatcher ===

impl Dispatcher {
    /// Reserves a pool.
    pub async fn request_pool(
        &self,
        name: &DriverName,
        request: &PoolRequest,
    ) -> Result<ReservedPool, Error> {
        let order = self.lock_ipam(name).await;
        let driver = self.driver(name)?;
        let transaction = self.begin(name, None, None);
        let answer = driver.request_pool(self.call(&driver, &transaction), request).await;
        let pool = self.settle(&transaction, &order, driver.judge(answer)).await?;
        self.commit(&transaction).await?;
        Ok(pool)
    }

    /// Gives a pool back.
    pub async fn release_pool(&self, name: &DriverName, pool: &str) -> Result<(), Error> {
        let order = self.lock_ipam(name).await;
        let driver = self.driver(name)?;
        let transaction = self.begin(name, None, None);
        let answer = driver.release_pool(self.call(&driver, &transaction), pool).await;
        self.settle(&transaction, &order, driver.judge(answer)).await?;
        self.commit(&transaction).await
    }

    /// Reserves an address of a pool: this one, or any.
    pub async fn request_address(
        &self,
        name: &DriverName,
        pool: &str,
        address: Option<IpAddr>,
        options: &Options,
    ) -> Result<IpNet, Error> {
        let order = self.lock_ipam(name).await;
        let driver = self.driver(name)?;
        let transaction = self.begin(name, None, None);
        let call = self.call(&driver, &transaction);
        let answer = driver.request_address(call, pool, address, options).await;
        let net = self.settle(&transaction, &order, driver.judge(answer)).await?;
        self.commit(&transaction).await?;
        Ok(net)
    }

    /// Gives an address back.
    pub async fn release_address(
        &self,
        name: &DriverName,
        pool: &str,
        address: IpAddr,
    ) -> Result<(), Error> {
        let order = self.lock_ipam(name).await;
        let driver = self.driver(name)?;
        let transaction = self.begin(name, None, None);
        let answer = driver.release_address(self.call(&driver, &transaction), pool, address).await;
        self.settle(&transaction, &order, driver.judge(answer)).await?;
        self.commit(&transaction).await
    }

    /// Notes that an engine has begun to speak with an IPAM driver: it was started anew.
    ///
    /// An engine that gets no answer to its first question gives the driver up, so a state
    /// that cannot be written is for the log; the driver then takes a replay for a conflict.
    pub async fn engine_started(&self, name: &DriverName) {
        let _order = self.sessions.lock(name.clone()).await;
        let session = self.ledger.read().sessions.get(name).copied().unwrap_or_default() + 1;
        let sessions = BTreeMap::from([(name.clone(), session)]);
        let changes = Changes { sessions, ..Changes::default() };
        if let Err(error) = self.ledger.commit(changes, Lasting::Durable).await {
            tracing::error!(driver = %name, error = %crate::error::chain(&error), "cannot note that the engine was started anew");
        }
    }

    /// Tells a driver that agreed values may have changed, or that the store can be reached;
    /// says whether it wants to be told once more.
    pub async fn agreed_changed(&self, name: &DriverName) -> Result<bool, Error> {
        let order = self.lock_ipam(name).await;
        let driver = self.driver(name)?;
        let transaction = self.begin(name, None, None);
        let answer = driver.agreed_changed(self.call(&driver, &transaction)).await;
        let again = self.settle(&transaction, &order, driver.judge(answer)).await?;
        self.commit(&transaction).await?;
        Ok(again)
    }

    /// The pools of a driver.
    pub async fn pools(&self, name: &DriverName) -> Result<Vec<PoolReport>, Error> {
        let order = self.lock_ipam(name).await;
        let driver = self.driver(name)?;
        let transaction = self.begin(name, None, None);
        let answer = driver.pools(self.call(&driver, &transaction)).await;
        self.look(&transaction, &order, driver.judge(answer)).await
    }

    /// Up to 1,000 of a pool's leases in the order of addresses, those after `after`.
    pub async fn leases(
        &self,
        name: &DriverName,
        pool: &str,
        after: Option<IpAddr>,
    ) -> Result<Vec<Lease>, Error> {
        let order = self.lock_ipam(name).await;
        let driver = self.driver(name)?;
        let transaction = self.begin(name, None, None);
        let answer = driver.leases(self.call(&driver, &transaction), pool, after).await;
        self.look(&transaction, &order, driver.judge(answer)).await
    }

    /// Gives an address back if it is still held since this moment: what somebody got
    /// meanwhile is theirs.
    pub async fn release_lease(
        &self,
        name: &DriverName,
        pool: &str,
        address: IpAddr,
        since: u64,
    ) -> Result<(), Error> {
        let order = self.lock_ipam(name).await;
        let driver = self.driver(name)?;
        let transaction = self.begin(name, None, None);
        let leases = driver.leases(self.call(&driver, &transaction), pool, before(address)).await;
        let same = |lease: &Lease| lease.address == address && lease.since == since;
        let answer = match leases {
            Ok(leases) if leases.iter().any(same) => {
                driver.release_address(self.call(&driver, &transaction), pool, address).await
            }
            leases => leases.map(drop),
        };
        self.settle(&transaction, &order, driver.judge(answer)).await?;
        self.commit(&transaction).await
    }

    /// Ends a call that was only to tell something.
    async fn look<T>(
        &self,
        transaction: &Transaction,
        order: &Order,
        answer: Result<T, CallError>,
    ) -> Result<T, Error> {
        let answer = self.settle(transaction, order, answer).await?;
        transaction.roll_back().await;
        Ok(answer)
    }

    /// Keeps other calls of an IPAM driver waiting.
    async fn lock_ipam(&self, name: &DriverName) -> Order {
        Arc::new(self.ipam.lock(name.clone()).await)
    }
}

/// The address before this one.
fn before(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => Some(Ipv4Addr::from_bits(v4.to_bits().checked_sub(1)?).into()),
        IpAddr::V6(v6) => Some(Ipv6Addr::from_bits(v6.to_bits().checked_sub(1)?).into()),
    }
}
