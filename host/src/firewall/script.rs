//! The text of our table, for nft(8).

use std::{collections::BTreeSet, fmt::Write as _};

use super::{
    TABLE,
    elements::{Element, foreign_bridge},
    held::Held,
};
use crate::kernel::LinkName;

/// The chains of our table, and the sets they look things up in.
///
/// The forward chain hooks in just before iptables' filter tables (priority 0): what
/// it drops never gets to DOCKER-USER. NAT hooks in just before iptables' NAT, so that a
/// port of ours is ours whatever stands there.
const SKELETON: &str = "
table inet wasmnet {
    # Every network's bridge.
    set bridges { type ifname; }
    # Bridges of internal networks.
    set internal { type ifname; }
    # Bridges whose ports may not talk to each other.
    set quiet { type ifname; }
    # BRIDGE . BRIDGE, since two links of a packet cannot be compared otherwise.
    set same { type ifname . ifname; }
    # LINK . BRIDGE: whoever is behind the link may reach the bridge's containers.
    set trusted { type ifname . ifname; }
    # Bridges whose containers everybody may reach.
    set unprotected4 { type ifname; }
    set unprotected6 { type ifname; }
    # Bridges whose containers are reached by their own addresses: by ICMP, and ...
    set routed4 { type ifname; }
    set routed6 { type ifname; }
    # ... at these ports.
    set open4 { type inet_proto . ipv4_addr . inet_service; }
    set open6 { type inet_proto . ipv6_addr . inet_service; }
    # Docker's bridges. What goes there from ours only goes to ports Docker publishes.
    set foreign { type ifname; }
    # Bridges whose traffic takes the address of the link by which it leaves, or another. By
    # name and not by subnet: the kernel copies a set of ranges whenever one of them changes.
    set masquerade4 { type ifname; }
    set masquerade6 { type ifname; }
    map snat4 { type ifname : ipv4_addr; }
    map snat6 { type ifname : ipv6_addr; }
    # Published ports: on all of the host's addresses, and on one.
    map ports4 { type inet_proto . inet_service : ipv4_addr . inet_service; }
    map ports6 { type inet_proto . inet_service : ipv6_addr . inet_service; }
    map ports4_at { type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service; }
    map ports6_at { type inet_proto . ipv6_addr . inet_service : ipv6_addr . inet_service; }

    chain raw {
        type filter hook prerouting priority raw - 5; policy accept;
        # Bridges have route_localnet for the host's own connections to its published
        # ports; nobody may come in that way.
        iifname @bridges ip daddr 127.0.0.0/8 drop
    }
    chain prerouting {
        type nat hook prerouting priority dstnat - 5; policy accept;
        # To its neighbours such a bridge's container gets by the daemon alone, which
        # carries the data: frames between its ports are dropped.
        iifname @quiet return
        fib daddr type local goto published
    }
    chain output {
        type nat hook output priority -105; policy accept;
        fib daddr type local goto published
    }
    chain published {
        dnat ip to meta l4proto . ip daddr . th dport map @ports4_at
        meta nfproto ipv4 dnat ip to meta l4proto . th dport map @ports4
        # ::1 cannot leave the host; the daemon carries those connections itself.
        ip6 daddr ::1 accept
        dnat ip6 to meta l4proto . ip6 daddr . th dport map @ports6_at
        meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @ports6
    }
    chain forward {
        type filter hook forward priority filter - 5; policy accept;
        ct state established,related accept
        iifname . oifname @same goto within
        iifname @internal drop
        oifname @bridges goto into
        iifname @bridges oifname @foreign goto foreign_ports
    }
    chain foreign_ports {
        ct status dnat accept
        drop
    }
    chain within {
        ct status dnat accept
        iifname @quiet drop
    }
    chain into {
        oifname @internal drop
        ct status dnat accept
        iifname . oifname @trusted accept
        meta nfproto ipv4 oifname @unprotected4 accept
        meta nfproto ipv6 oifname @unprotected6 accept
        oifname @routed4 meta l4proto icmp accept
        oifname @routed6 meta l4proto icmpv6 accept
        meta l4proto . ip daddr . th dport @open4 accept
        meta l4proto . ip6 daddr . th dport @open6 accept
        drop
    }
    chain input {
        type filter hook input priority filter - 5; policy accept;
        # From an internal network the host has only its addresses on that bridge.
        iifname @internal fib daddr . iif type != { local, broadcast, multicast } drop
    }
    chain postrouting {
        type nat hook postrouting priority srcnat - 5; policy accept;
        iifname . oifname @same goto home
        # br_netfilter hands over what it carries across a bridge as coming from nowhere.
        meta iif 0 oifname @bridges fib saddr type != local goto home
        oifname @bridges ip saddr 127.0.0.0/8 masquerade
        meta nfproto ipv4 snat ip to iifname map @snat4
        meta nfproto ipv6 snat ip6 to iifname map @snat6
        meta nfproto ipv4 iifname @masquerade4 masquerade
        meta nfproto ipv6 iifname @masquerade6 masquerade
    }
    chain home {
        # A container that reaches its neighbour's, or its own, published port: the
        # answer has to come back through the host.
        ct status dnat masquerade
    }
}
";

/// What comes before it where there may be a table; adding one first makes that work without.
const ANEW: &str = "add table inet wasmnet\ndelete table inet wasmnet\n";
/// And where there is none: fails if there is. To delete costs a grace period.
const FIRST: &str = "create table inet wasmnet\n";

/// The transaction that leaves exactly this in our table, if it stands or not.
pub(super) fn script(stands: bool, held: &Held, foreign: &BTreeSet<LinkName>) -> String {
    let mut script = [if stands { ANEW } else { FIRST }, SKELETON].concat();
    let foreign: Vec<Element> = foreign.iter().map(foreign_bridge).collect();
    for element in held.elements().chain(&foreign) {
        // Writing to a String cannot fail.
        let _ =
            writeln!(script, "add element inet {TABLE} {} {{ {} }}", element.set, element.text());
    }
    script
}

/// The sets and maps of our table.
pub(super) fn sets() -> impl Iterator<Item = &'static str> {
    SKELETON.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        matches!(words.next(), Some("set" | "map")).then(|| words.next())?
    })
}
