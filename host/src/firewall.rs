//! The firewall: one nftables table of our own, and a pass through Docker's.
//!
//! All that differs between networks stands in sets and maps of table
//! `inet wasmnet` ([`elements`]); its chains ([`SKELETON`]) are the same on every
//! host and have a fixed number of rules, so the cost of a packet and of a change
//! does not grow with the number of networks. Each change is one nft transaction.
//!
//! An accept in one table cannot undo a drop in another, and Docker sets the
//! policy of its FORWARD chain to DROP. So our links pass Docker's chains by a rule
//! each way ([`pass`]), and what may really pass is decided in our own chains, which
//! come first.
//!
//! Somebody may flush all of it, or delete an element. [`Watch`] hears of that, and
//! [`Firewall::repair`] looks and puts back what is missing.
//!
//! While no network stands, there is neither table nor rule of ours. The kernel takes its time to
//! take chains and rules away (an RCU grace period for each process that does so), so those that
//! the last network leaves go when no call waits ([`Firewall::tidy`]).
//!
//! A second table, of the ingress of links, carries frames of overlay networks past all
//! that: see [`shortcuts`].

mod elements;
mod held;
mod netdev;
mod netlink;
mod pass;
mod shortcuts;
mod tool;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io,
};

use netlink_packet_netfilter::NetfilterProtoFamily;
use tokio::sync::Mutex;

pub use self::watch::Watch;
use self::{
    elements::{Element, Field},
    held::{Change, Held},
    netlink::{Batches, RawElement},
    shortcuts::Shortcuts,
};
use crate::kernel::{Error, FirewallBatch, FirewallDrift, FirewallEntry, LinkName, Refusal};

/// Our table's name.
const TABLE: &str = "wasmnet";

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

/// The firewall of one network namespace.
#[derive(Debug)]
pub struct Firewall {
    port: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// What our table holds, as far as we know.
    held: Held,
    /// Whether our table may be there.
    stands: bool,
    /// Docker's bridges.
    foreign: BTreeSet<LinkName>,
    /// The rules that stand in Docker's chains, as far as we know; none if we do not.
    passing: Option<BTreeSet<String>>,
    /// The rules of our table when it was made.
    rules: Vec<u64>,
    shortcuts: Shortcuts,
    batches: Batches,
}

// === impl Firewall ===

impl Firewall {
    /// Opens the sockets, in the calling thread's network namespace.
    pub fn open() -> io::Result<Self> {
        let batches = Batches::open()?;
        let port = batches.port()?;
        let state = State {
            held: Held::default(),
            // A table that an earlier daemon left is not ours to take away until it is known
            // what it has to hold: see `reset`.
            stands: false,
            foreign: BTreeSet::new(),
            passing: Some(BTreeSet::new()),
            rules: Vec::new(),
            shortcuts: Shortcuts::default(),
            batches,
        };
        Ok(Self { port, state: Mutex::new(state) })
    }

    /// The number of the netlink socket by which elements are added and deleted.
    pub fn port(&self) -> u32 {
        self.port
    }

    /// Applies a batch: all of it, or nothing. Shortcuts a kernel may do without.
    pub async fn apply(&self, batch: &FirewallBatch) -> Result<(), Error> {
        let (shortcuts, batch) = shortcuts::split(batch);
        let mut state = self.state.lock().await;
        if batch != FirewallBatch::default() {
            state.apply(&batch).await?;
        }
        let State { shortcuts: of, batches, .. } = &mut *state;
        of.apply(batches, &shortcuts);
        Ok(())
    }

    /// Says that a link was made, if only again: what was said about it may have gone with
    /// the one before.
    pub async fn link_came(&self, link: &LinkName) {
        let State { shortcuts, batches, .. } = &mut *self.state.lock().await;
        shortcuts.came(batches, link);
    }

    /// Makes our table hold exactly these entries, whatever is there now.
    pub async fn reset(&self, entries: &BTreeSet<FirewallEntry>) -> Result<(), Error> {
        let mut state = self.state.lock().await;
        let State { shortcuts, batches, .. } = &mut *state;
        shortcuts.reset(batches, entries);
        let before = std::mem::replace(&mut state.held, Held::of(entries));
        (state.stands, state.passing) = (true, None);
        let settled = match state.held.is_empty() {
            true => state.tidy().await,
            false => state.settle(false).await,
        };
        if settled.is_err() {
            state.held = before;
        }
        settled.map_err(Error::Firewall)
    }

    /// Looks whether our table and our pass through Docker's chains still stand, and puts
    /// back what does not. Says what was wrong with our table.
    pub async fn repair(&self) -> Result<Option<FirewallDrift>, Error> {
        let mut state = self.state.lock().await;
        if state.held.is_empty() {
            return state.tidy().await.map(|()| None).map_err(Error::Firewall);
        }
        let drift = state.drift().map_err(Error::Firewall)?;
        if drift.is_some() {
            state.write().await.map_err(Error::Firewall)?;
        }
        state.let_pass().await.map_err(Error::Firewall)?;
        let State { shortcuts, batches, .. } = &mut *state;
        let stood = shortcuts.repair(batches).map_err(Error::Firewall)?;
        Ok(drift.or_else(|| (!stood).then_some(FirewallDrift::Shortcuts)))
    }

    /// Takes away what the last network has left, if there is none now.
    pub async fn tidy(&self) -> Result<(), Error> {
        self.state.lock().await.tidy().await.map_err(Error::Firewall)
    }

    /// Whether a bridge is one of Docker's own.
    pub async fn is_foreign(&self, bridge: &LinkName) -> bool {
        pass::foreign().await.contains(bridge)
    }

    /// Whether changes may happen that nobody announces, so that one has to look.
    pub async fn is_silent(&self) -> bool {
        pass::is_silent() && !self.state.lock().await.held.is_empty()
    }
}

// === impl State ===

impl State {
    async fn apply(&mut self, batch: &FirewallBatch) -> Result<(), Error> {
        let change = self.held.change(batch);
        let policy = |entry: &FirewallEntry| matches!(entry, FirewallEntry::Policy(_));
        let networks_change = batch.add.iter().chain(&batch.remove).any(policy);
        // For the first network the table itself has to come; and if somebody has flushed the
        // ruleset behind our back, the whole of it helps.
        let sent = change.is_empty() || (self.stands && self.batches.apply(&change).is_ok());
        if sent && !networks_change {
            self.held.apply(batch);
            return Ok(());
        }
        let back = self.held.apply(batch);
        let settled = self.settle(sent).await;
        if settled.is_err() {
            // All or nothing: what was there before is put back.
            self.held.apply(&back);
            let put_back = match self.held.is_empty() {
                true => self.tidy().await,
                false => self.write().await,
            };
            put_back.map_err(Error::Firewall)?;
        }
        settled.map_err(Error::Firewall)
    }

    /// Makes what is held hold: the table, unless its elements have been sent, and the pass.
    async fn settle(&mut self, sent: bool) -> Result<(), Refusal> {
        // A network more changes nothing there, as a rule; what others change is heard of.
        let passes = self.passing.as_ref() == Some(&pass::rules(self.held.bridges()));
        match (self.held.is_empty(), sent, passes) {
            // Nobody is waited for: see `tidy`.
            (true, _, _) | (false, true, true) => Ok(()),
            (false, false, true) => self.write().await,
            (false, true, false) => self.let_pass().await,
            (false, false, false) => {
                // Both are processes for the most part, and it is a call that waits.
                let script = script(self.stands, &self.held, &self.foreign);
                let (written, foreign) =
                    tokio::join!(tool::nft(&script), pass::let_pass(self.held.bridges()));
                match written {
                    Ok(()) => self.written()?,
                    Err(_) => self.write().await?,
                }
                self.passed(foreign?)
            }
        }
    }

    /// Takes away what only networks need, if there is none.
    async fn tidy(&mut self) -> Result<(), Refusal> {
        if !self.held.is_empty() {
            return Ok(());
        }
        if self.stands {
            // By our own socket, since nft(8) would wait for the end of it.
            match self.batches.delete_table() {
                Err(refusal) if !refusal.is_gone() => return Err(refusal),
                _ => (self.stands, self.rules) = (false, Vec::new()),
            }
        }
        if self.passing != Some(BTreeSet::new()) {
            self.let_pass().await?;
        }
        Ok(())
    }

    /// Writes our whole table in one transaction.
    async fn write(&mut self) -> Result<(), Refusal> {
        let stood = std::mem::replace(&mut self.stands, true);
        let mut written = tool::nft(&script(stood, &self.held, &self.foreign)).await;
        if written.is_err() && !stood {
            // Somebody may have made one.
            written = tool::nft(&script(true, &self.held, &self.foreign)).await;
        }
        written?;
        self.written()
    }

    /// Notes that the whole table has been written.
    fn written(&mut self) -> Result<(), Refusal> {
        self.stands = true;
        self.rules = self.batches.rules()?;
        Ok(())
    }

    /// What is wrong with our table.
    fn drift(&self) -> Result<Option<FirewallDrift>, Refusal> {
        if let Some(drift) = self.drift_of_rules()? {
            return Ok(Some(drift));
        }
        let foreign: Vec<Element> = self.foreign.iter().map(foreign_bridge).collect();
        let mut wanted: BTreeMap<&str, BTreeSet<RawElement>> = BTreeMap::new();
        for element in self.held.elements().chain(&foreign) {
            wanted.entry(element.set).or_default().insert(element.into());
        }
        let mut wrong = BTreeSet::new();
        for set in sets() {
            if self.batches.elements(NetfilterProtoFamily::Inet, set)?
                != wanted.remove(set).unwrap_or_default()
            {
                wrong.insert(set);
            }
        }
        if wrong.is_empty() {
            return Ok(None);
        }
        // The whole table may have gone while its sets were read.
        Ok(self.drift_of_rules()?.or(Some(FirewallDrift::Elements(wrong))))
    }

    fn drift_of_rules(&self) -> Result<Option<FirewallDrift>, Refusal> {
        let rules = self.batches.rules()?;
        Ok(match rules.as_slice() {
            same if same == self.rules => None,
            [] => Some(FirewallDrift::Table),
            _ => Some(FirewallDrift::Rules),
        })
    }

    /// Sees to the pass through Docker's chains, and to Docker's bridges in our table.
    async fn let_pass(&mut self) -> Result<(), Refusal> {
        self.passing = None;
        let foreign = pass::let_pass(self.held.bridges()).await?;
        self.passed(foreign)
    }

    /// Notes that our bridges pass, and which are Docker's.
    fn passed(&mut self, mut foreign: BTreeSet<LinkName>) -> Result<(), Refusal> {
        let bridges = self.held.bridges();
        self.passing = Some(pass::rules(bridges));
        if self.held.is_empty() {
            self.foreign.clear();
            return Ok(());
        }
        // Somebody may have flushed the rules that name them: while the bridges stand, they
        // are Docker's.
        let stands = |bridge: &&LinkName| {
            !bridges.contains(*bridge) && nix::net::if_::if_nametoindex(bridge.as_str()).is_ok()
        };
        foreign.extend(self.foreign.iter().filter(stands).cloned());
        let elements = |bridges: &BTreeSet<LinkName>, others: &BTreeSet<LinkName>| {
            bridges.difference(others).map(foreign_bridge).collect()
        };
        let change = Change {
            delete: elements(&self.foreign, &foreign),
            add: elements(&foreign, &self.foreign),
        };
        if !change.is_empty() {
            self.batches.apply(&change)?;
        }
        self.foreign = foreign;
        Ok(())
    }
}

/// The sets and maps of our table.
fn sets() -> impl Iterator<Item = &'static str> {
    SKELETON.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        matches!(words.next(), Some("set" | "map")).then(|| words.next())?
    })
}

fn foreign_bridge(bridge: &LinkName) -> Element {
    Element { set: "foreign", key: vec![Field::Name(bridge.clone())], data: Vec::new() }
}

/// The transaction that leaves exactly this in our table, if it stands or not.
fn script(stands: bool, held: &Held, foreign: &BTreeSet<LinkName>) -> String {
    let mut script = [if stands { ANEW } else { FIRST }, SKELETON].concat();
    let foreign: Vec<Element> = foreign.iter().map(foreign_bridge).collect();
    for element in held.elements().chain(&foreign) {
        // Writing to a String cannot fail.
        let _ =
            writeln!(script, "add element inet {TABLE} {} {{ {} }}", element.set, element.text());
    }
    script
}
