//! `addresses`, `routes`, `neighbours`, `sysctl`: what stands on the driver's links.

use ipnet::IpNet;
use wasmtime::component::Resource;

use super::{LinkHandle, error_out};
use crate::{
    kernel::{Address, Fdb, Neighbour, Object, ObjectKey, Route, Sysctl},
    runtime::{
        bindings::network::wasmnet::driver::{
            addresses, neighbours, routes, sysctl,
            types::{Error, ErrorCode, IpAddress, IpFamily, IpNetwork, MacAddress},
        },
        call::CallState,
        convert::{address_in, mac_in},
    },
};

type Handle = Resource<LinkHandle>;
type Outcome<T> = wasmtime::Result<Result<T, Error>>;

// === impl CallState ===

impl CallState {
    async fn create(&mut self, object: Object) -> Outcome<()> {
        Ok(self.transaction()?.create(object).await.map_err(|error| error_out(&error)))
    }

    async fn remove(&mut self, object: Object) -> Outcome<()> {
        Ok(self.transaction()?.remove(object).await.map_err(|error| error_out(&error)))
    }

    fn address_of(&self, link: &Handle, net: IpNetwork) -> Outcome<Object> {
        let link = self.link_name(link)?;
        Ok(net_in(net).map(|net| Object::Address(Address { link, net })))
    }

    fn route_of(
        &self,
        link: &Handle,
        destination: IpNetwork,
        gateway: Option<IpAddress>,
    ) -> Outcome<Object> {
        let link = self.link_name(link)?;
        Ok(net_in(destination).and_then(|destination| {
            let gateway = gateway.map(address_in);
            if destination != destination.trunc() {
                return Err(invalid(format!("destination {destination} has host bits set")));
            }
            if gateway.is_some_and(|gateway| gateway.is_ipv4() != destination.addr().is_ipv4()) {
                return Err(invalid(format!(
                    "the gateway to {destination} is of the other family"
                )));
            }
            Ok(Object::Route(Route { link, destination, gateway, source: None }))
        }))
    }

    fn neighbour_of(
        &self,
        link: &Handle,
        address: IpAddress,
        mac: MacAddress,
    ) -> wasmtime::Result<Object> {
        let link = self.link_name(link)?;
        let (address, mac) = (address_in(address), mac_in(mac));
        Ok(Object::Neighbour(Neighbour { link, address, mac }))
    }
}

impl addresses::Host for CallState {
    async fn add(&mut self, link: Handle, address: IpNetwork) -> Outcome<()> {
        match self.address_of(&link, address)? {
            Ok(object) => self.create(object).await,
            Err(error) => Ok(Err(error)),
        }
    }

    async fn remove(&mut self, link: Handle, address: IpNetwork) -> Outcome<()> {
        match self.address_of(&link, address)? {
            Ok(object) => CallState::remove(self, object).await,
            Err(error) => Ok(Err(error)),
        }
    }
}

impl routes::Host for CallState {
    async fn add(
        &mut self,
        link: Handle,
        destination: IpNetwork,
        gateway: Option<IpAddress>,
    ) -> Outcome<()> {
        match self.route_of(&link, destination, gateway)? {
            Ok(object) => self.create(object).await,
            Err(error) => Ok(Err(error)),
        }
    }

    async fn remove(
        &mut self,
        link: Handle,
        destination: IpNetwork,
        gateway: Option<IpAddress>,
    ) -> Outcome<()> {
        match self.route_of(&link, destination, gateway)? {
            Ok(object) => CallState::remove(self, object).await,
            Err(error) => Ok(Err(error)),
        }
    }
}

impl neighbours::Host for CallState {
    async fn add(&mut self, link: Handle, address: IpAddress, mac: MacAddress) -> Outcome<()> {
        let object = self.neighbour_of(&link, address, mac)?;
        self.create(object).await
    }

    async fn remove(&mut self, link: Handle, address: IpAddress, mac: MacAddress) -> Outcome<()> {
        let object = self.neighbour_of(&link, address, mac)?;
        CallState::remove(self, object).await
    }

    async fn answer_for_parent(&mut self, link: Handle) -> Outcome<()> {
        let link = self.link_name(&link)?;
        let done = self.transaction()?.answer_for_parent(link).await;
        Ok(done.map_err(|error| error_out(&error)))
    }

    async fn add_forwarding(
        &mut self,
        link: Handle,
        mac: MacAddress,
        vtep: IpAddress,
    ) -> Outcome<()> {
        let entry = Fdb { link: self.link_name(&link)?, mac: mac_in(mac), vtep: address_in(vtep) };
        self.create(Object::Fdb(entry)).await
    }

    async fn remove_forwarding(&mut self, link: Handle, mac: MacAddress) -> Outcome<()> {
        let key = ObjectKey::fdb(&self.link_name(&link)?, mac_in(mac));
        let done = self.transaction()?.remove_key(key).await;
        Ok(done.map_err(|error| error_out(&error)))
    }
}

impl sysctl::Host for CallState {
    async fn set(
        &mut self,
        link: Handle,
        family: IpFamily,
        key: String,
        value: String,
    ) -> Outcome<()> {
        let link = self.link_name(&link)?;
        let ipv6 = family == IpFamily::Ipv6;
        self.create(Object::Sysctl(Sysctl { link, ipv6, key, value, before: None })).await
    }
}

/// An address with prefix length from the driver.
pub(super) fn net_in(net: IpNetwork) -> Result<IpNet, Error> {
    let address = address_in(net.address);
    IpNet::new(address, net.prefix_length)
        .map_err(|_| invalid(format!("{address} cannot have prefix length {}", net.prefix_length)))
}

fn invalid(message: String) -> Error {
    Error { code: ErrorCode::Invalid, message }
}
