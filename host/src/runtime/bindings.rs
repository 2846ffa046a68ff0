//! The contract's host side, generated from `wit/`.

#![allow(missing_docs, reason = "generated; the documentation is in wit/")]
#![allow(clippy::allow_attributes_without_reason, reason = "generated")]

/// A network driver's world.
pub mod network {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "network-plugin",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "wasmnet:driver/links.link": crate::runtime::imports::LinkHandle,
        },
        require_store_data_send: true,
    });
}

/// An IPAM driver's world; what both have is the network world's.
pub mod ipam {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "ipam-plugin",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "wasmnet:driver/types": super::network::wasmnet::driver::types,
            "wasmnet:driver/store": super::network::wasmnet::driver::store,
            "wasmnet:driver/cluster": super::network::wasmnet::driver::cluster,
            "wasmnet:driver/config": super::network::wasmnet::driver::config,
            "wasmnet:driver/log": super::network::wasmnet::driver::log,
            "wasmnet:driver/clock": super::network::wasmnet::driver::clock,
            "wasmnet:driver/random": super::network::wasmnet::driver::random,
            "wasmnet:driver/http": super::network::wasmnet::driver::http,
            "wasmnet:driver/files": super::network::wasmnet::driver::files,
        },
        require_store_data_send: true,
    });
}
