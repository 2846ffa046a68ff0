//! Address management. Calls about one pool happen in order, and so do calls
//! that make pools.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;

use super::{Dispatcher, Error, Order};
use crate::{
    id::DriverName,
    model::{Options, PoolRequest, ReservedPool},
};

/// The key under which calls that make pools queue.
const NEW_POOLS: &str = "";

// === impl Dispatcher ===

impl Dispatcher {
    /// Reserves a pool.
    pub async fn request_pool(
        &self,
        name: &DriverName,
        request: &PoolRequest,
    ) -> Result<ReservedPool, Error> {
        let order = self.lock_pool(name, NEW_POOLS).await;
        let driver = self.driver(name)?;
        let transaction = self.begin(name, None, None);
        let answer = driver.request_pool(self.call(&driver, &transaction), request).await;
        let pool = self.settle(&transaction, &order, driver.judge(answer)).await?;
        self.commit(&transaction).await?;
        Ok(pool)
    }

    /// Gives a pool back.
    pub async fn release_pool(&self, name: &DriverName, pool: &str) -> Result<(), Error> {
        let order = self.lock_pool(name, NEW_POOLS).await;
        let _quiet = self.lock_pool(name, pool).await;
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
        let order = self.lock_pool(name, pool).await;
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
        let order = self.lock_pool(name, pool).await;
        let driver = self.driver(name)?;
        let transaction = self.begin(name, None, None);
        let answer = driver.release_address(self.call(&driver, &transaction), pool, address).await;
        self.settle(&transaction, &order, driver.judge(answer)).await?;
        self.commit(&transaction).await
    }

    /// Keeps other calls of a pool, or others that make pools, waiting.
    async fn lock_pool(&self, name: &DriverName, pool: &str) -> Order {
        Arc::new(self.pools.lock((name.clone(), pool.to_owned())).await)
    }
}
