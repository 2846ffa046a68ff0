//! `links`: handles of the driver's own links.

use wasmtime::component::Resource;

use super::error_out;
use crate::{
    kernel::{self, Link, LinkName},
    ledger::{NewLink, NewLinkKind, TxError},
    runtime::{
        bindings::network::wasmnet::driver::{
            links::{
                BridgeOptions, Host, HostLink, IpvlanFlag, IpvlanMode, IpvlanOptions, MacvlanMode,
                MacvlanOptions, VethOptions, VxlanOptions,
            },
            types::{Error, IpAddress},
        },
        call::CallState,
        convert::{address_in, mac_in},
    },
};

/// What a driver's handle of a link stands for. It is made by the host alone, for a
/// link that the driver made, and lives as long as the call.
#[derive(Debug)]
pub struct LinkHandle {
    name: LinkName,
}

type Handle = Resource<LinkHandle>;
type Outcome<T> = wasmtime::Result<Result<T, Error>>;

// === impl CallState ===

impl CallState {
    /// The name of the link that a handle stands for.
    pub(super) fn link_name(&self, handle: &Handle) -> wasmtime::Result<LinkName> {
        Ok(self.table.get(handle)?.name.clone())
    }

    async fn link(&mut self, handle: &Handle) -> wasmtime::Result<Option<Link>> {
        let name = self.link_name(handle)?;
        Ok(self.transaction()?.link(&name).await.ok())
    }

    fn handle_of(&mut self, link: Result<Link, TxError>) -> Outcome<Handle> {
        match link {
            Ok(link) => Ok(Ok(self.table.push(LinkHandle { name: link.name })?)),
            Err(error) => Ok(Err(error_out(&error))),
        }
    }

    async fn change(
        &mut self,
        handle: &Handle,
        change: impl FnOnce(&mut Link) + Send + 'static,
    ) -> Outcome<()> {
        let name = self.link_name(handle)?;
        Ok(self.transaction()?.change_link(name, change).await.map_err(|error| error_out(&error)))
    }
}

impl Host for CallState {
    async fn create_bridge(&mut self, label: String, options: BridgeOptions) -> Outcome<Handle> {
        let new = NewLink {
            label,
            name: options.name,
            kind: NewLinkKind::Bridge,
            mtu: options.mtu,
            mac: options.mac.map(mac_in),
            master: None,
        };
        let link = self.transaction()?.create_link(new).await;
        self.handle_of(link)
    }

    async fn adopt_bridge(
        &mut self,
        label: String,
        name: String,
        mtu: Option<u32>,
    ) -> Outcome<Handle> {
        let link = self.transaction()?.adopt_bridge(label, name, mtu).await;
        self.handle_of(link)
    }

    async fn create_veth(
        &mut self,
        label: String,
        master: Handle,
        options: VethOptions,
    ) -> Outcome<Handle> {
        let new = NewLink {
            label,
            name: None,
            kind: NewLinkKind::Veth { peer_mac: options.peer_mac.map(mac_in) },
            mtu: options.mtu,
            mac: None,
            master: Some(self.link_name(&master)?),
        };
        let link = self.transaction()?.create_link(new).await;
        self.handle_of(link)
    }

    async fn create_vxlan(
        &mut self,
        label: String,
        master: Handle,
        options: VxlanOptions,
    ) -> Outcome<Handle> {
        let VxlanOptions { vni, port, local, mtu } = options;
        let new = NewLink {
            label,
            name: None,
            kind: NewLinkKind::Vxlan { vni, port, local: address_in(local) },
            mtu: Some(mtu),
            mac: None,
            master: Some(self.link_name(&master)?),
        };
        let link = self.transaction()?.create_link(new).await;
        self.handle_of(link)
    }

    async fn create_macvlan(&mut self, label: String, options: MacvlanOptions) -> Outcome<Handle> {
        let MacvlanOptions { parent, mode, mac, mtu } = options;
        let parent: LinkName = match parent.parse() {
            Ok(parent) => parent,
            Err(error) => return Ok(Err(error_out(&TxError::Name(error)))),
        };
        let new = NewLink {
            label,
            name: None,
            kind: NewLinkKind::Macvlan { parent, mode: mode_in(mode) },
            mtu,
            mac: mac.map(mac_in),
            master: None,
        };
        let link = self.transaction()?.create_link(new).await;
        self.handle_of(link)
    }

    async fn create_ipvlan(&mut self, label: String, options: IpvlanOptions) -> Outcome<Handle> {
        let IpvlanOptions { parent, mode, flag, mtu } = options;
        let parent: LinkName = match parent.parse() {
            Ok(parent) => parent,
            Err(error) => return Ok(Err(error_out(&TxError::Name(error)))),
        };
        let mode = match mode {
            IpvlanMode::L2 => kernel::IpvlanMode::L2,
            IpvlanMode::L3 => kernel::IpvlanMode::L3,
            IpvlanMode::L3s => kernel::IpvlanMode::L3s,
        };
        let flag = match flag {
            IpvlanFlag::Bridge => kernel::IpvlanFlag::Bridge,
            IpvlanFlag::Private => kernel::IpvlanFlag::Private,
            IpvlanFlag::Vepa => kernel::IpvlanFlag::Vepa,
        };
        let new = NewLink {
            label,
            name: None,
            kind: NewLinkKind::Ipvlan { parent, mode, flag },
            mtu,
            mac: None,
            master: None,
        };
        let link = self.transaction()?.create_link(new).await;
        self.handle_of(link)
    }

    async fn create_vlan(&mut self, parent: String, id: u16) -> Outcome<()> {
        let made = self.transaction()?.create_vlan(parent, id).await;
        Ok(made.map_err(|error| error_out(&error)))
    }

    async fn parent_mtu(&mut self, parent: String) -> Outcome<u32> {
        let mtu = self.transaction()?.parent_mtu(parent).await;
        Ok(mtu.map_err(|error| error_out(&error)))
    }

    async fn underlay_mtu(&mut self, local: IpAddress) -> Outcome<u32> {
        let mtu = self.transaction()?.mtu_at(address_in(local)).await;
        Ok(mtu.map_err(|error| error_out(&error)))
    }

    async fn open(&mut self, label: String) -> Outcome<Handle> {
        let link = self.transaction()?.open_link(&label).await;
        self.handle_of(link)
    }
}

impl HostLink for CallState {
    async fn name(&mut self, handle: Handle) -> wasmtime::Result<String> {
        Ok(self.link_name(&handle)?.into())
    }

    async fn peer_name(&mut self, handle: Handle) -> wasmtime::Result<Option<String>> {
        let link = self.link(&handle).await?;
        Ok(link.and_then(|link| link.kind.peer().cloned().map(String::from)))
    }

    async fn mtu(&mut self, handle: Handle) -> wasmtime::Result<Option<u32>> {
        Ok(self.link(&handle).await?.and_then(|link| link.mtu))
    }

    async fn set_mtu(&mut self, handle: Handle, mtu: u32) -> Outcome<()> {
        self.change(&handle, move |link| link.mtu = Some(mtu)).await
    }

    async fn set_up(&mut self, handle: Handle, up: bool) -> Outcome<()> {
        self.change(&handle, move |link| link.up = up).await
    }

    async fn delete(&mut self, handle: Handle) -> Outcome<()> {
        let name = self.link_name(&handle)?;
        Ok(self.transaction()?.delete_link(name).await.map_err(|error| error_out(&error)))
    }

    async fn drop(&mut self, handle: Handle) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

fn mode_in(mode: MacvlanMode) -> kernel::MacvlanMode {
    match mode {
        MacvlanMode::Bridge => kernel::MacvlanMode::Bridge,
        MacvlanMode::Private => kernel::MacvlanMode::Private,
        MacvlanMode::Vepa => kernel::MacvlanMode::Vepa,
        MacvlanMode::Passthru => kernel::MacvlanMode::Passthru,
    }
}
