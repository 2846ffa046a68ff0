//! Whether the hosts of a network reach each other by VXLAN.
//!
//! Nobody answers a VTEP, so a host cannot ask. Instead each daemon sends a frame now and
//! then to every other host that has one of its networks: a small one, and one as large as
//! the network's packets may be. The frame is addressed to the next bridge only (IEEE
//! 802.1D, table 7-10), so it gets no farther than the other host's bridge, and its source
//! is an Ethernet address that tells the sender and the size. All that a bridge does with
//! such a frame is to learn where it came from: so what a bridge knows (bridge(8), `fdb`)
//! tells which hosts' packets have arrived lately.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use sha2::{Digest, Sha256};

use crate::{
    cluster::{Cluster, Node},
    id::{NetworkId, NodeId},
    kernel::{LinkKind, Object},
    ledger::{self, Ledger},
    mac::Mac,
};

/// How often a host tells the others.
pub const INTERVAL: Duration = Duration::from_secs(10);

/// To the next bridge only: 01-80-C2-00-00-0E.
const NEXT_BRIDGE: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 0x0e];
/// For experiments of one's own (IEEE 802, clause 9.2.4).
const ETHERTYPE: [u8; 2] = [0x88, 0xb5];
/// What an Ethernet frame carries at least.
const PAYLOAD_MIN: usize = 46;
/// What a VTEP sends if its link does not say: Ethernet's own.
const MTU: u32 = 1500;

/// How large a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// As small as can be.
    Small,
    /// As large as the network's MTU allows.
    Full,
}

/// Where a frame goes, and by which network.
struct Way {
    vni: u32,
    local: IpAddr,
    mtu: usize,
}

/// Tells the other hosts, for as long as this is polled.
pub async fn run(cluster: Arc<Cluster>, ledger: Arc<Ledger>) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let ways = ways(&cluster, &ledger.read());
        for (to, way) in ways {
            for size in [Size::Small, Size::Full] {
                // That it does not arrive the other side sees.
                if let Err(error) = send(to, &way, &source(cluster.id(), size), size) {
                    tracing::debug!(%to, ?size, %error, "cannot send a probe");
                }
            }
        }
    }
}

/// The Ethernet address that a host's frames of a size come from.
pub fn source(node: &NodeId, size: Size) -> Mac {
    let mut hash = Sha256::new();
    hash.update(node.as_str());
    hash.update([u8::from(size == Size::Full)]);
    let digest = hash.finalize();
    let mut octets = [0; 6];
    for (octet, byte) in octets.iter_mut().zip(digest) {
        *octet = byte;
    }
    // Nobody's who makes interfaces, and no group's.
    octets[0] = (octets[0] | 2) & !1;
    Mac(octets)
}

/// The other hosts that have a network of this host's: one network for each is enough.
fn ways(cluster: &Cluster, state: &ledger::State) -> BTreeMap<SocketAddr, Way> {
    let mut ways: BTreeMap<SocketAddr, Way> = BTreeMap::new();
    for (_, entry) in state.objects.standing() {
        let Object::Link(link) = &entry.object else { continue };
        let LinkKind::Vxlan { vni, port, local } = link.kind else { continue };
        for node in peers(cluster, state, &entry.scope.network) {
            let to = SocketAddr::new(node.address, port);
            if node.id != *cluster.id() && ways.get(&to).is_none_or(|way| way.vni > vni) {
                let mtu = usize::try_from(link.mtu.unwrap_or(MTU)).unwrap_or_default();
                ways.insert(to, Way { vni, local, mtu });
            }
        }
    }
    ways
}

/// The hosts that publish something in the groups that a network follows, by id.
pub fn peers(cluster: &Cluster, state: &ledger::State, network: &NetworkId) -> Vec<Node> {
    let followed = state.shares.followed().iter().filter(|key| key.network == *network);
    let entries = followed.flat_map(|key| cluster.entries(&key.group, None).unwrap_or_default());
    let nodes: BTreeMap<NodeId, Node> =
        entries.map(|entry| (entry.node.id.clone(), entry.node)).collect();
    nodes.into_values().collect()
}

fn send(to: SocketAddr, way: &Way, source: &Mac, size: Size) -> std::io::Result<()> {
    let socket = UdpSocket::bind(SocketAddr::new(way.local, 0))?;
    let payload = match size {
        Size::Small => PAYLOAD_MIN,
        Size::Full => way.mtu.max(PAYLOAD_MIN),
    };
    // RFC 7348, section 5: flags with only "VNI is valid", then the VNI.
    let [_, vni @ ..] = way.vni.to_be_bytes();
    let mut packet = vec![0x08, 0, 0, 0];
    packet.extend(vni);
    packet.push(0);
    packet.extend(NEXT_BRIDGE);
    packet.extend(source.0);
    packet.extend(ETHERTYPE);
    packet.resize(packet.len() + payload, 0);
    socket.send_to(&packet, to).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_tell_hosts_and_sizes_apart_and_are_nobodys() {
        let node = |name: &str| name.parse::<NodeId>().unwrap();
        let (one, other) = (node(&"a".repeat(32)), node(&"b".repeat(32)));
        let all = [
            source(&one, Size::Small),
            source(&one, Size::Full),
            source(&other, Size::Small),
            source(&other, Size::Full),
        ];
        let distinct: std::collections::BTreeSet<Mac> = all.into_iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert!(all.iter().all(|mac| !mac.is_group() && mac.0[0] & 2 == 2), "{all:?}");
    }
}
