//! Published ports: finding a host port that is free.
//!
//! The host binds a published port on its own addresses, so that a port somebody else
//! has is an error here and not a silent loss there. A free port is found by trying.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::atomic::{AtomicU16, Ordering},
};

use futures::FutureExt;

use super::{Inner, Shared, Transaction, TxError};
use crate::{
    grants::Request,
    kernel::{Access, FirewallEntry, LinkName, Object, ObjectKey, Policy, Port, Undo},
    ledger::Entry,
    model::PortBinding,
};

/// A port to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPort {
    /// The host's end of the container's link.
    pub link: LinkName,
    /// The container's addresses, at most one of each family.
    pub addresses: Vec<IpAddr>,
    /// What the user asked for.
    pub binding: PortBinding,
}

/// Where the last ephemeral port was found; the next search begins after it, so that a
/// port just given up rests for a while, as the kernel's own do.
static LAST_EPHEMERAL: AtomicU16 = AtomicU16::new(0);

// === impl Transaction ===

impl Transaction {
    /// Publishes a port and returns the host's.
    pub async fn publish(&self, new: NewPort) -> Result<u16, TxError> {
        self.step(|shared, mut inner| async move { shared.publish(&mut inner, new).await }.boxed())
            .await
    }
}

// === impl Shared ===

impl Shared {
    async fn publish(&self, inner: &mut Inner, new: NewPort) -> Result<u16, TxError> {
        let (_, link) = self.link(inner, &new.link)?;
        let bridge = link.master.clone().ok_or_else(|| TxError::NoBridge(new.link.clone()))?;
        let policy = self.policy(inner, &bridge)?;
        for address in &new.addresses {
            self.permit(inner, Request::Target(*address, self.is_endpoints(*address)?))?;
        }
        let ports = ports(&new, &policy);
        if ports.is_empty() {
            return Err(TxError::NothingToPublish(new.binding.container_port));
        }
        self.change_link(inner, &ObjectKey::link(&new.link), |link| link.hairpin = true).await?;
        if ports.iter().all(|port| port.host.is_none()) {
            self.permit(inner, Request::PublishAny)?;
            for port in ports {
                self.create(inner, Object::Port(port), None).await?;
            }
            return Ok(new.binding.container_port);
        }
        // Of a range, or of all that are free, it gets one that it may have.
        let may = |number: &u16| self.authority.check(Request::Publish(*number)).is_ok();
        let (allowed, denied): (Vec<u16>, Vec<u16>) =
            self.candidates(new.binding.host_ports).await?.into_iter().partition(may);
        if let (true, Some(number)) = (allowed.is_empty(), denied.first()) {
            self.permit(inner, Request::Publish(*number))?;
        }
        for number in allowed {
            if self.try_publish(inner, &ports, number).await? {
                if new.binding.host_ports.0 == 0 {
                    LAST_EPHEMERAL.store(number, Ordering::Relaxed);
                }
                return Ok(number);
            }
        }
        Err(taken(&new.binding))
    }

    /// Whether an address is the call's endpoint's.
    fn is_endpoints(&self, address: IpAddr) -> Result<bool, TxError> {
        let scope = self.scope()?;
        let state = self.ledger.read();
        let record = scope.endpoint.as_ref().and_then(|id| state.endpoint(&scope.network, id));
        Ok(record.is_some_and(|record| record.addresses().any(|own| own == address)))
    }

    /// Takes one host port on all addresses, or says that it is taken on one of them.
    async fn try_publish(
        &self,
        inner: &mut Inner,
        ports: &[Port],
        number: u16,
    ) -> Result<bool, TxError> {
        let mut done = Vec::new();
        for port in ports {
            let mut port = port.clone();
            if let Some(host) = &mut port.host {
                host.set_port(number);
            }
            inner.count(&self.limits)?;
            let key = Object::Port(port.clone()).key();
            let standing = inner.entry(&self.ledger.read(), &key).is_some();
            let made = match standing {
                true => Err(None),
                false => self.create(inner, Object::Port(port), None).await.map_err(Some),
            };
            match made {
                Ok(()) => done.push(key),
                // Not every host has IPv6, and nobody asked for it in particular.
                Err(Some(TxError::Kernel(error)))
                    if error.is_no_such_family() && ports.len() > 1 => {}
                Err(None) => return self.give_back(inner, done).await.map(|()| false),
                Err(Some(TxError::Kernel(error))) if error.is_port_taken() => {
                    return self.give_back(inner, done).await.map(|()| false);
                }
                Err(Some(error)) => return Err(error),
            }
        }
        Ok(!done.is_empty())
    }

    /// Takes back ports that this call has just made.
    async fn give_back(&self, inner: &mut Inner, keys: Vec<ObjectKey>) -> Result<(), TxError> {
        for key in keys {
            let Some(Some(Entry { object, .. })) = inner.changes.objects.get(&key).cloned() else {
                continue;
            };
            // If it does not go now, it goes with the rest of the call.
            self.kernel.delete(&object).await.map_err(TxError::Kernel)?;
            inner.changes.objects.remove(&key);
            if let Some(rule) = object.firewall_entry() {
                inner.firewall.add.remove(&rule);
            }
            inner.done.retain(|undo| *undo != Undo::Delete(object.clone()));
        }
        Ok(())
    }

    /// What was said about a bridge, in this call or before.
    pub(super) fn policy(&self, inner: &Inner, bridge: &LinkName) -> Result<Policy, TxError> {
        let state = self.ledger.read();
        match inner.entry(&state, &ObjectKey::policy(bridge)).map(|entry| &entry.object) {
            Some(Object::Firewall(FirewallEntry::Policy(policy))) => Ok(policy.clone()),
            _ => Err(TxError::NoBridge(bridge.clone())),
        }
    }

    /// The host ports to try, in order.
    async fn candidates(&self, range: (u16, u16)) -> Result<Vec<u16>, TxError> {
        let (first, last) = range;
        if first != 0 {
            return Ok((first..=last).collect());
        }
        let ephemeral = self.kernel.ephemeral_ports().await.map_err(TxError::Kernel)?;
        let after = LAST_EPHEMERAL.load(Ordering::Relaxed);
        let (before, behind): (Vec<u16>, Vec<u16>) =
            ephemeral.into_iter().partition(|port| *port <= after);
        Ok([behind, before].concat())
    }
}

/// The ports on each address of the host, their numbers still open.
///
/// Without an address that is all of them, both families: where the container has no
/// IPv6 address, the host carries what comes in by IPv6 over to its IPv4 address.
fn ports(new: &NewPort, policy: &Policy) -> Vec<Port> {
    let address = |ipv4: bool| new.addresses.iter().copied().find(|ip| ip.is_ipv4() == ipv4);
    let access = |container: IpAddr| if container.is_ipv4() { policy.ipv4 } else { policy.ipv6 };
    let port = |host: Option<IpAddr>, container: IpAddr| Port {
        link: new.link.clone(),
        bridge: policy.link.clone(),
        protocol: new.binding.protocol,
        host: host.map(|ip| SocketAddr::new(ip, 0)),
        container: SocketAddr::new(container, new.binding.container_port),
    };
    let mut ports = Vec::new();
    for container in &new.addresses {
        if access(*container) == Access::Routed {
            ports.push(port(None, *container));
        }
    }
    let nat = |ipv4: bool| address(ipv4).filter(|container| access(*container) != Access::Routed);
    let hosts = match new.binding.host_address {
        Some(host) => vec![host],
        None => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
    };
    for host in hosts {
        let container = match host {
            IpAddr::V4(_) => nat(true),
            IpAddr::V6(_) => nat(false).or_else(|| nat(true)),
        };
        ports.extend(container.map(|container| port(Some(host), container)));
    }
    ports
}

/// Docker's own sentence.
fn taken(binding: &PortBinding) -> TxError {
    let host = binding.host_address.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
    let (first, last) = binding.host_ports;
    match (first, last) {
        (0, _) => TxError::NoPortLeft(host),
        _ if first == last => TxError::PortTaken(SocketAddr::new(host, first)),
        _ => TxError::PortsTaken { host, first, last },
    }
}
