//! The kernel's tables of neighbours, which all containers of a host share.
//!
//! A container has an entry for each neighbour that it speaks with. Of a family the kernel
//! keeps no more than `gc_thresh3` for all network namespaces together (1024, unless somebody
//! has raised it: Documentation/networking/ip-sysctl.rst), so thirty containers that all speak
//! with each other nearly fill a table. When it is full, packets to others are lost, whichever
//! network they are on. Docker's overlay driver raises the limits for all of the host; the
//! daemon changes no settings but its networks', and says here what to do.

use std::fs;

use super::{Finding, Kind};

/// What the kernel starts with.
const DEFAULT: u64 = 1024;

/// A table, as `/proc/net/stat` tells.
#[derive(Debug, PartialEq, Eq)]
struct Table {
    entries: u64,
    /// How often it was full since the host was booted.
    fulls: u64,
}

/// Looks at both families. In a network namespace of its own the daemon sees neither.
pub(crate) fn examine() -> Vec<Finding> {
    let families = [("ipv4", "arp_cache"), ("ipv6", "ndisc_cache")];
    let findings = families.into_iter().filter_map(|(family, file)| {
        let limit = format!("/proc/sys/net/{family}/neigh/default/gc_thresh3");
        let limit = fs::read_to_string(limit).ok()?.trim().parse().ok()?;
        let table = fs::read_to_string(format!("/proc/net/stat/{file}")).ok()?;
        Table::read(&table)?.finding(family, limit)
    });
    findings.collect()
}

// === impl Table ===

impl Table {
    /// From a heading and a line for each processor, in hexadecimal.
    fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let heading: Vec<&str> = lines.next()?.split_whitespace().collect();
        let column = |name| heading.iter().position(|word| *word == name);
        let (entries, fulls) = (column("entries")?, column("table_fulls")?);
        let mut table = Self { entries: 0, fulls: 0 };
        for line in lines {
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |column: usize| u64::from_str_radix(words.get(column)?, 16).ok();
            // The table's on every line; the other is the processor's.
            table.entries = number(entries)?;
            table.fulls += number(fulls)?;
        }
        Some(table)
    }

    fn finding(&self, family: &str, limit: u64) -> Option<Finding> {
        let name = format!("net.{family}.neigh.default.gc_thresh");
        let entries = self.entries;
        let wrong = if entries.saturating_mul(4) >= limit.saturating_mul(3) {
            format!(
                "the kernel's table of {family} neighbours has {entries} entries of {limit} that fit ({name}3): when it is full, containers lose packets to neighbours that are not in it"
            )
        } else if self.fulls > 0 && limit <= DEFAULT {
            format!(
                "the kernel's table of {family} neighbours was full {} times since the host was booted: no more than {limit} entries fit ({name}3), and packets to further neighbours were lost",
                self.fulls
            )
        } else {
            return None;
        };
        // What Docker's overlay driver sets.
        let advice = format!(
            "run \"sysctl -w {name}3=65536 {name}2=49152 {name}1=8192\" and keep it in /etc/sysctl.d"
        );
        Some(Finding::new(Kind::Neighbours, wrong, advice))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of Linux 6.18, columns in the middle left out.
    const STAT: &str = "entries  allocs   forced_gc_runs unresolved_discards table_fulls\n\
                        00000313 0001724a 00000083       00000000            00000063\n\
                        00000313 0001b6be 00000074       00000000            00000055\n";

    fn table() -> Table {
        Table::read(STAT).unwrap()
    }

    #[test]
    fn a_table_is_read_as_the_kernel_writes_it() {
        assert_eq!(table(), Table { entries: 0x313, fulls: 0x63 + 0x55 });
        for wrong in ["", "entries lookups\n1 1\n", "entries table_fulls\n1 x\n"] {
            assert_eq!(Table::read(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn one_that_is_nearly_full_or_was_is_told_until_the_limit_is_raised() {
        let told = |limit| table().finding("ipv4", limit).map(|finding| finding.wrong);
        assert!(told(1024).unwrap().contains("has 787 entries of 1024"));
        assert_eq!(told(8192), None, "it was full, but that was before");
        let emptier = Table { entries: 9, ..table() };
        let finding = emptier.finding("ipv6", 1024).unwrap();
        assert!(finding.wrong.contains("was full 184 times"), "{finding:?}");
        assert!(finding.advice.contains("net.ipv6.neigh.default.gc_thresh3=65536"), "{finding:?}");
        assert_eq!(Table { entries: 9, fulls: 0 }.finding("ipv4", 1024), None);
    }
}
