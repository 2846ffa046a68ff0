//! `engine`, `host-networks`, `http`, `files`.

use super::error_out;
use crate::{
    outbound,
    runtime::{
        bindings::{
            ipam::wasmnet::driver::{engine, host_networks},
            network::wasmnet::driver::{
                files, http,
                types::{Error, IpNetwork},
            },
        },
        call::CallState,
        convert::net_out,
    },
};

// === impl CallState ===

impl engine::Host for CallState {
    async fn session(&mut self) -> wasmtime::Result<u64> {
        Ok(self.transaction()?.engine_session())
    }
}

impl host_networks::Host for CallState {
    async fn in_use(&mut self) -> wasmtime::Result<Result<Vec<IpNetwork>, Error>> {
        let networks = self.transaction()?.host_networks().await;
        let networks = networks.map(|networks| networks.into_iter().map(net_out).collect());
        Ok(networks.map_err(|error| error_out(&error)))
    }
}

impl http::Host for CallState {
    async fn send(
        &mut self,
        request: http::Request,
    ) -> wasmtime::Result<Result<http::Response, Error>> {
        let http::Request { method, url, fields, body } = request;
        let fields = fields.into_iter().map(|field| (field.name, field.value)).collect();
        let request = outbound::Request { method, url, fields, body };
        let answer = self.transaction()?.send(request).await;
        let answer = answer.map(|outbound::Response { status, fields, body }| http::Response {
            status,
            fields: fields.into_iter().map(|(name, value)| http::Field { name, value }).collect(),
            body,
        });
        Ok(answer.map_err(|error| error_out(&error)))
    }
}

impl files::Host for CallState {
    async fn read(&mut self, path: String) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        let bytes = self.transaction()?.read_file(&path).await;
        Ok(bytes.map_err(|error| error_out(&error)))
    }
}
