//! The pass through Docker's chains.
//!
//! Docker's documented place for other people's rules is the chain DOCKER-USER,
//! which it makes and jumps to but never fills or flushes. Ours accept what comes
//! from and goes to our bridges; they carry a comment by which they are found again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use super::tool;
use crate::kernel::{LinkName, Refusal};

/// What marks a rule as ours.
const COMMENT: &str = "wasmnet";
/// Matches every link whose name the host picks.
const PICKED: &str = "wn+";

/// One of the four rule stores that Docker may use.
struct Variant {
    program: &'static str,
    /// The file that lists the legacy tables in use. Asking iptables-legacy about
    /// a table makes the kernel set it up, so it is asked only about what is there.
    legacy_tables: Option<&'static str>,
}

const VARIANTS: [Variant; 4] = [
    Variant { program: "iptables-nft", legacy_tables: None },
    Variant { program: "ip6tables-nft", legacy_tables: None },
    Variant {
        program: "iptables-legacy",
        legacy_tables: Some("/proc/thread-self/net/ip_tables_names"),
    },
    Variant {
        program: "ip6tables-legacy",
        legacy_tables: Some("/proc/thread-self/net/ip6_tables_names"),
    },
];

/// Lets these bridges pass Docker's FORWARD chain, and no others
/// that once were ours. Does nothing where Docker has no such chain.
pub(super) async fn let_pass(bridges: &BTreeSet<LinkName>) -> Result<(), Refusal> {
    let wanted = rules(bridges);
    for variant in &VARIANTS {
        let Some(listing) = variant.list().await else { continue };
        let script = script(&listing, &wanted);
        if !script.is_empty() {
            variant.restore(&script).await?;
        }
    }
    Ok(())
}

/// The rules' matches: one each way, for picked names together.
fn rules(bridges: &BTreeSet<LinkName>) -> BTreeSet<String> {
    let pattern =
        |link: &LinkName| if link.is_picked() { PICKED.to_owned() } else { link.to_string() };
    bridges
        .iter()
        .map(pattern)
        .flat_map(|link| [format!("-i {link}"), format!("-o {link}")])
        .collect()
}

/// The iptables-restore input that leaves each wanted rule once and no other of
/// ours; empty if it is so already.
fn script(listing: &str, wanted: &BTreeSet<String>) -> String {
    let mut present: BTreeMap<&str, usize> = BTreeMap::new();
    for rule in listing.lines().filter_map(ours) {
        *present.entry(rule).or_default() += 1;
    }
    let mut script = String::new();
    for (rule, count) in &present {
        let keep = usize::from(wanted.contains(*rule));
        for _ in keep..*count {
            script.push_str(&format!("-D DOCKER-USER {}\n", full(rule)));
        }
    }
    for rule in wanted.iter().filter(|rule| !present.contains_key(rule.as_str())) {
        script.push_str(&format!("-I DOCKER-USER {}\n", full(rule)));
    }
    script
}

fn full(rule: &str) -> String {
    format!("{rule} -m comment --comment {COMMENT} -j ACCEPT")
}

/// The match of a listed rule, if it is ours.
fn ours(line: &str) -> Option<&str> {
    let rule = line.strip_prefix("-A DOCKER-USER ")?;
    let (rule, rest) = rule.split_once(" -m comment --comment ")?;
    (rest == format!("{COMMENT} -j ACCEPT")).then_some(rule)
}

// === impl Variant ===

impl Variant {
    /// The rules of DOCKER-USER; none where there is no such chain or program.
    async fn list(&self) -> Option<String> {
        if let Some(tables) = self.legacy_tables {
            let tables = fs::read_to_string(tables).ok()?;
            tables.lines().find(|table| *table == "filter")?;
        }
        tool::run(self.program, &["-w", "-S", "DOCKER-USER"], "").await.ok()
    }

    async fn restore(&self, script: &str) -> Result<(), Refusal> {
        let program = match self.program {
            "iptables-nft" => "iptables-nft-restore",
            "ip6tables-nft" => "ip6tables-nft-restore",
            "iptables-legacy" => "iptables-legacy-restore",
            _ => "ip6tables-legacy-restore",
        };
        let script = format!("*filter\n{script}COMMIT\n");
        tool::run(program, &["-w", "--noflush"], &script).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "-N DOCKER-USER
-A DOCKER-USER -i wn+ -m comment --comment wasmnet -j ACCEPT
-A DOCKER-USER -i wn+ -m comment --comment wasmnet -j ACCEPT
-A DOCKER-USER -i old0 -m comment --comment wasmnet -j ACCEPT
-A DOCKER-USER -s 192.0.2.0/24 -j DROP
-A DOCKER-USER -j RETURN
";

    #[test]
    fn only_what_differs_is_changed_and_other_rules_stay() {
        let wanted = BTreeSet::from(["-i wn+".to_owned(), "-o wn+".to_owned()]);
        assert_eq!(
            script(LISTING, &wanted),
            "-D DOCKER-USER -i old0 -m comment --comment wasmnet -j ACCEPT
-D DOCKER-USER -i wn+ -m comment --comment wasmnet -j ACCEPT
-I DOCKER-USER -o wn+ -m comment --comment wasmnet -j ACCEPT
"
        );
        let standing = "-A DOCKER-USER -o wn+ -m comment --comment wasmnet -j ACCEPT
-A DOCKER-USER -i wn+ -m comment --comment wasmnet -j ACCEPT\n";
        assert_eq!(script(standing, &wanted), "");
    }

    #[test]
    fn without_networks_nothing_of_ours_stays() {
        assert_eq!(script(LISTING, &BTreeSet::new()).lines().count(), 3);
        assert_eq!(script("-N DOCKER-USER\n-A DOCKER-USER -j RETURN\n", &BTreeSet::new()), "");
    }
}
