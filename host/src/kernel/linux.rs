//! The Linux kernel of the namespace the host runs in.
//!
//! Links, addresses, routes and neighbours by rtnetlink, settings by /proc/sys,
//! the firewall by [`crate::firewall`]. A netlink socket belongs to the network
//! namespace of the thread that opened it, so everything here acts on the
//! namespace in which [`Linux::open`] ran, and never changes it.

mod events;
mod extack;
mod fdb;
mod links;
mod networks;
mod ports;
mod proxies;
mod routing;
mod sysctl;

use std::collections::BTreeSet;

use async_trait::async_trait;
use ipnet::IpNet;
use netlink_sys::AsyncSocket;

use super::{
    Beside, Error, Event, FirewallBatch, FirewallDrift, FirewallEntry, Kernel, Link, Object,
    SharedLink, Snapshot, Undo,
};
use crate::firewall::Firewall;

/// The Linux kernel.
pub struct Linux {
    netlink: rtnetlink::Handle,
    /// Held while a dump is read: the kernel refuses a second one on the same socket.
    dumps: tokio::sync::Mutex<()>,
    firewall: Firewall,
    ports: ports::Ports,
    events: events::Events,
}

// === impl Linux ===

impl Linux {
    /// Opens the sockets, in the calling thread's network namespace. Needs a
    /// running tokio runtime.
    pub fn open() -> Result<Self, Error> {
        let (mut connection, netlink, _) = rtnetlink::new_connection().map_err(Error::Open)?;
        let socket = connection.socket_mut().socket_mut();
        // Errors then carry a sentence, and of the request only its header.
        socket.set_ext_ack(true).map_err(Error::Open)?;
        socket.set_cap_ack(true).map_err(Error::Open)?;
        tokio::spawn(connection);
        let firewall = Firewall::open().map_err(Error::Open)?;
        let events = events::Events::open(netlink.clone(), firewall.port())?;
        Ok(Self {
            netlink,
            dumps: tokio::sync::Mutex::default(),
            ports: ports::Ports::open()?,
            firewall,
            events,
        })
    }
}

#[async_trait]
impl Kernel for Linux {
    async fn create(&self, object: &Object) -> Result<Undo, Error> {
        match object {
            Object::Link(link) if link.adopted => {
                if self.firewall.is_foreign(&link.name).await {
                    return Err(Error::Foreign(link.name.clone()));
                }
                return links::adopt(&self.netlink, link).await;
            }
            Object::Link(link) => {
                links::create(&self.netlink, link).await?;
                self.firewall.link_came(&link.name).await;
            }
            Object::Shared(shared) => {
                if links::is_there(&self.netlink, &shared.link).await? {
                    return Ok(Undo::Nothing);
                }
                links::create(&self.netlink, &shared.link).await?;
            }
            Object::Proxy(proxy) => {
                let _alone = self.dumps.lock().await;
                proxies::set(&self.netlink, proxy).await?;
            }
            Object::Address(address) => routing::add_address(&self.netlink, address).await?,
            Object::Route(route) => {
                let source = match &route.source {
                    Some(_) => self.snapshot().await?.source_of(route),
                    None => None,
                };
                routing::add_route(&self.netlink, route, source).await?;
            }
            Object::Neighbour(entry) => routing::add_neighbour(&self.netlink, entry).await?,
            Object::Fdb(entry) => fdb::set(&self.netlink, entry).await?,
            Object::Sysctl(setting) => return sysctl::set(setting),
            Object::Port(port) => self.ports.bind(port)?,
            Object::Firewall(entry) => {
                let add = BTreeSet::from([entry.clone()]);
                self.firewall.apply(&FirewallBatch { add, remove: BTreeSet::new() }).await?;
            }
        }
        Ok(Undo::Delete(object.clone()))
    }

    async fn replace(&self, old: &Object, new: &Object) -> Result<Undo, Error> {
        match (old, new) {
            (Object::Link(old), Object::Link(new)) => {
                links::change(&self.netlink, old, new).await?;
            }
            (Object::Shared(old), Object::Shared(new)) => {
                links::change(&self.netlink, &old.link, &new.link).await?;
            }
            (Object::Neighbour(_), Object::Neighbour(new)) => {
                routing::add_neighbour(&self.netlink, new).await?;
            }
            (Object::Fdb(_), Object::Fdb(new)) => fdb::set(&self.netlink, new).await?,
            (Object::Sysctl(_), Object::Sysctl(new)) => drop(sysctl::set(new)?),
            _ => return Err(Error::NotReplaceable(new.key())),
        }
        Ok(Undo::Replace(old.clone(), new.clone()))
    }

    async fn delete(&self, object: &Object) -> Result<(), Error> {
        match object {
            Object::Link(Link { adopted: true, .. }) => Ok(()),
            Object::Link(Link { name, .. })
            | Object::Shared(SharedLink { link: Link { name, .. }, .. }) => {
                links::delete(&self.netlink, name).await
            }
            Object::Proxy(proxy) => {
                let _alone = self.dumps.lock().await;
                proxies::remove(&self.netlink, proxy).await
            }
            Object::Address(address) => routing::remove_address(&self.netlink, address).await,
            Object::Route(route) => routing::remove_route(&self.netlink, route).await,
            Object::Neighbour(entry) => routing::remove_neighbour(&self.netlink, entry).await,
            Object::Fdb(entry) => fdb::remove(&self.netlink, entry).await,
            Object::Sysctl(setting) => sysctl::put_back(setting),
            Object::Port(port) => {
                self.ports.close(port);
                Ok(())
            }
            Object::Firewall(entry) => {
                let remove = BTreeSet::from([entry.clone()]);
                self.firewall.apply(&FirewallBatch { add: BTreeSet::new(), remove }).await
            }
        }
    }

    async fn firewall(&self, batch: &FirewallBatch) -> Result<(), Error> {
        self.firewall.apply(batch).await
    }

    async fn reset_firewall(&self, entries: &BTreeSet<FirewallEntry>) -> Result<(), Error> {
        self.firewall.reset(entries).await
    }

    async fn repair_firewall(&self) -> Result<Option<FirewallDrift>, Error> {
        self.firewall.repair().await
    }

    async fn tidy_firewall(&self) -> Result<(), Error> {
        self.firewall.tidy().await
    }

    async fn is_firewall_silent(&self) -> bool {
        self.firewall.is_silent().await
    }

    async fn ephemeral_ports(&self) -> Result<Vec<u16>, Error> {
        ports::ephemeral()
    }

    async fn look(&self, beside: &Beside) -> Result<Snapshot, Error> {
        let _alone = self.dumps.lock().await;
        let (links, names) = links::dump(&self.netlink).await?;
        let addresses = routing::dump_addresses(&self.netlink, &names).await?;
        let mut snapshot = Snapshot { links, addresses, ..Snapshot::default() };
        if beside.routes {
            snapshot.routes = Some(routing::dump_routes(&self.netlink, &names).await?);
        }
        if beside.neighbours {
            snapshot.neighbours = Some(routing::dump_neighbours(&self.netlink, &names).await?);
        }
        if beside.fdb {
            snapshot.fdb = Some(fdb::dump(&self.netlink, &names).await?);
        }
        if beside.proxies {
            snapshot.proxies = Some(proxies::dump(&self.netlink, &names).await?);
        }
        for setting in &beside.settings {
            if let Some(value) = sysctl::get(setting) {
                snapshot.settings.insert(Object::Sysctl(setting.clone()).key(), value);
            }
        }
        Ok(snapshot)
    }

    async fn networks(&self) -> Result<BTreeSet<IpNet>, Error> {
        let _alone = self.dumps.lock().await;
        networks::dump(&self.netlink).await
    }

    async fn next_event(&self) -> Event {
        self.events.next().await
    }
}
