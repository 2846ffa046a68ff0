//! What stands on links: addresses, routes, neighbours, settings, firewall entries.

use std::net::IpAddr;

use futures::FutureExt;

use super::{Inner, Shared, Transaction, TxError};
use crate::{
    grants::Request,
    id::NetworkId,
    kernel::{FirewallEntry, LinkKind, Object, ObjectKey, Route, Subnet, Sysctl},
    ledger::Entry,
};

// === impl Transaction ===

impl Transaction {
    /// Makes an object on a link of this driver.
    pub async fn create(&self, mut object: Object) -> Result<(), TxError> {
        self.step(|shared, mut inner| {
            async move {
                let (_, link) = shared.link(&inner, object.link())?;
                if let Object::Route(route @ Route { gateway: None, .. }) = &mut object {
                    // Who is there knows the host by its address on the same wire.
                    route.source = link.kind.parent().cloned();
                }
                match &object {
                    Object::Fdb(_) if !matches!(link.kind, LinkKind::Vxlan { .. }) => {
                        return Err(TxError::NotVxlan(link.name));
                    }
                    Object::Sysctl(setting) => {
                        check_setting(setting)?;
                        shared.permit(&mut inner, Request::Sysctl(&setting.key))?;
                    }
                    Object::Address(address) => {
                        shared.permit(&mut inner, Request::Address(address.net))?;
                    }
                    Object::Route(route) => {
                        shared.permit(&mut inner, Request::Route(route.destination))?;
                    }
                    // A neighbour of the driver's own link is its own affair.
                    _ => inner.count(&shared.limits)?,
                }
                shared.create(&mut inner, object, None).await
            }
            .boxed()
        })
        .await
    }

    /// Deletes an object that this driver made.
    pub async fn remove(&self, object: Object) -> Result<(), TxError> {
        self.remove_key(object.key()).await
    }

    /// Deletes the object of this key, which this driver made.
    pub async fn remove_key(&self, key: ObjectKey) -> Result<(), TxError> {
        self.step(|shared, mut inner| {
            async move {
                inner.count(&shared.limits)?;
                let state = shared.ledger.read();
                match inner.entry(&state, &key) {
                    Some(entry) if entry.scope.driver == shared.driver => {}
                    _ => return Err(TxError::NoObject(key)),
                }
                inner.delete(&state, &key);
                Ok(())
            }
            .boxed()
        })
        .await
    }

    /// The MTU in bytes of the host's link that has this address.
    pub async fn mtu_at(&self, address: IpAddr) -> Result<u32, TxError> {
        self.step(move |shared, mut inner| {
            async move {
                inner.count(&shared.limits)?;
                let snapshot = shared.kernel.snapshot().await.map_err(TxError::Kernel)?;
                snapshot.mtu_at(address).ok_or(TxError::NotOurAddress(address))
            }
            .boxed()
        })
        .await
    }

    /// Deletes a link of this driver, with what stands on it.
    pub async fn delete_link(&self, name: crate::kernel::LinkName) -> Result<(), TxError> {
        self.step(|shared, mut inner| {
            async move {
                let (entry, _) = shared.link(&inner, &name)?;
                inner.count(&shared.limits)?;
                let state = shared.ledger.read();
                let mut on_link: Vec<_> = state
                    .objects
                    .of_network(&entry.scope.network)
                    .filter(|(_, entry)| *entry.object.link() == name)
                    .map(|(key, _)| key.clone())
                    .collect();
                on_link.extend(
                    inner
                        .changes
                        .objects
                        .iter()
                        .filter(|(_, row)| {
                            row.as_ref().is_some_and(|entry| *entry.object.link() == name)
                        })
                        .map(|(key, _)| key.clone()),
                );
                inner.delete(&state, &entry.object.key());
                for key in on_link {
                    inner.delete(&state, &key);
                }
                Ok(())
            }
            .boxed()
        })
        .await
    }

    /// Says something to the firewall; what was said about the same before is replaced.
    pub async fn set_firewall(&self, rule: FirewallEntry) -> Result<(), TxError> {
        self.step(|shared, mut inner| {
            async move { shared.set_firewall(&mut inner, rule).await }.boxed()
        })
        .await
    }
}

// === impl Shared ===

impl Shared {
    async fn set_firewall(&self, inner: &mut Inner, rule: FirewallEntry) -> Result<(), TxError> {
        let scope = self.scope()?.clone();
        self.link(inner, rule.link())?;
        inner.count(&self.limits)?;
        match &rule {
            FirewallEntry::Policy(policy) => {
                if policy.opens() {
                    self.permit(inner, Request::DirectAccess)?;
                }
                self.isolate_ports(inner, &scope.network, policy).await?;
            }
            FirewallEntry::Subnet(subnet) => {
                self.permit(inner, Request::Address(subnet.subnet))?;
                self.permit(inner, Request::SourceNat(subnet.nat))?;
                self.check_nat(inner, &scope.network, subnet)?;
            }
            // They come with their port, by `publish`, and with links and FDB entries.
            FirewallEntry::Port(_) | FirewallEntry::Shortcut(_) => {}
        }
        let object = Object::Firewall(rule.clone());
        let key = object.key();
        let sequence = self.ledger.next_sequence();
        inner.delete(&self.ledger.read(), &key);
        if !inner.firewall.remove.remove(&rule) {
            inner.firewall.add.insert(rule);
        }
        let entry = Entry { sequence, scope, label: None, object, doomed: false };
        inner.changes.objects.insert(key, Some(entry));
        Ok(())
    }
}

impl Shared {
    /// The firewall knows the source NAT of a bridge, not of a subnet.
    fn check_nat(&self, inner: &Inner, of: &NetworkId, new: &Subnet) -> Result<(), TxError> {
        let state = self.ledger.read();
        let stored = state.objects.of_network(of).map(|(key, _)| key);
        let differs = |key: &ObjectKey| match inner.entry(&state, key).map(|entry| &entry.object) {
            Some(Object::Firewall(FirewallEntry::Subnet(other))) => {
                other.link == new.link
                    && other.subnet != new.subnet
                    && other.subnet.addr().is_ipv4() == new.subnet.addr().is_ipv4()
                    && other.nat != new.nat
            }
            _ => false,
        };
        match stored.chain(inner.changes.objects.keys()).any(differs) {
            true => Err(TxError::MixedNat(new.link.clone())),
            false => Ok(()),
        }
    }
}

/// A setting's name must not lead out of the link's folder.
fn check_setting(setting: &Sysctl) -> Result<(), TxError> {
    let fits = !setting.key.is_empty()
        && setting
            .key
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if fits { Ok(()) } else { Err(TxError::SettingName(setting.key.escape_default().to_string())) }
}
