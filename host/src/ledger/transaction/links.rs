//! Links of a call: found by label, named by the host.

use std::{net::IpAddr, ops::RangeInclusive};

use futures::FutureExt;

use super::{Inner, Shared, Transaction, TxError};
use crate::{
    grants::{Kind, Request},
    id::NetworkId,
    kernel::{
        IpvlanFlag, IpvlanMode, Link, LinkKind, LinkName, MacvlanMode, Object, ObjectKey, Policy,
    },
    ledger::{Entry, Scope},
    mac::Mac,
};

/// How often another name is tried when the picked one is taken.
const NAME_ATTEMPTS: u32 = 8;

/// The VXLAN network identifiers that can be used (RFC 7348, section 5: 24 bits).
const VNIS: RangeInclusive<u32> = 1..=0xff_ffff;

/// A link to be made; name and tag come from the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLink {
    /// The driver's word for it.
    pub label: String,
    /// The name the user asked for.
    pub name: Option<String>,
    /// What it is.
    pub kind: NewLinkKind,
    /// MTU in bytes.
    pub mtu: Option<u32>,
    /// Its address.
    pub mac: Option<Mac>,
    /// The bridge it will be a port of.
    pub master: Option<LinkName>,
}

/// What a link to be made is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewLinkKind {
    /// A bridge.
    Bridge,
    /// A veth pair.
    Veth {
        /// The address of the container's end.
        peer_mac: Option<Mac>,
    },
    /// A VXLAN tunnel endpoint.
    Vxlan {
        /// Its network identifier.
        vni: u32,
        /// Its UDP port.
        port: u16,
        /// The host's address.
        local: IpAddr,
    },
    /// A macvlan link: the container's interface in a call about an endpoint, else the host's.
    Macvlan {
        /// The link it is made on.
        parent: LinkName,
        /// With whom it may talk there.
        mode: MacvlanMode,
    },
    /// An ipvlan link, likewise.
    Ipvlan {
        /// The link it is made on.
        parent: LinkName,
        /// How packets find it.
        mode: IpvlanMode,
        /// With whom it may talk there.
        flag: IpvlanFlag,
    },
}

// === impl NewLinkKind ===

impl NewLinkKind {
    /// What the driver must be granted.
    fn grant(&self) -> Kind {
        match self {
            Self::Bridge => Kind::Bridge,
            Self::Veth { .. } => Kind::Veth,
            Self::Vxlan { .. } => Kind::Vxlan,
            Self::Macvlan { .. } => Kind::Macvlan,
            Self::Ipvlan { .. } => Kind::Ipvlan,
        }
    }

    /// The link that it is made on, of which it is the container's part.
    fn parent(&self) -> Option<&LinkName> {
        match self {
            Self::Macvlan { parent, .. } | Self::Ipvlan { parent, .. } => Some(parent),
            Self::Bridge | Self::Veth { .. } | Self::Vxlan { .. } => None,
        }
    }
}

// === impl Transaction ===

impl Transaction {
    /// Makes a link and sets it up.
    pub async fn create_link(&self, new: NewLink) -> Result<Link, TxError> {
        self.step(|shared, mut inner| {
            async move { shared.create_link(&mut inner, new).await }.boxed()
        })
        .await
    }

    /// Takes a bridge that is there already, and is nobody's.
    pub async fn adopt_bridge(
        &self,
        label: String,
        name: String,
        mtu: Option<u32>,
    ) -> Result<Link, TxError> {
        self.step(move |shared, mut inner| {
            async move { shared.adopt_bridge(&mut inner, label, &name, mtu).await }.boxed()
        })
        .await
    }

    /// The link with this label: in the call's endpoint, else in its network.
    pub async fn open_link(&self, label: &str) -> Result<Link, TxError> {
        let inner = self.inner.lock().await;
        self.shared
            .find_label(&inner, label)?
            .ok_or_else(|| TxError::NoLabel(label.escape_default().to_string()))
    }

    /// A link as this call sees it.
    pub async fn link(&self, name: &LinkName) -> Result<Link, TxError> {
        let inner = self.inner.lock().await;
        self.shared.link(&inner, name).map(|(_, link)| link)
    }

    /// Changes a link.
    pub async fn change_link(
        &self,
        name: LinkName,
        change: impl FnOnce(&mut Link) + Send + 'static,
    ) -> Result<(), TxError> {
        self.step(|shared, mut inner| {
            async move {
                shared.link(&inner, &name)?;
                inner.count(&shared.limits)?;
                shared.change_link(&mut inner, &ObjectKey::link(&name), change).await
            }
            .boxed()
        })
        .await
    }
}

// === impl Shared ===

impl Shared {
    async fn create_link(&self, inner: &mut Inner, new: NewLink) -> Result<Link, TxError> {
        let scope = self.scope()?.clone();
        self.check_label(inner, &scope, &new.label)?;
        let chosen = new.name.as_deref().map(chosen_name).transpose()?;
        if let NewLinkKind::Vxlan { vni, .. } = new.kind
            && !VNIS.contains(&vni)
        {
            return Err(TxError::Vni(vni));
        }
        inner.count_link(&self.limits)?;
        self.permit(inner, Request::Link(new.kind.grant()))?;
        if let Some(name) = &chosen {
            self.permit(inner, Request::Name(name))?;
        }
        if let Some(parent) = new.kind.parent() {
            self.check_parent(inner, parent)?;
        }
        let isolated = new.master.as_ref().is_some_and(|bridge| self.isolates(inner, bridge));
        let mut attempt = 0;
        loop {
            let name = match &chosen {
                Some(name) => name.clone(),
                None => pick(&scope, &new.label, attempt),
            };
            let link = Link { isolated, ..describe(&new, &scope, name) };
            match self.create(inner, Object::Link(link.clone()), Some(new.label.clone())).await {
                Ok(()) => return Ok(link),
                Err(TxError::Kernel(error)) if error.is_exists() => {
                    if let NewLinkKind::Vxlan { vni, port, .. } = new.kind {
                        return Err(TxError::VniTaken { vni, port });
                    }
                    attempt += 1;
                    if chosen.is_some() {
                        return Err(TxError::NameTaken(link.name));
                    }
                    if attempt == NAME_ATTEMPTS {
                        return Err(TxError::Kernel(error));
                    }
                }
                Err(TxError::Kernel(error)) if error.is_link_port_taken() => {
                    return Err(match new.kind {
                        NewLinkKind::Vxlan { port, .. } => TxError::UdpPortTaken(port),
                        _ => TxError::Kernel(error),
                    });
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn adopt_bridge(
        &self,
        inner: &mut Inner,
        label: String,
        name: &str,
        mtu: Option<u32>,
    ) -> Result<Link, TxError> {
        let scope = self.scope()?.clone();
        self.check_label(inner, &scope, &label)?;
        let name = chosen_name(name)?;
        self.permit(inner, Request::Name(&name))?;
        self.permit(inner, Request::Adopt(&name))?;
        // The kernel would let two have it.
        let claim = self.ledger.claim(ObjectKey::link(&name));
        inner.claims.push(claim.ok_or_else(|| TxError::NameTaken(name.clone()))?);
        let link = Link { mtu, up: true, adopted: true, ..Link::bridge(name) };
        self.create(inner, Object::Link(link.clone()), Some(label)).await?;
        Ok(link)
    }

    fn check_label(&self, inner: &Inner, scope: &Scope, label: &str) -> Result<(), TxError> {
        match self.labelled(inner, scope, label) {
            Some(_) => Err(TxError::LabelTaken(label.escape_default().to_string())),
            None => Ok(()),
        }
    }

    /// Whether the ports of a bridge may not talk to each other.
    fn isolates(&self, inner: &Inner, bridge: &LinkName) -> bool {
        self.policy(inner, bridge).is_ok_and(|policy| !policy.inter_container)
    }

    /// Lets the ports of a bridge talk to each other, or keeps them from it.
    pub(super) async fn isolate_ports(
        &self,
        inner: &mut Inner,
        network: &NetworkId,
        policy: &Policy,
    ) -> Result<(), TxError> {
        let isolated = !policy.inter_container;
        let is_port = |entry: &Entry| match &entry.object {
            Object::Link(link) => {
                link.master.as_ref() == Some(&policy.link)
                    && link.isolated != isolated
                    && !entry.doomed
            }
            _ => false,
        };
        let ports: Vec<ObjectKey> = {
            let state = self.ledger.read();
            let stored = state.objects.of_network(network).map(|(key, _)| key);
            let known = stored.chain(inner.changes.objects.keys());
            known.filter(|key| inner.entry(&state, key).is_some_and(is_port)).cloned().collect()
        };
        for key in ports {
            self.change_link(inner, &key, |link| link.isolated = isolated).await?;
        }
        Ok(())
    }

    /// Changes a link of which there is a row.
    pub(super) async fn change_link(
        &self,
        inner: &mut Inner,
        key: &ObjectKey,
        change: impl FnOnce(&mut Link),
    ) -> Result<(), TxError> {
        let row = inner.entry(&self.ledger.read(), key).cloned();
        let Some(Entry { object: Object::Link(old), .. }) = &row else { return Ok(()) };
        let mut new = old.clone();
        change(&mut new);
        if new == *old {
            return Ok(());
        }
        let (old, new) = (Object::Link(old.clone()), Object::Link(new));
        let undo = self.kernel.replace(&old, &new).await.map_err(TxError::Kernel)?;
        inner.done.push(undo);
        let row = row.map(|row| Entry { object: new, ..row });
        inner.changes.objects.insert(key.clone(), row);
        Ok(())
    }

    /// A link of this driver's, with its row.
    pub(super) fn link(&self, inner: &Inner, name: &LinkName) -> Result<(Entry, Link), TxError> {
        let state = self.ledger.read();
        match inner.entry(&state, &ObjectKey::link(name)) {
            Some(entry) if entry.scope.driver == self.driver => match &entry.object {
                Object::Link(link) => Ok((entry.clone(), link.clone())),
                _ => Err(TxError::LinkGone(name.clone())),
            },
            _ => Err(TxError::LinkGone(name.clone())),
        }
    }

    fn find_label(&self, inner: &Inner, label: &str) -> Result<Option<Link>, TxError> {
        let scope = self.scope()?;
        let network = Scope { endpoint: None, ..scope.clone() };
        Ok(self.labelled(inner, scope, label).or_else(|| self.labelled(inner, &network, label)))
    }

    fn labelled(&self, inner: &Inner, scope: &Scope, label: &str) -> Option<Link> {
        let state = self.ledger.read();
        let matches = |entry: &Entry| {
            entry.scope == *scope && !entry.doomed && entry.label.as_deref() == Some(label)
        };
        let link = |entry: &Entry| match &entry.object {
            Object::Link(link) => Some(link.clone()),
            _ => None,
        };
        let changed = inner.changes.objects.values().flatten().find(|entry| matches(entry));
        changed.and_then(link).or_else(|| {
            state
                .objects
                .of_network(&scope.network)
                .filter(|(key, _)| !inner.changes.objects.contains_key(*key))
                .find(|(_, entry)| matches(entry))
                .and_then(|(_, entry)| link(entry))
        })
    }
}

/// A name that the user chose.
fn chosen_name(name: &str) -> Result<LinkName, TxError> {
    let name: LinkName = name.parse()?;
    if name.is_picked() { Err(TxError::NameReserved(name)) } else { Ok(name) }
}

fn pick(scope: &Scope, label: &str, attempt: u32) -> LinkName {
    let endpoint = scope.endpoint.as_ref().map_or("", |endpoint| endpoint.as_str());
    LinkName::pick(&[scope.driver.as_str(), scope.network.as_str(), endpoint, label], attempt)
}

fn describe(new: &NewLink, scope: &Scope, name: LinkName) -> Link {
    let moves = new.kind.parent().is_some() && scope.endpoint.is_some();
    let (kind, mac) = match new.kind.clone() {
        // Without an address of its own a bridge takes the lowest of its ports', which
        // changes as they come and go, and neighbours' ARP entries with it. One made
        // from the name is the same again when the bridge has to be made again.
        NewLinkKind::Bridge => (LinkKind::Bridge, Some(new.mac.unwrap_or(Mac::local(scope)))),
        NewLinkKind::Veth { peer_mac } => (LinkKind::Veth { peer: name.peer(), peer_mac }, new.mac),
        NewLinkKind::Vxlan { vni, port, local } => (LinkKind::Vxlan { vni, port, local }, new.mac),
        NewLinkKind::Macvlan { parent, mode } => (LinkKind::Macvlan { parent, mode }, new.mac),
        // It has its parent's address.
        NewLinkKind::Ipvlan { parent, mode, flag } => {
            (LinkKind::Ipvlan { parent, mode, flag }, None)
        }
    };
    Link {
        name,
        kind,
        mtu: new.mtu,
        mac,
        master: new.master.clone(),
        // The engine sets up what is in a container.
        up: !moves,
        hairpin: false,
        isolated: false,
        adopted: false,
        moves,
        alias: scope.alias(),
    }
}

// === impl Mac ===

impl Mac {
    /// A locally administered address (IEEE 802) made from what a link belongs to.
    fn local(scope: &Scope) -> Self {
        use sha2::{Digest, Sha256};
        let hash = Sha256::digest(scope.alias().as_bytes());
        let mut octets = [0x02; 6];
        for (octet, byte) in octets.iter_mut().skip(1).zip(hash.iter()) {
            *octet = *byte;
        }
        Self(octets)
    }
}
