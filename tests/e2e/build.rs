//! Builds the guest programs that the tests install as drivers.

/// Where each one's path goes, its package and its folder.
const PROGRAMS: [(&str, &str, &str); 11] = [
    ("WASMNET_CHAOS", "wasmnet-chaos", "tests/programs/chaos"),
    ("WASMNET_HOSTILE", "wasmnet-hostile", "tests/programs/hostile"),
    ("WASMNET_SHELF", "wasmnet-shelf", "tests/programs/ipam"),
    ("WASMNET_CURIOUS", "wasmnet-curious", "tests/programs/curious"),
    ("WASMNET_GOSSIP", "wasmnet-gossip", "tests/programs/gossip"),
    ("WASMNET_WRONG", "wasmnet-wrong", "tests/programs/wrong"),
    ("WASMNET_MISCOUNT", "wasmnet-miscount", "tests/programs/miscount"),
    ("WASMNET_BRIDGE", "wasmnet-bridge", "drivers/bridge"),
    ("WASMNET_IPAM", "wasmnet-ipam", "drivers/ipam"),
    ("WASMNET_MACVLAN", "wasmnet-macvlan", "drivers/macvlan"),
    ("WASMNET_OVERLAY", "wasmnet-overlay", "drivers/overlay"),
];

fn main() -> Result<(), wasmnet_sdk_build::Error> {
    for (variable, package, folder) in PROGRAMS {
        let component = wasmnet_sdk_build::component(package, folder)?;
        println!("cargo::rustc-env={variable}={}", component.display());
    }
    Ok(())
}
