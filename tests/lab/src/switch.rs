//! The bridge that joins the hosts.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};

use crate::exec::{DEFAULT_LIMIT, bounded};
use crate::janitor;
use crate::namespace::Namespace;

/// The number of the host that is the outside world.
pub(crate) const OUTSIDE: u8 = 254;

/// No snooping: the switch is to carry every frame from the first on.
const SETUP: &str = "
ip link set lo up
ip link add switch type bridge mcast_snooping 0
ip link set switch up
";

/// A bridge in a namespace of its own, and the directory of the whole lab.
pub(crate) struct Switch {
    name: String,
    dir: PathBuf,
    namespace: Namespace,
    numbers: AtomicU8,
}

impl Switch {
    #[track_caller]
    pub(crate) fn new() -> Self {
        let name = janitor::new_name();
        let dir = janitor::base().join(&name);
        fs::create_dir(&dir).expect("make a lab's directory");
        Self { name, dir, namespace: Namespace::new(SETUP), numbers: AtomicU8::new(1) }
    }

    /// The lab's name, which nobody else has.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A host's number. None comes twice: the kernel takes a dead host's uplink
    /// away a while after the host's end, and until then it answers ARP.
    #[track_caller]
    pub(crate) fn next_number(&self) -> u8 {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        assert!((1..OUTSIDE).contains(&number), "a lab has had {OUTSIDE} hosts, no more");
        number
    }

    /// Gives a host its uplink.
    #[track_caller]
    pub(crate) fn attach(&self, host: &Namespace, number: u8) {
        let (v4, v6) = addresses(number);
        // Both ends are made where they belong: the machine's own network never
        // sees them.
        let mut command = self.namespace.network_command();
        command.args(["ip", "link", "add", &format!("port{number}"), "up", "master", "switch"]);
        command.args(["type", "veth", "peer", "name", "eth0", "netns", &host.init().to_string()]);
        let output = bounded(command, None, DEFAULT_LIMIT, "adding an uplink");
        assert!(output.success(), "adding an uplink failed: {output}");

        let mut command = host.network_command();
        command.args(["ip", "-batch", "-"]);
        // "nodad": the addresses are unique, and usable at once.
        let batch = format!(
            "addr add {v4}/24 dev eth0\naddr add {v6}/64 dev eth0 nodad\nlink set eth0 up\n"
        );
        let output =
            bounded(command, Some(batch.as_bytes()), DEFAULT_LIMIT, "setting up an uplink");
        assert!(output.success(), "setting up an uplink failed: {output}");
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.namespace.end();
        janitor::remove_dir(&self.dir);
    }
}

/// The addresses of a host's uplink.
pub(crate) fn addresses(number: u8) -> (Ipv4Addr, Ipv6Addr) {
    let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0x51, 0, 0, 0, 0, number.into());
    (Ipv4Addr::new(198, 51, 100, number), v6)
}
