//! Builds the guest programs that the tests install as drivers.

fn main() -> Result<(), wasmnet_sdk_build::Error> {
    let chaos = wasmnet_sdk_build::component("wasmnet-chaos", "tests/programs/chaos")?;
    println!("cargo::rustc-env=WASMNET_CHAOS={}", chaos.display());
    Ok(())
}
