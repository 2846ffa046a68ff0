//! Grants in plain words, for who is asked whether a driver may.

use std::fmt::Display;

use super::Grants;

// === impl Grants ===

impl Grants {
    /// One line for each thing that a driver may do, to follow "it may".
    pub fn in_words(&self) -> Vec<String> {
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
        if !links.is_empty() {
            let kinds = links.iter().map(|kind| kind.name());
            words.push(format!("make links of its own: {}", list(kinds)));
        }
        let mut of = |what: &str, texts: Vec<String>| {
            if !texts.is_empty() {
                words.push(format!("{what} {}", texts.join(", ")));
            }
        };
        of("use bridges of others, where a network's user names them:", texts(adopt));
        of("make links on links of the host, where a network's user names them:", texts(parents));
        of("use addresses beyond its networks' own:", texts(addresses));
        of("have routes beyond its networks' own:", texts(routes));
        of("write settings of its links:", texts(sysctls));
        of("publish ports of the host:", texts(publish));
        of("send HTTP requests to", texts(http));
        of("read files of the host:", texts(files));
        for (may, what) in [
            (masquerade, "change the source address of what leaves the host"),
            (direct_access, "let others reach its containers' own addresses"),
            (host_networks, "learn which networks the host uses"),
            (cluster, "share values with itself on other hosts of the cluster"),
        ] {
            if *may {
                words.push(what.to_owned());
            }
        }
        words
    }
}

fn texts<T: Display>(of: impl IntoIterator<Item = T>) -> Vec<String> {
    of.into_iter().map(|one| one.to_string()).collect()
}

fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_can_be_granted_has_words() {
        // Each example of a code's is one thing.
        for code in super::super::Code::ALL {
            let Some(example) = code.grant() else { continue };
            let grants: Grants = toml::from_str(example).unwrap();
            assert_eq!(grants.in_words().len(), 1, "{example}: {:?}", grants.in_words());
        }
        assert!(Grants::default().in_words().is_empty());
    }
}
