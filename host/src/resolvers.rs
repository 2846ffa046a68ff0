//! The host's name servers: a network on their addresses would cut the host off from them.

use std::{collections::BTreeSet, fs, net::IpAddr};

/// The host's own file, and the one of systemd-resolved, which writes itself into the first.
const FILES: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// The addresses of all name servers. A file that cannot be read names none.
pub fn find() -> BTreeSet<IpAddr> {
    let files = FILES.iter().filter_map(|file| fs::read_to_string(file).ok());
    files.flat_map(|text| parse(&text)).collect()
}

/// The name servers of a resolv.conf(5).
fn parse(text: &str) -> Vec<IpAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        let address = (words.next()? == "nameserver").then(|| words.next())??;
        // Without the link of a link-local address.
        address.split('%').next()?.parse().ok()
    };
    text.lines().filter_map(server).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_and_nothing_else() {
        let text = "# nameserver 192.0.2.9\nsearch example.org\nnameserver 192.0.2.1\n\
                    nameserver\tfe80::1%eth0\nnameserver nonsense\nnameserver\noptions ndots:1\n";
        let expected: [IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "fe80::1".parse().unwrap()];
        assert_eq!(parse(text), expected);
    }
}
