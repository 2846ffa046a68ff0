//! The pass through Docker's filter chains, and what it learns there.
//!
//! Docker sets the policy of iptables' FORWARD chain to DROP. Its documented place for
//! other people's rules is DOCKER-USER, which it makes, jumps to, and never fills; but it
//! takes the jump away for a moment whenever it makes a network. So our rules stand there
//! and, for that moment, at the end of FORWARD as well. They accept what comes from and
//! goes to our bridges, and carry a comment by which they are found again.
//!
//! An accept in DOCKER-USER comes before Docker's own protection of its bridges. Which
//! bridges those are stands in its rules too; our own chain then keeps our containers out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use futures::future::{join_all, try_join_all};
use rustix::thread::CapabilitySet;

use super::tool;
use crate::{
    kernel::{LinkName, Refusal},
    privileges,
};

/// What marks a rule as ours.
const COMMENT: &str = "wasmnet";
/// Matches every link whose name the host picks.
const PICKED: &str = "wn+";
/// Where our rules stand, and how they get there: before others, or behind them.
const CHAINS: [(&str, &str); 2] = [("DOCKER-USER", "-I"), ("FORWARD", "-A")];

/// One of the four rule stores that Docker may use.
struct Variant {
    list: &'static str,
    restore: &'static str,
    /// The file that lists the legacy tables in use. Asking iptables-legacy about
    /// a table makes the kernel set it up, so it is asked only about what is there.
    legacy_tables: Option<&'static str>,
}

const VARIANTS: [Variant; 4] = [
    Variant { list: "iptables-nft", restore: "iptables-nft-restore", legacy_tables: None },
    Variant { list: "ip6tables-nft", restore: "ip6tables-nft-restore", legacy_tables: None },
    Variant {
        list: "iptables-legacy",
        restore: "iptables-legacy-restore",
        legacy_tables: Some("/proc/thread-self/net/ip_tables_names"),
    },
    Variant {
        list: "ip6tables-legacy",
        restore: "ip6tables-legacy-restore",
        legacy_tables: Some("/proc/thread-self/net/ip6_tables_names"),
    },
];

/// Lets these bridges pass Docker's chains, and no others that once were ours; returns
/// Docker's own bridges. Does nothing where nobody filters forwarded traffic.
pub(super) async fn let_pass(bridges: &BTreeSet<LinkName>) -> Result<BTreeSet<LinkName>, Refusal> {
    let wanted = rules(bridges);
    // Beside each other: what takes time is that they are processes.
    let listings = try_join_all(VARIANTS.iter().map(|variant| variant.let_pass(&wanted))).await?;
    let mut foreign = docker_bridges(listings);
    foreign.retain(|bridge| !bridges.contains(bridge));
    Ok(foreign)
}

/// Docker's own bridges.
pub(super) async fn foreign() -> BTreeSet<LinkName> {
    docker_bridges(join_all(VARIANTS.iter().map(Variant::list)).await)
}

fn docker_bridges(listings: Vec<Option<String>>) -> BTreeSet<LinkName> {
    listings
        .iter()
        .flatten()
        .flat_map(|listing| listing.lines())
        .filter_map(docker_bridge)
        .collect()
}

/// Whether the legacy tables are in use, which announce no changes.
pub(super) fn is_silent() -> bool {
    VARIANTS.iter().any(|variant| variant.legacy_tables.is_some_and(has_filter_table))
}

fn has_filter_table(file: &str) -> bool {
    fs::read_to_string(file).is_ok_and(|tables| tables.lines().any(|table| table == "filter"))
}

/// The rules' matches: one each way, for picked names together.
pub(super) fn rules(bridges: &BTreeSet<LinkName>) -> BTreeSet<String> {
    // They are few, and asked for with every network that comes or goes.
    let patterns: BTreeSet<&str> =
        bridges.iter().map(|link| if link.is_picked() { PICKED } else { link.as_str() }).collect();
    patterns.into_iter().flat_map(|link| [format!("-i {link}"), format!("-o {link}")]).collect()
}

/// The iptables-restore input that leaves each wanted rule once in each chain, and no
/// other of ours; empty if it is so already.
fn script(listing: &str, wanted: &BTreeSet<String>) -> String {
    let has = |line: &str| listing.lines().any(|listed| listed == line);
    let docker = has("-N DOCKER-USER");
    let none = BTreeSet::new();
    let mut script = String::new();
    for (chain, verb) in CHAINS {
        let filters = match chain {
            "FORWARD" => docker || has("-P FORWARD DROP"),
            _ => docker,
        };
        let wanted = if filters { wanted } else { &none };
        let mut present: BTreeMap<&str, usize> = BTreeMap::new();
        for rule in listing.lines().filter_map(|line| ours(line, chain)) {
            *present.entry(rule).or_default() += 1;
        }
        for (rule, count) in &present {
            let keep = usize::from(wanted.contains(*rule));
            for _ in keep..*count {
                script.push_str(&format!("-D {chain} {}\n", full(rule)));
            }
        }
        for rule in wanted.iter().filter(|rule| !present.contains_key(rule.as_str())) {
            script.push_str(&format!("{verb} {chain} {}\n", full(rule)));
        }
    }
    script
}

fn full(rule: &str) -> String {
    format!("{rule} -m comment --comment {COMMENT} -j ACCEPT")
}

/// The match of a listed rule, if it is ours and in this chain.
fn ours<'a>(line: &'a str, chain: &str) -> Option<&'a str> {
    let rule = line.strip_prefix("-A ")?.strip_prefix(chain)?.strip_prefix(' ')?;
    let (rule, rest) = rule.split_once(" -m comment --comment ")?;
    (rest == format!("{COMMENT} -j ACCEPT")).then_some(rule)
}

/// The bridge in a rule by which Docker guards the way to one: `-o BRIDGE -j DOCKER`.
fn docker_bridge(line: &str) -> Option<LinkName> {
    let rule = line.strip_prefix("-A ")?;
    let (_, rule) = rule.split_once(' ')?;
    rule.strip_prefix("-o ")?.strip_suffix(" -j DOCKER")?.parse().ok()
}

// === impl Variant ===

impl Variant {
    /// Fails if the filter table cannot be reached, though it decides what may pass.
    fn check_rights(&self) -> Result<(), Refusal> {
        let in_use = self.legacy_tables.is_some_and(has_filter_table);
        if in_use && !privileges::has(CapabilitySet::NET_RAW) {
            return Err(Refusal::Capability {
                name: "CAP_NET_RAW",
                what: "iptables' legacy tables",
            });
        }
        Ok(())
    }

    /// Has these rules of ours stand here and no others, and returns what stood here before.
    async fn let_pass(&self, wanted: &BTreeSet<String>) -> Result<Option<String>, Refusal> {
        if !wanted.is_empty() {
            self.check_rights()?;
        }
        let Some(listing) = self.list().await else { return Ok(None) };
        let script = script(&listing, wanted);
        if !script.is_empty() {
            let script = format!("*filter\n{script}COMMIT\n");
            tool::run(self.restore, &["-w", "--noflush"], &script).await?;
        }
        Ok(Some(listing))
    }

    /// The filter table's rules; none where there is no such table or program.
    async fn list(&self) -> Option<String> {
        if !self.legacy_tables.is_none_or(has_filter_table) {
            return None;
        }
        tool::run(self.list, &["-w", "-S"], "").await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "-P INPUT ACCEPT
-P FORWARD DROP
-N DOCKER
-N DOCKER-USER
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -i wn+ -m comment --comment wasmnet -j ACCEPT
-A DOCKER-USER -i wn+ -m comment --comment wasmnet -j ACCEPT
-A DOCKER-USER -i wn+ -m comment --comment wasmnet -j ACCEPT
-A DOCKER-USER -i old0 -m comment --comment wasmnet -j ACCEPT
-A DOCKER-USER -s 192.0.2.0/24 -j DROP
-A DOCKER-USER -j RETURN
";

    fn wanted() -> BTreeSet<String> {
        BTreeSet::from(["-i wn+".to_owned(), "-o wn+".to_owned()])
    }

    #[test]
    fn only_what_differs_is_changed_and_other_rules_stay() {
        assert_eq!(
            script(LISTING, &wanted()),
            "-D DOCKER-USER -i old0 -m comment --comment wasmnet -j ACCEPT
-D DOCKER-USER -i wn+ -m comment --comment wasmnet -j ACCEPT
-I DOCKER-USER -o wn+ -m comment --comment wasmnet -j ACCEPT
-A FORWARD -o wn+ -m comment --comment wasmnet -j ACCEPT
"
        );
    }

    #[test]
    fn without_networks_nothing_of_ours_stays() {
        assert_eq!(script(LISTING, &BTreeSet::new()).lines().count(), 4);
        assert_eq!(script("-P FORWARD DROP\n-N DOCKER-USER\n", &BTreeSet::new()), "");
    }

    #[test]
    fn where_nobody_filters_nothing_is_done() {
        assert_eq!(script("-P INPUT ACCEPT\n-P FORWARD ACCEPT\n", &wanted()), "");
        assert_eq!(script("-P FORWARD DROP\n", &wanted()).lines().count(), 2, "FORWARD alone");
    }

    #[test]
    fn dockers_bridges_stand_in_its_rules() {
        let bridges: Vec<_> = LISTING.lines().filter_map(docker_bridge).collect();
        assert_eq!(bridges, ["docker0".parse().unwrap()]);
        let since_28 = "-A DOCKER-BRIDGE -o br-0123456789ab -j DOCKER";
        assert_eq!(docker_bridge(since_28), Some("br-0123456789ab".parse().unwrap()));
    }
}
