//! What the daemon may ask of the kernel, beyond what everybody may.
//!
//! It runs as root for the files and keeps three capabilities; the programs it runs
//! (nft, iptables) have what it has. All the others go at the start, for good: with
//! `no_new_privs`, no program that it runs gets one back.

use rustix::{
    io::Errno,
    thread::{
        CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
        clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
        set_no_new_privs,
    },
};

/// All that the daemon keeps, if it has it: links, addresses, routes, the firewall and
/// settings below /proc/sys/net; published ports below 1024; iptables' legacy tables,
/// which are reached by a raw socket.
pub const KEPT: CapabilitySet =
    CapabilitySet::NET_ADMIN.union(CapabilitySet::NET_BIND_SERVICE).union(CapabilitySet::NET_RAW);

/// Why privileges could not be given up, or are missing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Without it there are no networks.
    #[error("wasmnet needs the capability CAP_NET_ADMIN to make networks; run it as root")]
    NoNetAdmin,
    /// The kernel does not say what the process may do.
    #[error("cannot read the process's capabilities")]
    Read(#[source] Errno),
    /// They cannot be given up.
    #[error("cannot give up capabilities")]
    GiveUp(#[source] Errno),
    /// The promise cannot be made.
    #[error("cannot set no_new_privs")]
    NoNewPrivileges(#[source] Errno),
}

/// Fails if what the daemon cannot do without is missing.
pub fn check() -> Result<(), Error> {
    if has(CapabilitySet::NET_ADMIN) { Ok(()) } else { Err(Error::NoNetAdmin) }
}

/// Whether the calling thread has a capability.
pub fn has(capability: CapabilitySet) -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(capability))
}

/// Gives up all but the capabilities in `kept`, for the calling thread and those it starts:
/// to be called before there are others.
pub fn keep_only(kept: CapabilitySet) -> Result<(), Error> {
    set_no_new_privs(true).map_err(Error::NoNewPrivileges)?;
    let has = capabilities(None).map_err(Error::Read)?;
    // Whoever may not shrink the bounding set does not need to: of what stands in it, a
    // program gets only what is permitted here.
    if has.effective.contains(CapabilitySet::SETPCAP) {
        shrink_bounding_set(kept)?;
    }
    let sets = CapabilitySets {
        effective: has.permitted & kept,
        permitted: has.permitted & kept,
        inheritable: has.inheritable & kept,
    };
    if (sets.effective | sets.inheritable).is_empty() {
        clear_ambient_capability_set().map_err(Error::GiveUp)?;
    }
    set_capabilities(None, sets).map_err(Error::GiveUp)
}

fn shrink_bounding_set(kept: CapabilitySet) -> Result<(), Error> {
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        match capability_is_in_bounding_set(capability) {
            Ok(true) if !kept.contains(capability) => {
                remove_capability_from_bounding_set(capability).map_err(Error::GiveUp)?;
            }
            Ok(_) => {}
            // The kernel has no more of them.
            Err(Errno::INVAL) => break,
            Err(errno) => return Err(Error::Read(errno)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Capabilities are a thread's, so each test has one of its own.
    fn in_thread(test: impl FnOnce() + Send) {
        std::thread::scope(|scope| scope.spawn(test).join().unwrap());
    }

    #[test]
    fn what_is_not_kept_is_gone_from_every_set() {
        in_thread(|| {
            keep_only(KEPT).unwrap();
            let sets = capabilities(None).unwrap();
            assert!(KEPT.contains(sets.effective | sets.permitted | sets.inheritable), "{sets:?}");
            assert!(!has(CapabilitySet::SYS_ADMIN));
            assert!(rustix::thread::no_new_privs().unwrap());
            // They do not come back, and doing it again is no error.
            let all = CapabilitySets { effective: KEPT | CapabilitySet::CHOWN, ..sets };
            assert!(set_capabilities(None, all).is_err());
            keep_only(KEPT).unwrap();
        });
    }

    #[test]
    fn nothing_may_be_kept() {
        in_thread(|| {
            keep_only(CapabilitySet::empty()).unwrap();
            let sets = capabilities(None).unwrap();
            assert!((sets.effective | sets.permitted | sets.inheritable).is_empty(), "{sets:?}");
            assert!(matches!(check(), Err(Error::NoNetAdmin)));
        });
    }
}
