//! The exports of a network driver.

use futures::FutureExt;

use super::{
    Call, CallError, Driver,
    bindings::network::{
        NetworkPlugin,
        exports::wasmnet::driver::{lifecycle::Progress, network_driver::Guest},
    },
    call::{Answer, CallState},
    convert,
};
use crate::model::{
    EndpointRequest, EndpointSettings, JoinInfo, Network, NetworkCapabilities, Node, Options, Pool,
    PortBinding,
};

type Store = wasmtime::Store<CallState>;
type Future<'a, T> = futures::future::BoxFuture<'a, Answer<T>>;

/// An endpoint as the driver sees it: the request with the settings filled in.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint<'a> {
    /// What the engine asked for.
    pub request: &'a EndpointRequest,
    /// What the driver chose.
    pub settings: &'a EndpointSettings,
}

// === impl Driver ===

impl Driver {
    /// `capabilities`.
    pub async fn capabilities(&self, call: Call) -> Result<NetworkCapabilities, CallError> {
        let answer = self.network_call("capabilities", call, |guest, store| {
            async move { Ok(Ok(guest.call_capabilities(store).await?)) }.boxed()
        });
        Ok(convert::network_capabilities(answer.await?))
    }

    /// `gateway-allocation`: whether to skip the IPv4 and the IPv6 gateway.
    pub async fn gateway_allocation(
        &self,
        call: Call,
        options: &Options,
    ) -> Result<(bool, bool), CallError> {
        let options = convert::options_out(options);
        let answer = self.network_call("gateway-allocation", call, move |guest, store| {
            async move { guest.call_gateway_allocation(store, &options).await }.boxed()
        });
        answer.await.map(|skip| (skip.ipv4, skip.ipv6))
    }

    /// `allocate-network`.
    pub async fn allocate_network(
        &self,
        call: Call,
        id: &str,
        options: &Options,
        ipv4: &[Pool],
        ipv6: &[Pool],
    ) -> Result<Options, CallError> {
        let (id, options) = (id.to_owned(), convert::options_out(options));
        let (ipv4, ipv6) = (convert::pools_out(ipv4), convert::pools_out(ipv6));
        let answer = self.network_call("allocate-network", call, move |guest, store| {
            async move { guest.call_allocate_network(store, &id, &options, &ipv4, &ipv6).await }
                .boxed()
        });
        answer.await.map(convert::options_in)
    }

    /// `free-network`.
    pub async fn free_network(&self, call: Call, id: &str) -> Result<(), CallError> {
        let id = id.to_owned();
        self.network_call("free-network", call, move |guest, store| {
            async move { guest.call_free_network(store, &id).await }.boxed()
        })
        .await
    }

    /// `create-network`.
    pub async fn create_network(&self, call: Call, network: &Network) -> Result<(), CallError> {
        let network = convert::network_out(network);
        self.network_call("create-network", call, move |guest, store| {
            async move { guest.call_create_network(store, &network).await }.boxed()
        })
        .await
    }

    /// `delete-network`.
    pub async fn delete_network(&self, call: Call, network: &Network) -> Result<(), CallError> {
        let network = convert::network_out(network);
        self.network_call("delete-network", call, move |guest, store| {
            async move { guest.call_delete_network(store, &network).await }.boxed()
        })
        .await
    }

    /// `create-endpoint`.
    pub async fn create_endpoint(
        &self,
        call: Call,
        network: &Network,
        request: &EndpointRequest,
    ) -> Result<EndpointSettings, CallError> {
        let (network, request) = (convert::network_out(network), convert::request_out(request));
        let answer = self.network_call("create-endpoint", call, move |guest, store| {
            async move { guest.call_create_endpoint(store, &network, &request).await }.boxed()
        });
        convert::settings_in(answer.await?)
    }

    /// `delete-endpoint`.
    pub async fn delete_endpoint(
        &self,
        call: Call,
        network: &Network,
        endpoint: Endpoint<'_>,
    ) -> Result<(), CallError> {
        let (network, endpoint) = (convert::network_out(network), convert::endpoint_out(endpoint));
        self.network_call("delete-endpoint", call, move |guest, store| {
            async move { guest.call_delete_endpoint(store, &network, &endpoint).await }.boxed()
        })
        .await
    }

    /// `endpoint-info`.
    pub async fn endpoint_info(
        &self,
        call: Call,
        network: &Network,
        endpoint: Endpoint<'_>,
    ) -> Result<Options, CallError> {
        let (network, endpoint) = (convert::network_out(network), convert::endpoint_out(endpoint));
        let answer = self.network_call("endpoint-info", call, move |guest, store| {
            async move { guest.call_endpoint_info(store, &network, &endpoint).await }.boxed()
        });
        answer.await.map(convert::options_in)
    }

    /// `join`.
    pub async fn join(
        &self,
        call: Call,
        network: &Network,
        endpoint: Endpoint<'_>,
        sandbox: &str,
    ) -> Result<JoinInfo, CallError> {
        let (network, endpoint) = (convert::network_out(network), convert::endpoint_out(endpoint));
        let sandbox = sandbox.to_owned();
        let answer = self.network_call("join", call, move |guest, store| {
            async move { guest.call_join(store, &network, &endpoint, &sandbox).await }.boxed()
        });
        convert::join_in(answer.await?)
    }

    /// `leave`.
    pub async fn leave(
        &self,
        call: Call,
        network: &Network,
        endpoint: Endpoint<'_>,
    ) -> Result<(), CallError> {
        let (network, endpoint) = (convert::network_out(network), convert::endpoint_out(endpoint));
        self.network_call("leave", call, move |guest, store| {
            async move { guest.call_leave(store, &network, &endpoint).await }.boxed()
        })
        .await
    }

    /// `program-external-connectivity`.
    pub async fn program(
        &self,
        call: Call,
        network: &Network,
        endpoint: Endpoint<'_>,
        ports: &[PortBinding],
    ) -> Result<(), CallError> {
        let (network, endpoint) = (convert::network_out(network), convert::endpoint_out(endpoint));
        let ports = convert::ports_out(ports);
        self.network_call("program-external-connectivity", call, move |guest, store| {
            async move {
                guest.call_program_external_connectivity(store, &network, &endpoint, &ports).await
            }
            .boxed()
        })
        .await
    }

    /// `revoke-external-connectivity`.
    pub async fn revoke(
        &self,
        call: Call,
        network: &Network,
        endpoint: Endpoint<'_>,
    ) -> Result<(), CallError> {
        let (network, endpoint) = (convert::network_out(network), convert::endpoint_out(endpoint));
        self.network_call("revoke-external-connectivity", call, move |guest, store| {
            async move { guest.call_revoke_external_connectivity(store, &network, &endpoint).await }
                .boxed()
        })
        .await
    }

    /// `discover-new` or `discover-delete`.
    pub async fn discover(&self, call: Call, node: Node, appeared: bool) -> Result<(), CallError> {
        let node = convert::node_out(node);
        let method = if appeared { "discover-new" } else { "discover-delete" };
        self.network_call(method, call, move |guest, store| {
            async move {
                match appeared {
                    true => guest.call_discover_new(store, node).await,
                    false => guest.call_discover_delete(store, node).await,
                }
            }
            .boxed()
        })
        .await
    }

    /// `restore-network`.
    pub async fn restore_network(&self, call: Call, network: &Network) -> Result<(), CallError> {
        let network = convert::network_out(network);
        self.plugin_call("restore-network", call, move |plugin, store| {
            async move {
                plugin
                    .wasmnet_driver_lifecycle()
                    .call_restore_network(store, &network)
                    .await
            }
            .boxed()
        })
        .await
    }

    /// `entries-changed`; whether there is more to do.
    pub async fn entries_changed(
        &self,
        call: Call,
        network: &Network,
        group: &str,
        keys: Option<Vec<String>>,
    ) -> Result<bool, CallError> {
        let (network, group) = (convert::network_out(network), group.to_owned());
        let progress = self.plugin_call("entries-changed", call, move |plugin, store| {
            async move {
                let lifecycle = plugin.wasmnet_driver_lifecycle();
                lifecycle.call_entries_changed(store, &network, &group, keys.as_deref()).await
            }
            .boxed()
        });
        Ok(progress.await? == Progress::More)
    }

    async fn network_call<T: Send + 'static>(
        &self,
        method: &'static str,
        call: Call,
        export: impl for<'a> FnOnce(&'a Guest, &'a mut Store) -> Future<'a, T> + Send + 'static,
    ) -> Result<T, CallError> {
        self.plugin_call(method, call, move |plugin, store| {
            export(plugin.wasmnet_driver_network_driver(), store)
        })
        .await
    }

    async fn plugin_call<T: Send + 'static>(
        &self,
        method: &'static str,
        call: Call,
        export: impl for<'a> FnOnce(&'a NetworkPlugin, &'a mut Store) -> Future<'a, T> + Send + 'static,
    ) -> Result<T, CallError> {
        let Some(instances) = &self.network else {
            return Err(CallError::NoRole(self.name.clone(), "network"));
        };
        self.run(instances, method, call, export).await
    }
}
