//! A host's network state as comparable text.

use serde_json::Value;

/// Prints everything, a heading before each part. A legacy iptables that is
/// not installed has no state.
pub(crate) const SCRIPT: &str = r#"
part() { printf '=== %s\n' "$*"; }
part link; ip -j -d addr show
part route4; ip -4 route show table all
part route6; ip -6 route show table all
part rule4; ip -4 rule show
part rule6; ip -6 rule show
part neigh; ip neigh show nud permanent
part qdisc; tc qdisc show
part nft; nft -s list ruleset
for save in iptables-save ip6tables-save iptables-legacy-save ip6tables-legacy-save; do
    if command -v $save >/dev/null; then part iptables $save; $save; fi
done
cd /proc/sys/net
part sysctl
grep -s . ipv4/ip_forward \
    ipv4/conf/*/forwarding ipv4/conf/*/route_localnet ipv4/conf/*/rp_filter ipv4/conf/*/proxy_arp \
    ipv6/conf/*/forwarding ipv6/conf/*/disable_ipv6 ipv6/conf/*/accept_ra ipv6/conf/*/proxy_ndp ||
    true # A link may go while its settings are read.
# Absent until somebody loads the module, then 1.
for name in iptables ip6tables; do
    echo "bridge-nf-call-$name:$(cat bridge/bridge-nf-call-$name 2>/dev/null || echo 1)"
done
"#;

/// JSON keys of links and addresses that change by themselves, or that a new
/// interface of the same kind does not share with the old one.
const VOLATILE: &[&str] = &[
    "fdb_n_learned",
    "ifindex",
    "link_index",
    "link_netnsid",
    "preferred_life_time",
    "tentative",
    // A bridge keeps the value of a port it once had.
    "tso_max_size",
    "valid_life_time",
];

/// Makes lines that do not depend on counters, indexes, time or the order in
/// which independent things were made.
pub(crate) fn normalise(text: &str) -> String {
    let mut lines = Vec::new();
    for part in text.split("=== ").skip(1) {
        let (title, body) = part.split_once('\n').unwrap_or((part, ""));
        lines.extend(match title {
            "link" => links(body),
            "nft" => nft(body),
            _ => match title.strip_prefix("iptables ") {
                Some(program) => iptables(program, body),
                None => plain(title, body),
            },
        });
    }
    without_idle_raw(lines).join("\n")
}

/// Engines since 28 make iptables' table `raw` for their first container, and leave it
/// behind without a rule. So it counts as nothing.
fn without_idle_raw(mut lines: Vec<String>) -> Vec<String> {
    for family in ["", "6"] {
        let prefixes = [format!("nft table ip{family} raw"), format!("ip{family}tables-save raw ")];
        let is_raw = |line: &String| prefixes.iter().any(|prefix| line.starts_with(prefix));
        let does_nothing = |line: &String| {
            [": ", ": ACCEPT", "; policy accept;"].iter().any(|end| line.ends_with(end))
        };
        if lines.iter().filter(|line| is_raw(line)).all(does_nothing) {
            lines.retain(|line| !is_raw(line));
        }
    }
    lines
}

/// Fails when two dumps of [`Host::netns_state`](crate::Host::netns_state)
/// differ.
///
/// # Panics
/// With the lines that went and the lines that came.
#[track_caller]
pub fn assert_same_state(before: &str, after: &str) {
    assert!(before == after, "the network state differs:\n{}", difference(before, after));
}

fn difference(before: &str, after: &str) -> String {
    let only = |sign: &str, here: &str, there: &str| -> Vec<String> {
        let mut others: Vec<&str> = there.lines().collect();
        here.lines()
            .filter(|line| match others.iter().position(|other| other == line) {
                Some(at) => {
                    others.swap_remove(at);
                    false
                }
                None => true,
            })
            .map(|line| format!("{sign} {line}"))
            .collect()
    };
    let lines = [only("-", before, after), only("+", after, before)].concat();
    if !lines.is_empty() {
        return lines.join("\n");
    }
    let moved = before.lines().zip(after.lines()).filter(|(before, after)| before != after);
    let moved: Vec<_> = moved.map(|(before, after)| format!("- {before}\n+ {after}")).collect();
    format!("the same lines in another order:\n{}", moved.join("\n"))
}

fn links(json: &str) -> Vec<String> {
    let links: Vec<Value> = serde_json::from_str(json).expect("the JSON of ip");
    let mut lines = Vec::new();
    for link in &links {
        let name = link.get("ifname").and_then(Value::as_str).unwrap_or("?");
        flatten(&format!("link {name}"), link, &mut lines);
    }
    lines.sort();
    lines
}

/// One line for each leaf, so that a difference shows what it belongs to.
fn flatten(path: &str, value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                if !VOLATILE.contains(&key.as_str()) && !key.ends_with("_timer") {
                    flatten(&format!("{path} {key}"), value, lines);
                }
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for item in items.iter().filter(|item| !is_link_local(item)) {
                // An address is told from its neighbours by itself, not by its
                // place: that depends on the order of adding.
                let name = item.get("local").and_then(Value::as_str).unwrap_or_default();
                flatten(&format!("{path} {name}"), item, lines);
            }
        }
        _ => lines.push(format!("{path} {value}")),
    }
}

/// The kernel adds these and their routes by itself, a while after an interface
/// has its first carrier.
fn is_link_local(address: &Value) -> bool {
    address.get("local").and_then(Value::as_str).is_some_and(|local| local.starts_with("fe80:"))
}

fn is_link_local_route(line: &str) -> bool {
    line.contains("proto kernel") && (line.contains("fe80:") || line.contains("ff00::/8"))
}

fn plain(title: &str, body: &str) -> Vec<String> {
    let mut lines: Vec<String> = body
        .lines()
        .filter(|line| !is_link_local_route(line))
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            format!("{title} {}", without(&words, &["expires", "refcnt"]).join(" "))
        })
        .collect();
    lines.sort();
    lines
}

/// The words without these keys and the word after each.
fn without<'a>(words: &[&'a str], keys: &[&str]) -> Vec<&'a str> {
    let mut skip = false;
    words
        .iter()
        .copied()
        .filter(|word| {
            let volatile = skip || keys.contains(word);
            skip = !skip && keys.contains(word);
            !volatile
        })
        .collect()
}

/// Every line with the blocks it is in. Blocks are sorted; the order inside one
/// stays, because a chain's rules are read in order.
fn nft(text: &str) -> Vec<String> {
    let mut blocks: Vec<&str> = Vec::new();
    let mut lines = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_suffix(" {") {
            blocks.push(name);
            lines.push((blocks.join(" "), ""));
        } else if line == "}" {
            blocks.pop();
        } else if !line.is_empty() && !line.starts_with('#') {
            lines.push((blocks.join(" "), line));
        }
    }
    // The elements of a set have no order, but for the one they were added in.
    let (sets, others): (Vec<_>, Vec<_>) = lines
        .into_iter()
        .partition(|(block, _)| block.contains(" set ") || block.contains(" map "));
    let mut sets: Vec<(String, &str)> = sets
        .into_iter()
        .map(|(block, line)| {
            let line = line.strip_prefix("elements = {").unwrap_or(line);
            (block, line.trim_end_matches(['}', ',', ' ']).trim_start())
        })
        .collect();
    sets.sort();
    [sorted("nft", sets), sorted("nft", others)].concat()
}

/// Like [`nft`], with tables and chains as blocks.
fn iptables(program: &str, text: &str) -> Vec<String> {
    let mut table = "";
    let mut lines = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = name;
        } else if let Some(chain) = line.strip_prefix(':') {
            // ":FORWARD DROP [12:720]": the counters are cut off.
            let (chain, policy) = chain.split_once(' ').unwrap_or((chain, ""));
            let policy = policy.split_once(" [").map_or(policy, |(policy, _)| policy);
            lines.push((format!("{table} {chain}"), policy));
        } else if let Some(rule) = line.strip_prefix("-A ") {
            let (chain, rule) = rule.split_once(' ').unwrap_or((rule, ""));
            lines.push((format!("{table} {chain}"), rule));
        }
    }
    sorted(program, lines)
}

fn sorted(title: &str, mut lines: Vec<(String, &str)>) -> Vec<String> {
    lines.sort_by(|one, other| one.0.cmp(&other.0));
    lines.into_iter().map(|(block, line)| format!("{title} {block}: {line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_matters_inside_a_chain_only() {
        let one = "table ip a {\n\tchain x {\n\t\taccept\n\t\tdrop\n\t}\n\tchain y {\n\t}\n}\n";
        let two = "table ip a {\n\tchain y {\n\t}\n\n\tchain x {\n\t\taccept\n\t\tdrop\n\t}\n}\n";
        let other = "table ip a {\n\tchain x {\n\t\tdrop\n\t\taccept\n\t}\n\tchain y {\n\t}\n}\n";
        assert_eq!(nft(one), nft(two));
        assert_ne!(nft(one), nft(other));
    }

    #[test]
    fn counters_and_comments_do_not_count() {
        let one = "# at noon\n*filter\n:FORWARD DROP [1:2]\n-A FORWARD -j X\nCOMMIT\n";
        let two = "*filter\n:FORWARD DROP [3:4]\n-A FORWARD -j X\nCOMMIT\n# at one\n";
        assert_eq!(iptables("save", one), iptables("save", two));
        assert_eq!(
            iptables("save", one),
            ["save filter FORWARD: DROP", "save filter FORWARD: -j X"]
        );
        assert_eq!(plain("route6", "a expires 12sec b"), ["route6 a b"]);
    }

    #[test]
    fn a_raw_table_without_a_rule_is_none() {
        let hook = "type filter hook prerouting priority raw; policy accept;";
        let dump = |nft_rule: &str, rule: &str| {
            let chain = format!("\tchain PREROUTING {{\n\t\t{hook}\n{nft_rule}\t}}\n");
            normalise(&format!(
                "=== nft\ntable ip raw {{\n{chain}}}\n\
                 === iptables iptables-save\n*raw\n:PREROUTING ACCEPT [1:2]\n{rule}COMMIT\n"
            ))
        };
        assert_eq!(dump("", ""), "");
        assert!(dump("", "-A PREROUTING -j DROP\n").contains("raw PREROUTING: -j DROP"));
        assert!(dump("\t\tdrop\n", "").contains("chain PREROUTING: drop"));
    }

    #[test]
    fn a_difference_names_the_lines() {
        assert_eq!(difference("a\nb\nb", "b\nc"), "- a\n- b\n+ c");
        let moved = difference("a\nb\nc", "a\nc\nb");
        assert_eq!(moved, "the same lines in another order:\n- b\n+ c\n- c\n+ b");
    }
}
