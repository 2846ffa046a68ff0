//! The exports of an IPAM driver.

use std::net::IpAddr;

use futures::FutureExt;
use ipnet::IpNet;

use super::{
    Call, CallError, Driver,
    bindings::ipam::exports::wasmnet::driver::ipam_driver::Guest,
    call::{Answer, CallState},
    convert,
};
use crate::model::{
    AddressSpaces, IpamCapabilities, Lease, Options, PoolReport, PoolRequest, ReservedPool,
};

type Store = wasmtime::Store<CallState>;
type Future<'a, T> = futures::future::BoxFuture<'a, Answer<T>>;

// === impl Driver ===

impl Driver {
    /// `capabilities` of an IPAM driver.
    pub async fn ipam_capabilities(&self, call: Call) -> Result<IpamCapabilities, CallError> {
        let answer = self.ipam_call("capabilities", call, |guest, store| {
            async move { Ok(Ok(guest.call_capabilities(store).await?)) }.boxed()
        });
        answer.await.map(|capabilities| IpamCapabilities {
            requires_mac_address: capabilities.requires_mac_address,
            requires_request_replay: capabilities.requires_request_replay,
        })
    }

    /// `default-address-spaces`.
    pub async fn default_address_spaces(&self, call: Call) -> Result<AddressSpaces, CallError> {
        let answer = self.ipam_call("default-address-spaces", call, |guest, store| {
            async move { Ok(Ok(guest.call_default_address_spaces(store).await?)) }.boxed()
        });
        answer.await.map(|spaces| AddressSpaces { local: spaces.local, global: spaces.global })
    }

    /// `request-pool`.
    pub async fn request_pool(
        &self,
        call: Call,
        request: &PoolRequest,
    ) -> Result<ReservedPool, CallError> {
        let request = convert::pool_request_out(request);
        let answer = self.ipam_call("request-pool", call, move |guest, store| {
            async move { guest.call_request_pool(store, &request).await }.boxed()
        });
        convert::reserved_pool_in(answer.await?)
    }

    /// `release-pool`.
    pub async fn release_pool(&self, call: Call, pool: &str) -> Result<(), CallError> {
        let pool = pool.to_owned();
        self.ipam_call("release-pool", call, move |guest, store| {
            async move { guest.call_release_pool(store, &pool).await }.boxed()
        })
        .await
    }

    /// `request-address`.
    pub async fn request_address(
        &self,
        call: Call,
        pool: &str,
        address: Option<IpAddr>,
        options: &Options,
    ) -> Result<IpNet, CallError> {
        let (pool, address) = (pool.to_owned(), address.map(convert::address_out));
        let options = convert::options_out(options);
        let answer = self.ipam_call("request-address", call, move |guest, store| {
            async move { guest.call_request_address(store, &pool, address, &options).await }.boxed()
        });
        convert::net_in("request-address", answer.await?)
    }

    /// `release-address`.
    pub async fn release_address(
        &self,
        call: Call,
        pool: &str,
        address: IpAddr,
    ) -> Result<(), CallError> {
        let (pool, address) = (pool.to_owned(), convert::address_out(address));
        self.ipam_call("release-address", call, move |guest, store| {
            async move { guest.call_release_address(store, &pool, address).await }.boxed()
        })
        .await
    }

    /// `pools`.
    pub async fn pools(&self, call: Call) -> Result<Vec<PoolReport>, CallError> {
        let answer = self.ipam_call("pools", call, move |guest, store| {
            async move { guest.call_pools(store).await }.boxed()
        });
        answer.await?.into_iter().map(convert::pool_report_in).collect()
    }

    /// `leases`.
    pub async fn leases(
        &self,
        call: Call,
        pool: &str,
        after: Option<IpAddr>,
    ) -> Result<Vec<Lease>, CallError> {
        let (pool, after) = (pool.to_owned(), after.map(convert::address_out));
        let answer = self.ipam_call("leases", call, move |guest, store| {
            async move { guest.call_leases(store, &pool, after).await }.boxed()
        });
        Ok(answer.await?.into_iter().map(convert::lease_in).collect())
    }

    /// `agreed-changed`.
    pub async fn agreed_changed(&self, call: Call) -> Result<bool, CallError> {
        self.ipam_call("agreed-changed", call, move |guest, store| {
            async move { guest.call_agreed_changed(store).await }.boxed()
        })
        .await
    }

    async fn ipam_call<T: Send + 'static>(
        &self,
        method: &'static str,
        call: Call,
        export: impl for<'a> FnOnce(&'a Guest, &'a mut Store) -> Future<'a, T> + Send + 'static,
    ) -> Result<T, CallError> {
        let Some(instances) = &self.ipam else {
            return Err(CallError::NoRole(self.name.clone(), "IPAM"));
        };
        self.run(instances, method, call, move |plugin, store| {
            export(plugin.wasmnet_driver_ipam_driver(), store)
        })
        .await
    }
}
