//! Ways to go wrong.

use wasmnet_sdk::{Error, firewall};

/// Comes to an end that is none.
pub fn crash() -> ! {
    panic!("an unwrap that was to be removed")
}

/// Comes to no end.
pub fn spin() -> ! {
    let mut number = 0_u64;
    loop {
        number = std::hint::black_box(number.wrapping_add(1));
    }
}

/// Nothing is left of something.
pub fn take(what: &str) -> Result<(), Error> {
    Err(Error::exhausted(format!("there is no room for {what}")))
}

/// What containers may do.
pub fn policy(internal: bool) -> firewall::NetworkPolicy {
    firewall::NetworkPolicy {
        internal,
        inter_container: true,
        access_ipv4: firewall::Access::Published,
        access_ipv6: firewall::Access::Published,
        trusted_links: Vec::new(),
    }
}
