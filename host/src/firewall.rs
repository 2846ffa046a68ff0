//! The firewall: one nftables table of our own, and a pass through Docker's.
//!
//! All that differs between networks stands in sets and maps of table
//! `inet wasmnet` ([`elements`]); its chains ([`SKELETON`]) are the same on every
//! host and have a fixed number of rules, so the cost of a packet and of a change
//! does not grow with the number of networks. Each change is one nft transaction.
//!
//! An accept in one table cannot undo a drop in another, and Docker sets the
//! policy of its FORWARD chain to DROP. So our links pass Docker's chain by a
//! rule each way in DOCKER-USER ([`docker_user`]), and what may really pass is
//! decided in our own chains, which come first.
//!
//! While no network stands, there is neither table nor rule of ours.

mod docker_user;
mod elements;
mod tool;

use std::{collections::BTreeSet, fmt::Write as _};

use tokio::sync::Mutex;

use self::elements::Element;
use crate::kernel::{Error, FirewallBatch, FirewallEntry};

/// The chains of our table, and the sets they look things up in.
///
/// The forward chain hooks in just before iptables' filter tables (priority 0):
/// what it drops never gets to DOCKER-USER.
const SKELETON: &str = "
add table inet wasmnet
delete table inet wasmnet
table inet wasmnet {
    # Every network's bridge.
    set bridges { type ifname; }
    # Bridges of internal networks.
    set internal { type ifname; }
    # BRIDGE . BRIDGE: traffic between ports of one bridge (seen here with br_netfilter).
    map within { type ifname . ifname : verdict; }
    # Subnets whose traffic takes the address of the link it leaves by ...
    set masquerade4 { type ipv4_addr; flags interval; }
    set masquerade6 { type ipv6_addr; flags interval; }
    # ... unless it leaves by their own bridge.
    set at_home4 { type ipv4_addr . ifname; flags interval; }
    set at_home6 { type ipv6_addr . ifname; flags interval; }

    chain forward {
        type filter hook forward priority filter - 5; policy accept;
        ct state established,related accept
        iifname . oifname vmap @within
        oifname @bridges drop
        iifname @internal drop
    }
    chain input {
        type filter hook input priority filter - 5; policy accept;
        # From an internal network the host has only its addresses on that bridge.
        iifname @internal fib daddr . iif type != { local, broadcast, multicast } drop
    }
    chain postrouting {
        type nat hook postrouting priority srcnat - 5; policy accept;
        ip saddr . oifname @at_home4 accept
        ip saddr @masquerade4 masquerade
        ip6 saddr . oifname @at_home6 accept
        ip6 saddr @masquerade6 masquerade
    }
}
";

/// Takes the whole table away; adding it first makes that work without one.
const NOTHING: &str = "add table inet wasmnet\ndelete table inet wasmnet\n";

/// The firewall of one network namespace.
#[derive(Debug, Default)]
pub struct Firewall {
    /// What our table holds, as far as we know.
    entries: Mutex<BTreeSet<FirewallEntry>>,
}

// === impl Firewall ===

impl Firewall {
    /// Applies a batch: all of it, or nothing.
    pub async fn apply(&self, batch: &FirewallBatch) -> Result<(), Error> {
        let mut entries = self.entries.lock().await;
        let mut wanted = entries.clone();
        wanted.retain(|entry| !batch.remove.contains(entry));
        wanted.extend(batch.add.iter().cloned());
        if wanted == *entries {
            return Ok(());
        }
        let script = if entries.is_empty() || wanted.is_empty() {
            whole(&wanted)
        } else {
            difference(&entries, &wanted)
        };
        // Somebody may have flushed the ruleset behind our back: then the whole of it helps.
        if tool::nft(&script).await.is_err() {
            tool::nft(&whole(&wanted)).await.map_err(Error::Firewall)?;
        }
        self.settle(&mut entries, wanted).await
    }

    /// Makes our table hold exactly these entries, whatever is there now.
    pub async fn reset(&self, wanted: &BTreeSet<FirewallEntry>) -> Result<(), Error> {
        let mut entries = self.entries.lock().await;
        tool::nft(&whole(wanted)).await.map_err(Error::Firewall)?;
        self.settle(&mut entries, wanted.clone()).await
    }

    async fn settle(
        &self,
        entries: &mut BTreeSet<FirewallEntry>,
        wanted: BTreeSet<FirewallEntry>,
    ) -> Result<(), Error> {
        let passed = docker_user::let_pass(&wanted).await;
        if passed.is_err() {
            // All or nothing: what was there before is put back.
            tool::nft(&whole(entries)).await.map_err(Error::Firewall)?;
        } else {
            *entries = wanted;
        }
        passed.map_err(Error::Firewall)
    }
}

/// The transaction that leaves exactly these entries.
fn whole(entries: &BTreeSet<FirewallEntry>) -> String {
    if entries.is_empty() {
        return NOTHING.to_owned();
    }
    let mut script = SKELETON.to_owned();
    for element in elements::of(entries) {
        write_element(&mut script, "add", &element);
    }
    script
}

/// The transaction from one set of entries to another.
fn difference(old: &BTreeSet<FirewallEntry>, new: &BTreeSet<FirewallEntry>) -> String {
    let (old, new) = (elements::of(old), elements::of(new));
    let mut script = String::new();
    for element in old.difference(&new) {
        write_element(&mut script, "delete", element);
    }
    for element in new.difference(&old) {
        write_element(&mut script, "add", element);
    }
    script
}

fn write_element(script: &mut String, verb: &str, element: &Element) {
    // Writing to a String cannot fail.
    let _ = writeln!(script, "{verb} element inet wasmnet {} {{ {} }}", element.set, element.value);
}
