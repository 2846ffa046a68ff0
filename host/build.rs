//! Builds the drivers that are part of the daemon.

fn main() -> Result<(), wasmnet_sdk_build::Error> {
    let bridge = wasmnet_sdk_build::component("wasmnet-bridge", "drivers/bridge")?;
    println!("cargo::rustc-env=WASMNET_BRIDGE={}", bridge.display());
    Ok(())
}
