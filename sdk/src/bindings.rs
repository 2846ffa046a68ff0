//! The contract's Rust face, generated from `wit/`.

#![allow(missing_docs, reason = "generated; the documentation is in wit/")]
#![allow(unsafe_code, clippy::undocumented_unsafe_blocks, reason = "generated canonical ABI glue")]
#![allow(clippy::allow_attributes_without_reason, reason = "generated")]

/// Everything a network driver imports and exports.
pub mod network {
    wit_bindgen::generate!({
        path: "wit",
        world: "network-plugin",
        pub_export_macro: true,
        export_macro_name: "export_network",
        default_bindings_module: "wasmnet_sdk::bindings::network",
        generate_all,
        additional_derives: [PartialEq, Clone],
    });
}

/// Everything an IPAM driver imports and exports.
pub mod ipam {
    wit_bindgen::generate!({
        path: "wit",
        world: "ipam-plugin",
        pub_export_macro: true,
        export_macro_name: "export_ipam",
        default_bindings_module: "wasmnet_sdk::bindings::ipam",
        // One `Error`, one `IpAddress` for both kinds of driver.
        with: {
            "wasmnet:driver/types@0.1.0": crate::bindings::network::wasmnet::driver::types,
            "wasmnet:driver/store@0.1.0": crate::bindings::network::wasmnet::driver::store,
            "wasmnet:driver/cluster@0.1.0": crate::bindings::network::wasmnet::driver::cluster,
            "wasmnet:driver/config@0.1.0": crate::bindings::network::wasmnet::driver::config,
            "wasmnet:driver/log@0.1.0": crate::bindings::network::wasmnet::driver::log,
            "wasmnet:driver/clock@0.1.0": crate::bindings::network::wasmnet::driver::clock,
            "wasmnet:driver/random@0.1.0": crate::bindings::network::wasmnet::driver::random,
            "wasmnet:driver/http@0.1.0": crate::bindings::network::wasmnet::driver::http,
            "wasmnet:driver/files@0.1.0": crate::bindings::network::wasmnet::driver::files,
        },
        generate_all,
        additional_derives: [PartialEq, Clone],
    });
}
