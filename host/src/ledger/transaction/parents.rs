//! Links of the host's that a network's links are made on.

use std::ops::RangeInclusive;

use futures::FutureExt;

use super::{Inner, Shared, Transaction, TxError};
use crate::{
    grants::{Kind, Request},
    kernel::{self, Link, LinkKind, LinkName, Object, ObjectKey, Proxy, SharedLink},
    ledger::{ALIAS_PREFIX, Entry},
};

/// The VLAN identifiers that can be used (IEEE 802.1Q, 9.6: neither 0 nor 4095).
const VLANS: RangeInclusive<u16> = 1..=4094;

// === impl Transaction ===

impl Transaction {
    /// The MTU in bytes of a link that others are to be made on.
    pub async fn parent_mtu(&self, parent: String) -> Result<u32, TxError> {
        self.step(move |shared, mut inner| {
            async move {
                let parent: LinkName = parent.parse()?;
                shared.check_parent(&mut inner, &parent)?;
                shared.share(&mut inner).await;
                let snapshot = shared.kernel.snapshot().await.map_err(TxError::Kernel)?;
                let link = snapshot.links.get(&parent).map(|link| link.mtu);
                link.ok_or(TxError::Kernel(kernel::Error::NoLink(parent)))
            }
            .boxed()
        })
        .await
    }

    /// Makes a VLAN link for the call's network, or takes the one that other networks of the
    /// driver have already.
    pub async fn create_vlan(&self, parent: String, id: u16) -> Result<(), TxError> {
        self.step(move |shared, mut inner| {
            async move { shared.create_vlan(&mut inner, &parent, id).await }.boxed()
        })
        .await
    }

    /// Answers on a link of this driver's for the IPv6 addresses of its parent.
    pub async fn answer_for_parent(&self, link: LinkName) -> Result<(), TxError> {
        self.step(move |shared, mut inner| {
            async move {
                let (_, of) = shared.link(&inner, &link)?;
                inner.count(&shared.limits)?;
                // Being made on it was granted.
                let Some(of) = of.kind.parent().cloned() else {
                    return Err(TxError::NoParent(link));
                };
                shared.create(&mut inner, Object::Proxy(Proxy { link, of }), None).await
            }
            .boxed()
        })
        .await
    }
}

// === impl Shared ===

impl Shared {
    async fn create_vlan(&self, inner: &mut Inner, parent: &str, id: u16) -> Result<(), TxError> {
        let scope = self.scope()?.clone();
        if scope.endpoint.is_some() {
            return Err(TxError::NotAnEndpoints);
        }
        let parent: LinkName = parent.parse()?;
        let name: LinkName = format!("{parent}.{id}").parse()?;
        inner.count_link(&self.limits)?;
        self.permit(inner, Request::Name(&name))?;
        self.share(inner).await;
        self.check_free(inner, &name).await?;
        if !VLANS.contains(&id) {
            return Err(TxError::Vlan(id));
        }
        self.permit(inner, Request::Link(Kind::Vlan))?;
        self.permit(inner, Request::Vlan(&parent))?;
        let link = Link {
            kind: LinkKind::Vlan { parent, id },
            up: true,
            // Of no network: it stays when the first of them goes.
            alias: format!("{ALIAS_PREFIX}{}", self.driver),
            ..Link::bridge(name)
        };
        let shared = SharedLink { link, holder: scope.network };
        self.create(inner, Object::Shared(shared), None).await
    }

    /// From here on the call is the only one of the driver that looks who is on a parent.
    async fn share(&self, inner: &mut Inner) {
        if inner.sharing.is_none() {
            inner.sharing = Some(self.ledger.share(&self.driver).await);
        }
    }

    /// Whether there is no link of this name, or one that networks of this driver share.
    async fn check_free(&self, inner: &Inner, name: &LinkName) -> Result<(), TxError> {
        let taken = || TxError::NameTaken(name.clone());
        let ours = {
            let state = self.ledger.read();
            if inner.entry(&state, &ObjectKey::link(name)).is_some() {
                return Err(taken());
            }
            // One that is on its way out can be had, too.
            let shares = |(_, entry): &(&ObjectKey, &Entry)| matches!(&entry.object, Object::Shared(of) if of.link.name == *name);
            let mut drivers = state.objects.on_link(name).filter(shares);
            let first = drivers.next().map(|(_, entry)| entry.scope.driver == self.driver);
            if first == Some(false) {
                return Err(taken());
            }
            first.is_some()
        };
        let snapshot = self.kernel.snapshot().await.map_err(TxError::Kernel)?;
        if !ours && snapshot.links.contains_key(name) { Err(taken()) } else { Ok(()) }
    }

    /// Whether the driver may build on a link: one of the network's own, or one that is
    /// nobody's and that the network's user has named.
    pub(super) fn check_parent(&self, inner: &mut Inner, parent: &LinkName) -> Result<(), TxError> {
        let network = self.scope()?.network.clone();
        let (own, others) = {
            let state = self.ledger.read();
            let owner = inner.entry(&state, &ObjectKey::link(parent));
            let owner = owner.map(|entry| entry.scope.network == network);
            let share = inner.entry(&state, &ObjectKey::shared(parent, &network)).is_some();
            let others = state.objects.sharing(parent).next().is_some();
            (owner == Some(true) || share, owner == Some(false) || others)
        };
        match (own, others) {
            (true, _) => Ok(()),
            (false, true) => Err(TxError::NameTaken(parent.clone())),
            (false, false) => self.permit(inner, Request::Parent(parent)),
        }
    }
}
