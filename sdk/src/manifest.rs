//! The custom section that says what a driver is.

/// Copies a string into an array, for a `static` in a custom section.
#[doc(hidden)]
pub const fn __bytes<const N: usize>(text: &str) -> [u8; N] {
    let text = text.as_bytes();
    let mut bytes = [0; N];
    let mut at = 0;
    while at < N {
        bytes[at] = text[at];
        at += 1;
    }
    bytes
}

/// Writes the manifest's custom section. Name and description must not contain
/// quotes or backslashes: they go into JSON as they are. So do the grants, which Rust
/// reads as tokens and so may stand there as plain JSON.
#[doc(hidden)]
#[macro_export]
macro_rules! __manifest {
    ($name:literal, $description:literal, $grants:tt) => {
        const _: () = {
            const MANIFEST: &str = concat!(
                "{\"name\":\"",
                $name,
                "\",\"version\":\"",
                env!("CARGO_PKG_VERSION"),
                "\",\"description\":\"",
                $description,
                "\",\"grants\":",
                stringify!($grants),
                "}"
            );
            #[cfg(target_arch = "wasm32")]
            #[allow(unsafe_code, reason = "only names the custom section the bytes go to")]
            #[unsafe(link_section = "wasmnet:manifest")]
            #[used]
            static SECTION: [u8; MANIFEST.len()] = $crate::__bytes(MANIFEST);
        };
    };
}

/// Exports a driver where the crate is a component. A library of this machine's cannot have
/// such names, and does not need them: [`mock`](crate::mock) calls the type itself.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    (network, $adapter:ident, $trait:ident, $driver:ty) => {
        #[cfg(target_arch = "wasm32")]
        type __WasmnetDriver = $crate::$adapter<$driver>;
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::network::export_network!(
            __WasmnetDriver with_types_in $crate::bindings::network
        );
        $crate::__export!($trait, $driver);
    };
    (ipam, $adapter:ident, $trait:ident, $driver:ty) => {
        #[cfg(target_arch = "wasm32")]
        type __WasmnetDriver = $crate::$adapter<$driver>;
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::ipam::export_ipam!(
            __WasmnetDriver with_types_in $crate::bindings::ipam
        );
        $crate::__export!($trait, $driver);
    };
    ($trait:ident, $driver:ty) => {
        const _: fn() = || {
            fn is_driver<D: $crate::$trait>() {}
            is_driver::<$driver>();
        };
    };
}

/// Exports a [`NetworkDriver`](crate::NetworkDriver) from this component.
///
/// `grants` is what the driver asks for, as JSON with the keys of the operator's
/// `[driver.grants]`; what it does not ask for it does not get.
#[macro_export]
macro_rules! network_driver {
    (
        driver: $driver:ty,
        name: $name:literal,
        description: $description:literal
        $(, grants: { $($grants:tt)* })? $(,)?
    ) => {
        $crate::__manifest!($name, $description, { $($($grants)*)? });
        $crate::__export!(network, __NetworkAdapter, NetworkDriver, $driver);
    };
}

/// Exports an [`IpamDriver`](crate::IpamDriver) from this component.
///
/// `grants` as for [`network_driver!`](crate::network_driver).
#[macro_export]
macro_rules! ipam_driver {
    (
        driver: $driver:ty,
        name: $name:literal,
        description: $description:literal
        $(, grants: { $($grants:tt)* })? $(,)?
    ) => {
        $crate::__manifest!($name, $description, { $($($grants)*)? });
        $crate::__export!(ipam, __IpamAdapter, IpamDriver, $driver);
    };
}
