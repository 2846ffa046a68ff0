//! Grants in plain words.

use std::fmt::Display;

use super::{Grants, table::Kind};

// === impl Grants ===

impl Grants {
    /// What they allow, a phrase each that goes on from "may".
    pub fn words(&self) -> Vec<String> {
        let Self {
            links,
            adopt,
            parents,
            addresses,
            routes,
            sysctls,
            masquerade,
            publish,
            direct_access,
            host_networks,
            cluster,
            http,
            files,
        } = self;
        let mut words = Vec::new();
        let kinds: Vec<&str> = links.iter().map(|kind| kind.words()).collect();
        say(&mut words, &kinds, |kinds| format!("make {kinds}"));
        say(&mut words, adopt, |names| {
            format!("use bridges of others, if a network's user names them: {names}")
        });
        say(&mut words, parents, |names| {
            format!("make links on the host's links, if a network's user names them: {names}")
        });
        say(&mut words, addresses, |nets| format!("give its links addresses of {nets}"));
        say(&mut words, routes, |nets| format!("lead {nets} through its links"));
        let sysctls: Vec<&String> = sysctls.iter().collect();
        say(&mut words, &sysctls, |keys| format!("set {keys} of its links"));
        if *masquerade {
            words.push("change the source address of what leaves the host".to_owned());
        }
        say(&mut words, publish, |ports| format!("publish the host's ports {ports}"));
        if *direct_access {
            words.push("let others reach its containers' own addresses".to_owned());
        }
        if *host_networks {
            words.push("learn which networks the host itself uses".to_owned());
        }
        if *cluster {
            words.push("share values with itself on the other nodes of a cluster".to_owned());
        }
        say(&mut words, http, |servers| format!("send HTTP requests to {servers}"));
        say(&mut words, files, |files| format!("read the host's files {files}"));
        words
    }
}

// === impl Kind ===

impl Kind {
    /// Several of them, in words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Bridge => "bridges",
            Self::Veth => "veth pairs",
            Self::Vxlan => "VXLAN tunnel endpoints",
            Self::Macvlan => "macvlan links",
            Self::Ipvlan => "ipvlan links",
            Self::Vlan => "VLAN links",
        }
    }
}

/// Adds a phrase about some things, if there are any.
fn say<T: Display>(words: &mut Vec<String>, things: &[T], phrase: impl FnOnce(String) -> String) {
    let names: Vec<String> = things.iter().map(T::to_string).collect();
    match names.as_slice() {
        [] => {}
        [one] => words.push(phrase(one.clone())),
        [most @ .., last] => words.push(phrase(format!("{} and {last}", most.join(", ")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_grant_is_said() {
        let grants: Grants = toml::from_str(
            r#"
            links = ["veth", "bridge", "vxlan"]
            adopt = ["br*"]
            parents = ["eth0", "eth1"]
            addresses = ["192.0.2.0/24"]
            routes = ["0.0.0.0/0"]
            sysctls = ["accept_ra"]
            masquerade = true
            publish = ["443", "8000-8999"]
            direct-access = true
            host-networks = true
            cluster = true
            http = ["ipam.example"]
            files = ["/etc/acme/*"]
            "#,
        )
        .unwrap();
        let words = grants.words();
        assert_eq!(words.len(), 13, "{words:#?}");
        assert_eq!(words[0], "make bridges, veth pairs and VXLAN tunnel endpoints");
        assert_eq!(words[7], "publish the host's ports 443 and 8000-8999");
        assert_eq!(Grants::default().words(), [""; 0]);
    }
}
