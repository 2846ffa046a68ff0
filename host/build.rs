//! Builds the drivers that are part of the daemon.

/// Where each one's path goes, its package and its folder.
const DRIVERS: [(&str, &str, &str); 4] = [
    ("WASMNET_BRIDGE", "wasmnet-bridge", "drivers/bridge"),
    ("WASMNET_IPAM", "wasmnet-ipam", "drivers/ipam"),
    ("WASMNET_MACVLAN", "wasmnet-macvlan", "drivers/macvlan"),
    ("WASMNET_OVERLAY", "wasmnet-overlay", "drivers/overlay"),
];

fn main() -> Result<(), wasmnet_sdk_build::Error> {
    for (variable, package, folder) in DRIVERS {
        let component = wasmnet_sdk_build::component(package, folder)?;
        println!("cargo::rustc-env={variable}={}", component.display());
    }
    Ok(())
}
