//! What must stand: networks, their endpoints, and the ports of those.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use wasmnet::{
    kernel::{
        Access, FirewallEntry, LinkKind, LinkName, Object, Policy, Port, Shortcut, Simulated,
        SourceNat, Subnet,
    },
    mac::Mac,
    model::{PortBinding, Protocol},
};

use super::Step;
use crate::bench::{Bench, bridge, endpoint_id, network_id};

/// The networks, by number.
#[derive(Debug, Clone, Default)]
pub struct Model {
    networks: BTreeMap<u8, Endpoints>,
}

/// A network's endpoints, by number.
type Endpoints = BTreeMap<u8, Endpoint>;

#[derive(Debug, Clone, Default)]
struct Endpoint {
    joined: bool,
    /// What it was told to publish.
    programmed: Option<Vec<PortBinding>>,
    ports: BTreeSet<Published>,
}

/// A port that is published: the protocol, where the host listens, the container's port.
type Published = (Protocol, SocketAddr, u16);

/// The last part of the address of an endpoint, which not every one has for itself.
pub fn host_part(endpoint: u8) -> u8 {
    10 + endpoint % 3
}

// === impl Model ===

impl Model {
    /// The state after a step that works, or none if it has to be refused.
    pub fn take(mut self, step: &Step, kernel: &Simulated) -> Option<Self> {
        match step {
            Step::CreateNetwork(n) => drop(self.networks.entry(*n).or_default()),
            Step::DeleteNetwork(n) => drop(self.networks.remove(n)),
            Step::CreateEndpoint(n, e) => drop(self.networks.get_mut(n)?.entry(*e).or_default()),
            Step::Join(n, e) => self.endpoint(*n, *e)?.joined = true,
            Step::Program(n, e, wanted) => self.publish(*n, *e, wanted, kernel)?,
            Step::Revoke(n, e) => {
                if let Some(endpoint) = self.endpoint(*n, *e) {
                    endpoint.revoke();
                }
            }
            Step::Leave(n, e) => {
                if let Some(endpoint) = self.endpoint(*n, *e).filter(|endpoint| endpoint.joined) {
                    endpoint.leave();
                }
            }
            Step::DeleteEndpoint(n, e) => {
                if let Some(endpoints) = self.networks.get_mut(n) {
                    endpoints.remove(e);
                }
            }
            Step::Restart => {}
        }
        Some(self)
    }

    /// Whether a step gives an endpoint other ports than it has.
    pub fn publishes_anew(&self, step: &Step) -> bool {
        let Step::Program(n, e, wanted) = step else { return false };
        let endpoint = self.networks.get(n).and_then(|endpoints| endpoints.get(e));
        let programmed = endpoint.and_then(|endpoint| endpoint.programmed.as_ref());
        programmed.is_some_and(|programmed| programmed != wanted)
    }

    /// The states that a step may go through before it does what it is about. If nothing
    /// fails it goes to the last of them.
    pub fn halfway(&self, step: &Step) -> Vec<Self> {
        match step {
            Step::CreateEndpoint(n, e) => self.giving_way(*n, *e),
            // Other ports than before: first the old ones go.
            Step::Program(n, e, wanted) => {
                let mut revoked = self.clone();
                match revoked.endpoint(*n, *e) {
                    Some(endpoint) if endpoint.programmed.as_ref() != Some(wanted) => {
                        endpoint.revoke();
                        vec![self.clone(), revoked]
                    }
                    _ => vec![self.clone()],
                }
            }
            _ => vec![self.clone()],
        }
    }

    /// Those that have the address of a new endpoint go: they are as they were, half gone,
    /// or gone.
    fn giving_way(&self, n: u8, new: u8) -> Vec<Self> {
        let mut states = vec![self.clone()];
        let Some(endpoints) = self.networks.get(&n).filter(|all| !all.contains_key(&new)) else {
            return states;
        };
        for holder in endpoints.keys().filter(|e| host_part(**e) == host_part(new)) {
            let stages = |state: Self| {
                let stage = |change: fn(&mut Endpoint)| {
                    let mut state = state.clone();
                    change(state.endpoint(n, *holder).unwrap());
                    state
                };
                let mut gone = state.clone();
                gone.networks.get_mut(&n).unwrap().remove(holder);
                let half = [stage(|_| {}), stage(Endpoint::revoke), stage(Endpoint::leave)];
                half.into_iter().chain([gone])
            };
            states = states.into_iter().flat_map(stages).collect();
        }
        states
    }

    fn endpoint(&mut self, n: u8, e: u8) -> Option<&mut Endpoint> {
        self.networks.get_mut(&n)?.get_mut(&e)
    }

    fn publish(&mut self, n: u8, e: u8, wanted: &[PortBinding], kernel: &Simulated) -> Option<()> {
        let endpoint = self.endpoint(n, e)?;
        if endpoint.programmed.as_deref() == Some(wanted) {
            return Some(());
        }
        endpoint.revoke();
        let others: BTreeSet<Published> = self
            .networks
            .values()
            .flat_map(Endpoints::values)
            .flat_map(|e| e.ports.clone())
            .collect();
        let picked = picked_ports(kernel, n, e);
        let mut ports = BTreeSet::new();
        for binding in wanted {
            let taken: BTreeSet<Published> = others.union(&ports).copied().collect();
            ports.extend(bind(binding, &taken, &picked)?);
        }
        let endpoint = self.endpoint(n, e)?;
        endpoint.ports = ports;
        endpoint.programmed = Some(wanted.to_vec());
        Some(())
    }

    fn endpoints(&self) -> impl Iterator<Item = (u8, u8, &Endpoint)> {
        self.networks.iter().flat_map(|(n, all)| all.iter().map(|(e, endpoint)| (*n, *e, endpoint)))
    }

    /// What kernel and ledger hold and should not, or the other way round.
    pub fn differences(&self, kernel: &Simulated, bench: &Bench) -> Vec<String> {
        let mut is = known(bench);
        let mut links = BTreeMap::new();
        for object in kernel.objects() {
            if let Object::Link(link) = &object {
                let taken = links.insert(link.alias.clone(), link.name.clone());
                assert_eq!(taken, None, "two links with one tag: {:#?}", kernel.objects());
            }
            is.insert(text(&object));
        }
        is.extend(
            kernel.firewall_entries().into_iter().map(|entry| text(&Object::Firewall(entry))),
        );

        let link = |n: u8, e: Option<u8>| -> LinkName {
            // A name that no link has, if there is none.
            links.get(&tag(n, e)).cloned().unwrap_or_else(|| "missing".parse().unwrap())
        };
        let mut should = BTreeSet::new();
        for n in self.networks.keys() {
            should.insert(format!("network {}", network_id(*n)));
            should.extend(bridge_with(*n, &link(*n, None)));
        }
        for (n, e, endpoint) in self.endpoints() {
            let (port, bridge) = (link(n, Some(e)), link(n, None));
            let Endpoint { joined, programmed, .. } = endpoint;
            should.insert(format!("endpoint {} {joined} {programmed:?}", tag(n, Some(e))));
            should.insert(format!("veth {port} at {bridge} for {}", tag(n, Some(e))));
            // 02:42 and the address, as Docker's own driver has it.
            let shortcut = Shortcut::Port {
                link: port.clone(),
                bridge: bridge.clone(),
                mac: Mac([0x02, 0x42, 10, n, 0, host_part(e)]),
            };
            should.insert(text(&Object::Firewall(FirewallEntry::Shortcut(shortcut))));
            for (protocol, host, container_port) in &endpoint.ports {
                let container = SocketAddr::new([10, n, 0, host_part(e)].into(), *container_port);
                let port = Port {
                    link: port.clone(),
                    bridge: bridge.clone(),
                    protocol: *protocol,
                    host: Some(*host),
                    container,
                };
                should.insert(text(&Object::Firewall(FirewallEntry::Port(port.clone()))));
                should.insert(text(&Object::Port(port)));
            }
        }
        let extra = is.difference(&should).map(|text| format!("there is {text}"));
        extra.chain(should.difference(&is).map(|text| format!("there is no {text}"))).collect()
    }
}

// === impl Endpoint ===

impl Endpoint {
    fn revoke(&mut self) {
        self.programmed = None;
        self.ports.clear();
    }

    fn leave(&mut self) {
        self.revoke();
        self.joined = false;
    }
}

/// What the ledger holds beside the kernel's objects.
fn known(bench: &Bench) -> BTreeSet<String> {
    let state = bench.dispatcher.ledger().read();
    let mut known: BTreeSet<String> =
        state.networks.keys().map(|id| format!("network {id}")).collect();
    for (network, endpoints) in &state.endpoints {
        for (id, record) in endpoints {
            let (joined, programmed) = (record.joined.is_some(), &record.programmed);
            let tag = format!("wasmnet:{}/{}/{}", bridge(), network.as_str(), id.as_str());
            known.insert(format!("endpoint {tag} {joined} {programmed:?}"));
        }
    }
    known.extend(state.objects.doomed().into_iter().map(|(key, _)| format!("doomed {key}")));
    known
}

/// Where a binding lands, or none if all of its ports are taken. Of the ports that the host
/// may pick, it is one of those that it has picked.
fn bind(
    binding: &PortBinding,
    taken: &BTreeSet<Published>,
    picked: &BTreeSet<Published>,
) -> Option<Vec<Published>> {
    let hosts = match binding.host_address {
        Some(host) => vec![host],
        None => vec![IpAddr::from(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()],
    };
    let at = |number: u16| -> Vec<Published> {
        let host =
            |ip: &IpAddr| (binding.protocol, SocketAddr::new(*ip, number), binding.container_port);
        hosts.iter().map(host).collect()
    };
    let is_free = |ports: &Vec<Published>| {
        !ports.iter().any(|port| taken.iter().any(|other| clash(port, other)))
    };
    let (first, last) = binding.host_ports;
    let numbers: Vec<u16> = match first {
        0 => picked.iter().map(|(_, host, _)| host.port()).collect(),
        _ => (first..=last).collect(),
    };
    let mut free = numbers.into_iter().map(at).filter(is_free);
    free.find(|ports| first != 0 || ports.iter().all(|port| picked.contains(port)))
}

fn clash((protocol, host, _): &Published, (other_protocol, other, _): &Published) -> bool {
    protocol == other_protocol
        && host.port() == other.port()
        && host.is_ipv4() == other.is_ipv4()
        && (host.ip() == other.ip() || host.ip().is_unspecified() || other.ip().is_unspecified())
}

/// The ports of an endpoint that nobody asked for by number.
fn picked_ports(kernel: &Simulated, n: u8, e: u8) -> BTreeSet<Published> {
    let link = kernel.objects().into_iter().find_map(|object| match object {
        Object::Link(link) if link.alias == tag(n, Some(e)) => Some(link.name),
        _ => None,
    });
    let ports = kernel.objects().into_iter().filter_map(|object| match object {
        Object::Port(port) if Some(&port.link) == link.as_ref() => {
            Some((port.protocol, port.host?, port.container.port()))
        }
        _ => None,
    });
    ports.filter(|(_, host, _)| host.port() >= Simulated::EPHEMERAL.0).collect()
}

fn tag(n: u8, e: Option<u8>) -> String {
    let network = format!("wasmnet:{}/{}", bridge(), network_id(n).as_str());
    e.map_or_else(|| network.clone(), |e| format!("{network}/{}", endpoint_id(e).as_str()))
}

/// A network's bridge with all that is on it.
fn bridge_with(n: u8, bridge: &LinkName) -> Vec<String> {
    let subnet = |text: String| {
        FirewallEntry::Subnet(Subnet {
            link: bridge.clone(),
            subnet: text.parse().unwrap(),
            nat: SourceNat::Masquerade,
        })
    };
    let policy = FirewallEntry::Policy(Policy {
        link: bridge.clone(),
        internal: false,
        inter_container: true,
        ipv4: Access::Published,
        ipv6: Access::Published,
        trusted: Vec::new(),
    });
    let entries = [policy, subnet(format!("10.{n}.0.0/16")), subnet(format!("fd00:{n}::/64"))];
    let mut all = vec![
        format!("bridge {bridge} for {}", tag(n, None)),
        format!("address {bridge} 10.{n}.0.1/16"),
        format!("address {bridge} fd00:{n}::1/64"),
    ];
    all.extend(entries.map(|entry| text(&Object::Firewall(entry))));
    for (family, key, value) in
        [("ipv6", "disable_ipv6", 0), ("ipv6", "accept_ra", 0), ("ipv4", "route_localnet", 1)]
    {
        all.push(format!("sysctl {bridge} {family} {key}={value}"));
    }
    all
}

/// An object in full; of a link all but what depends on the order of calls.
fn text(object: &Object) -> String {
    match object {
        Object::Link(link) => match (&link.kind, &link.master) {
            (LinkKind::Bridge, None) => format!("bridge {} for {}", link.name, link.alias),
            (LinkKind::Veth { .. }, Some(master)) => {
                format!("veth {} at {master} for {}", link.name, link.alias)
            }
            _ => format!("{link:?}"),
        },
        Object::Address(address) => format!("address {} {}", address.link, address.net),
        Object::Sysctl(sysctl) => format!("{}={}", object.key(), sysctl.value),
        _ => format!("{object:?}"),
    }
}
