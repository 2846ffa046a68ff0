//! End-to-end tests, by what they show.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

/// Sockets that somebody keeps while the daemon ends and starts again.
mod activation;
/// Bridges that were there before, and stay.
mod adopted;
/// The command line: what it shows is what is.
mod cli;
/// What nodes share, with an etcd that is not always there.
mod cluster;
/// Other people's firewalls: beside them, and after somebody has flushed one.
mod coexist;
/// `wasmnet doctor` finds what is wrong, and mends it.
mod doctor;
/// What others do to our objects while containers run.
mod drift;
/// Other people's drivers: made, tested, looked at and shipped.
mod drivers;
/// Drivers that fail: one sentence in time, nothing left, nobody else notices.
mod failing_drivers;
/// Drivers that attack: denied or contained, and nobody else notices.
mod hostile;
/// Drivers that are installed, changed and removed while the daemon runs.
mod installed;
/// Addresses from wasm-ipam.
mod ipam;
/// IPv6 beside IPv4, and alone.
mod ipv6;
/// Containers come, go and change networks, compared with the built-in driver.
mod lifecycle;
/// Containers on the wire of the host's uplink.
mod macvlan;
/// Gateway modes, and the other ways to change who reaches whom.
mod modes;
/// What the user asks for: addresses, MTU, names, firewall; and what is refused.
mod options;
/// Servers and files that drivers are granted.
mod outside;
/// One network on several hosts.
mod overlay;
/// The systemd units: what they allow is what the daemon needs.
mod packaging;
/// Published ports: who reaches them, who else gets them, when they are free again.
mod ports;
/// The daemon has the capabilities it needs and no others, and its files are its own.
mod privileges;
/// The plugin protocol with an engine that is not at its best.
mod protocol;
/// Who reaches whom: neighbours, names, the way out, and what stays closed.
mod reach;
/// The host loses its network state, by a reboot or by somebody's hand.
mod reboot;
/// Recorded conversations of three engines, replayed.
mod replay;
/// The daemon or the engine ends, in order or not, and starts again.
mod restart;
/// Much at once at random, while the daemon is killed again and again.
mod soak;
/// A daemon that cannot start says why, and changes nothing.
mod startup;
