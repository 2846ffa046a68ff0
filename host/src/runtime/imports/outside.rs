//! `engine`, `host-networks`.

use super::error_out;
use crate::runtime::{
    bindings::{
        ipam::wasmnet::driver::{engine, host_networks},
        network::wasmnet::driver::types::{Error, IpNetwork},
    },
    call::CallState,
    convert::net_out,
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
