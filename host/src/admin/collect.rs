//! From the daemon's parts to what is shown.

use super::{
    State,
    view::{
        ClusterView, DriverView, EndpointView, IpamView, NetworkView, ObjectView, PortView,
        QuarantineView, RemoteView, Reset, Status, VtepView,
    },
};
use crate::{
    cluster::Cluster,
    dispatch::{Confined, Slot},
    grants::Grants,
    id::{DriverName, EndpointId, NetworkId},
    kernel::{Link, LinkKind, Object},
    ledger::{self, EndpointRecord, NetworkRecord},
    probe,
};

/// The daemon as a whole.
pub(super) fn status(state: &State) -> Status {
    let drivers = drivers(state);
    let ledger = state.dispatcher.ledger().read();
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime: state.started.elapsed().as_secs(),
        networks: ledger.networks.len(),
        endpoints: ledger.endpoints.values().map(|of_network| of_network.len()).sum(),
        objects: ledger.objects.len(),
        doomed: ledger.objects.doomed().len(),
        keys: ledger.keys.values().map(|keys| keys.len()).sum(),
        compiled: state.runtime.compiled(),
        config: state.roster.config().to_owned(),
        cluster: cluster(state, &ledger),
        drivers,
    }
}

fn cluster(state: &State, ledger: &ledger::State) -> Option<ClusterView> {
    let cluster = state.dispatcher.cluster()?;
    Some(ClusterView {
        store: cluster.store().kind().to_owned(),
        endpoints: cluster.store().endpoints(),
        reach: cluster.reach(),
        node: cluster.id().to_string(),
        nodes: cluster.nodes().unwrap_or_default(),
        published: ledger.shares.published(),
        followed: ledger.shares.followed().len(),
    })
}

/// The drivers.
pub(super) fn drivers(state: &State) -> Vec<DriverView> {
    let ledger = state.dispatcher.ledger().read();
    let networks = |name: &DriverName| {
        ledger.networks.values().filter(|record| record.driver == *name).count()
    };
    let view = |(name, slot): (&DriverName, &Slot)| match slot {
        Slot::Ready(driver) => {
            let network = driver.network_capabilities.map(|_| "network".to_owned());
            let ipam = driver.ipam_capabilities.as_ref().map(|_| "ipam".to_owned());
            DriverView {
                name: name.clone(),
                ready: true,
                reason: None,
                quarantine: quarantine(state, name),
                roles: network.into_iter().chain(ipam).collect(),
                version: driver.manifest.version.clone(),
                description: driver.manifest.description.clone(),
                digest: driver.digest.clone(),
                imports: driver.imports.clone(),
                wanted: driver.permits.wanted.clone(),
                granted: driver.permits.granted.clone(),
                networks: networks(name),
            }
        }
        Slot::Failed(reason) => DriverView {
            name: name.clone(),
            ready: false,
            reason: Some(reason.clone()),
            quarantine: None,
            roles: Vec::new(),
            version: String::new(),
            description: String::new(),
            digest: String::new(),
            imports: Vec::new(),
            wanted: Grants::default(),
            granted: Grants::default(),
            networks: networks(name),
        },
    };
    state.dispatcher.drivers().all().iter().map(view).collect()
}

fn quarantine(state: &State, name: &DriverName) -> Option<QuarantineView> {
    let Confined { until, failures, reason } = state.dispatcher.quarantine().confined(name)?;
    Some(QuarantineView { until, failures, reason })
}

/// Lifts a driver's quarantine. None: there is no such driver.
pub(super) fn reset(state: &State, name: &str) -> Option<Reset> {
    let drivers = state.dispatcher.drivers().all();
    let (name, _) = drivers.iter().find(|(known, _)| known.as_str() == name)?;
    let lifted = state.dispatcher.quarantine().reset(name);
    Some(Reset { driver: name.clone(), lifted })
}

/// The books of all IPAM drivers.
pub(super) async fn ipam(state: &State) -> Vec<IpamView> {
    let mut views = Vec::new();
    for (name, slot) in &state.dispatcher.drivers().all() {
        let Slot::Ready(driver) = slot else { continue };
        let Some((_, spaces)) = &driver.ipam_capabilities else { continue };
        let (pools, error) = match state.dispatcher.pools(name).await {
            Ok(pools) => (pools, None),
            Err(error) => (Vec::new(), Some(error.external())),
        };
        views.push(IpamView { driver: name.clone(), local: spaces.local.clone(), pools, error });
    }
    views
}

/// All networks.
pub(super) fn networks(state: &State) -> Vec<NetworkView> {
    let ledger = state.dispatcher.ledger().read();
    let cluster = state.dispatcher.cluster().map(|cluster| &**cluster);
    ledger.networks.iter().map(|(id, record)| network(&ledger, cluster, id, record)).collect()
}

/// All endpoints.
pub(super) fn endpoints(state: &State) -> Vec<EndpointView> {
    let ledger = state.dispatcher.ledger().read();
    let of = |(id, record): (&NetworkId, &NetworkRecord)| endpoints_of(&ledger, id, record);
    ledger.networks.iter().flat_map(of).collect()
}

/// All published ports.
pub(super) fn ports(state: &State) -> Vec<PortView> {
    let ledger = state.dispatcher.ledger().read();
    let standing = ledger.objects.standing();
    standing.into_iter().filter_map(|(_, entry)| port(entry)).collect()
}

fn port(entry: &ledger::Entry) -> Option<PortView> {
    let (Object::Port(port), Some(endpoint)) = (&entry.object, &entry.scope.endpoint) else {
        return None;
    };
    Some(PortView {
        network: entry.scope.network.clone(),
        endpoint: endpoint.clone(),
        protocol: port.protocol,
        host: port.host,
        container: port.container,
    })
}

fn network(
    ledger: &ledger::State,
    cluster: Option<&Cluster>,
    id: &NetworkId,
    record: &NetworkRecord,
) -> NetworkView {
    let pools = || record.network.ipv4.iter().chain(&record.network.ipv6);
    let mut objects: Vec<_> = ledger.objects.of_network(id).collect();
    objects.sort_by_key(|(_, entry)| entry.sequence);
    NetworkView {
        id: id.clone(),
        driver: record.driver.clone(),
        subnets: pools().map(|pool| pool.subnet).collect(),
        gateways: pools().filter_map(|pool| pool.gateway).map(|net| net.addr()).collect(),
        internal: record.network.internal,
        options: record.network.options.clone(),
        created: record.created,
        endpoints: endpoints_of(ledger, id, record),
        vteps: objects.iter().filter_map(|(_, entry)| vtep(ledger, id, entry)).collect(),
        peers: cluster.map(|cluster| probe::peers(cluster, ledger, id)).unwrap_or_default(),
        remote: cluster.map(|cluster| remote(ledger, cluster, id)).unwrap_or_default(),
        objects: objects
            .into_iter()
            .map(|(key, entry)| ObjectView {
                key: key.to_string(),
                endpoint: entry.scope.endpoint.clone(),
            })
            .collect(),
    }
}

fn vtep(ledger: &ledger::State, network: &NetworkId, entry: &ledger::Entry) -> Option<VtepView> {
    let Object::Link(Link { name, kind, mtu, .. }) = &entry.object else { return None };
    let LinkKind::Vxlan { vni, port, local } = *kind else { return None };
    let forwarding = ledger.objects.of_network(network).filter_map(|(_, entry)| {
        let Object::Fdb(fdb) = &entry.object else { return None };
        (fdb.link == *name && !entry.doomed).then_some((fdb.mac, fdb.vtep))
    });
    let (link, forwarding) = (name.to_string(), forwarding.collect());
    Some(VtepView { link, vni, port, local, mtu: *mtu, forwarding })
}

fn remote(ledger: &ledger::State, cluster: &Cluster, network: &NetworkId) -> Vec<RemoteView> {
    let followed = ledger.shares.followed().iter().filter(|key| key.network == *network);
    let entries = followed.flat_map(|key| {
        let entries = cluster.entries(&key.group, None).unwrap_or_default();
        entries.into_iter().map(|entry| (key.group.name.clone(), entry))
    });
    let others = entries.filter(|(_, entry)| entry.node.id != *cluster.id());
    others
        .map(|(group, entry)| RemoteView {
            group,
            key: entry.key,
            node: entry.node.name,
            address: entry.node.address,
            value: String::from_utf8_lossy(&entry.value).lines().map(str::to_owned).collect(),
        })
        .collect()
}

fn endpoints_of(
    ledger: &ledger::State,
    network: &NetworkId,
    of: &NetworkRecord,
) -> Vec<EndpointView> {
    let view = |(id, record): (&EndpointId, &EndpointRecord)| EndpointView {
        id: id.clone(),
        network: network.clone(),
        driver: of.driver.clone(),
        addresses: record.addresses().collect(),
        mac: record.request.mac.or(record.settings.mac),
        link: link_of(ledger, network, id),
        sandbox: record.joined.as_ref().map(|joined| joined.sandbox.clone()),
        join: record.joined.as_ref().map(|joined| joined.info.clone()),
        ports: ledger
            .objects
            .of_network(network)
            .filter(|(_, entry)| !entry.doomed && entry.scope.endpoint.as_ref() == Some(id))
            .filter_map(|(_, entry)| port(entry))
            .collect(),
        created: record.created,
    };
    ledger.endpoints_of(network).map(view).collect()
}

fn link_of(ledger: &ledger::State, network: &NetworkId, endpoint: &EndpointId) -> Option<String> {
    ledger.objects.of_network(network).find_map(|(_, entry)| match &entry.object {
        Object::Link(link) if entry.scope.endpoint.as_ref() == Some(endpoint) => {
            Some(link.name.to_string())
        }
        _ => None,
    })
}
