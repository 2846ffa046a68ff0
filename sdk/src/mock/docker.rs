//! An engine that calls a network driver.

use std::{collections::BTreeMap, marker::PhantomData};

use super::{
    host::Host,
    object::Object,
    state::{Call, Scope, with},
};
use crate::{
    DriverOption, Endpoint, EndpointRequest, EndpointSettings, Error, ErrorCode, GatewaySkip,
    JoinInfo, Network, NetworkDriver, Node, PortBinding, Progress,
};

/// Longest interface prefix: the kernel's names have 15 bytes, the number needs some.
const PREFIX_MAX: usize = 12;

/// An engine that calls network driver `D` on a host in memory, in the order in which the
/// daemon would: see the [module's documentation](crate::mock).
#[derive(Debug)]
pub struct Docker<D> {
    host: Host,
    networks: BTreeMap<String, Network>,
    endpoints: BTreeMap<(String, String), Record>,
    driver: PhantomData<D>,
}

#[derive(Debug, Clone)]
struct Record {
    request: EndpointRequest,
    settings: EndpointSettings,
    joined: Option<JoinInfo>,
    programmed: Option<Vec<PortBinding>>,
}

// === impl Docker ===

impl<D: NetworkDriver> Default for Docker<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D: NetworkDriver> Docker<D> {
    /// An engine on an empty host.
    pub fn new() -> Self {
        let (networks, endpoints) = (BTreeMap::new(), BTreeMap::new());
        Self { host: Host::new(), networks, endpoints, driver: PhantomData }
    }

    /// The host.
    pub fn host(&self) -> Host {
        self.host.clone()
    }

    /// Asks whether families need no gateway address.
    pub fn gateway_allocation(&self, options: &[DriverOption]) -> Result<GatewaySkip, Error> {
        self.host.call(Call::default(), || D::gateway_allocation(options))
    }

    /// Makes a network.
    pub fn create_network(&mut self, network: &Network) -> Result<(), Error> {
        match self.networks.get(&network.id) {
            Some(standing) if standing == network => return Ok(()),
            Some(_) => return Err(exists("network", &network.id)),
            None => {}
        }
        let call = about(network, None);
        self.host.call(call, || D::create_network(network))?;
        self.networks.insert(network.id.clone(), network.clone());
        Ok(())
    }

    /// Deletes a network with everything in it, even if the driver fails.
    pub fn delete_network(&mut self, id: &str) -> Result<(), Error> {
        let Some(network) = self.networks.remove(id) else { return Ok(()) };
        let answer = self.host.call(about(&network, None), || D::delete_network(&network));
        self.endpoints.retain(|(of, _), _| of != id);
        self.host.sweep(&Scope::new(id, None));
        answer
    }

    /// Makes an endpoint: what the engine and the driver agreed on.
    pub fn create_endpoint(
        &mut self,
        network: &str,
        request: &EndpointRequest,
    ) -> Result<Endpoint, Error> {
        let of = self.network(network)?;
        let key = (network.to_owned(), request.id.clone());
        match self.endpoints.get(&key) {
            Some(record) if record.request == *request => return Ok(record.view()),
            Some(_) => return Err(exists("endpoint", &request.id)),
            None => {}
        }
        let addresses = [request.ipv4, request.ipv6].into_iter().flatten().collect();
        let call = Call { addresses, ..about(&of, Some(&request.id)) };
        let settings = self.host.call(call, || {
            let settings = D::create_endpoint(&of, request)?;
            self.check_settings(network, request, &settings)?;
            Ok(settings)
        })?;
        let (request, joined, programmed) = (request.clone(), None, None);
        let record = Record { request, settings, joined, programmed };
        let endpoint = record.view();
        self.endpoints.insert(key, record);
        Ok(endpoint)
    }

    /// Connects an endpoint to a sandbox.
    pub fn join(&mut self, network: &str, endpoint: &str) -> Result<JoinInfo, Error> {
        let (of, record) = self.endpoint(network, endpoint)?;
        if let Some(info) = record.joined {
            return Ok(info);
        }
        let info = self.host.call(record.call(&of), || {
            let info = D::join(&of, &record.view(), &format!("/run/docker/netns/{endpoint}"))?;
            check_join(network, endpoint, &info)?;
            Ok(info)
        })?;
        self.change(network, endpoint, |record| record.joined = Some(info.clone()));
        Ok(info)
    }

    /// Asks for facts about an endpoint.
    pub fn endpoint_info(&self, network: &str, endpoint: &str) -> Result<Vec<DriverOption>, Error> {
        let (of, record) = self.endpoint(network, endpoint)?;
        self.host.call(record.call(&of), || D::endpoint_info(&of, &record.view()))
    }

    /// The endpoint has become its container's way out: publishes its ports.
    pub fn program(
        &mut self,
        network: &str,
        endpoint: &str,
        ports: &[PortBinding],
    ) -> Result<(), Error> {
        let (_, record) = self.endpoint(network, endpoint)?;
        match record.programmed.as_deref() {
            Some(programmed) if programmed == ports => return Ok(()),
            Some(_) => self.revoke(network, endpoint)?,
            None => {}
        }
        let (of, record) = self.endpoint(network, endpoint)?;
        self.host.call(record.call(&of), || {
            D::program_external_connectivity(&of, &record.view(), ports)
        })?;
        self.change(network, endpoint, |record| record.programmed = Some(ports.to_vec()));
        Ok(())
    }

    /// The endpoint is no longer its container's way out.
    pub fn revoke(&mut self, network: &str, endpoint: &str) -> Result<(), Error> {
        let Ok((of, record)) = self.endpoint(network, endpoint) else { return Ok(()) };
        if record.programmed.is_none() {
            return Ok(());
        }
        let answer = self
            .host
            .call(record.call(&of), || D::revoke_external_connectivity(&of, &record.view()));
        let scope = Scope::new(network, Some(endpoint));
        with(|state| state.retain(|of, is| *of != scope || !matches!(is, Object::Port { .. })));
        self.change(network, endpoint, |record| record.programmed = None);
        answer
    }

    /// Disconnects an endpoint.
    pub fn leave(&mut self, network: &str, endpoint: &str) -> Result<(), Error> {
        let revoked = self.revoke(network, endpoint);
        let Ok((of, record)) = self.endpoint(network, endpoint) else { return Ok(()) };
        if record.joined.is_none() {
            return revoked;
        }
        let answer = self.host.call(record.call(&of), || D::leave(&of, &record.view()));
        self.change(network, endpoint, |record| record.joined = None);
        revoked.and(answer)
    }

    /// Deletes an endpoint with everything it has, even if the driver fails.
    pub fn delete_endpoint(&mut self, network: &str, endpoint: &str) -> Result<(), Error> {
        let left = self.leave(network, endpoint);
        let Ok((of, record)) = self.endpoint(network, endpoint) else { return Ok(()) };
        let answer = self.host.call(record.call(&of), || D::delete_endpoint(&of, &record.view()));
        self.endpoints.remove(&(network.to_owned(), endpoint.to_owned()));
        self.host.sweep(&Scope::new(network, Some(endpoint)));
        left.and(answer)
    }

    /// A Swarm node appeared, or went away.
    pub fn discover(&self, node: Node, appeared: bool) -> Result<(), Error> {
        self.host.call(Call::default(), || match appeared {
            true => D::discover_new(&node),
            false => D::discover_delete(&node),
        })
    }

    /// The host is started anew: its endpoints are gone, its networks are made again as they
    /// were, and the driver hears of it.
    pub fn reboot(&mut self) -> Result<(), Error> {
        for (network, endpoint) in std::mem::take(&mut self.endpoints).into_keys() {
            self.host.sweep(&Scope::new(&network, Some(&endpoint)));
        }
        for network in self.networks.values() {
            self.host.call(about(network, None), || D::restore_network(network))?;
        }
        Ok(())
    }

    /// Another node publishes a value; the networks here that follow the group hear of it.
    pub fn published_elsewhere(
        &mut self,
        node: &str,
        group: &str,
        key: &str,
        value: &[u8],
    ) -> Result<(), Error> {
        let followers: Vec<String> = with(|state| {
            state
                .elsewhere
                .retain(|(g, k, n, _)| (g.as_str(), k.as_str(), n.as_str()) != (group, key, node));
            let (group, key) = (group.to_owned(), key.to_owned());
            state.elsewhere.push((group.clone(), key, node.to_owned(), value.to_vec()));
            let rows = state.world.followed.iter().filter(|(_, of)| *of == group);
            rows.map(|(network, _)| network.clone()).collect()
        });
        for id in followers {
            let network = self.network(&id)?;
            let keys = [key.to_owned()];
            // As the host does: a driver that has more to do is asked again.
            while self
                .host
                .call(about(&network, None), || D::entries_changed(&network, group, Some(&keys)))?
                == Progress::More
            {}
        }
        Ok(())
    }

    /// Makes a call again and again, with its first import failing, then its second, and so
    /// on, until it works; says how often it failed. In between nothing may have changed.
    ///
    /// # Panics
    ///
    /// If something is left after a failure, or the driver says that it worked though an
    /// import failed, and did not do all that it does else.
    #[track_caller]
    #[allow(clippy::panic, reason = "it is an assertion")]
    pub fn fail_everywhere<T>(&mut self, call: impl Fn(&mut Self) -> Result<T, Error>) -> u64 {
        let before = with(|state| (state.world.clone(), state.steps, state.random));
        let (networks, endpoints) = (self.networks.clone(), self.endpoints.clone());
        let mut failures = 0;
        let mut partial = Vec::new();
        loop {
            with(|state| state.random = before.2);
            let standing = self.host.standing();
            let first = self.host.fail_never();
            self.host.fail_at(failures);
            let answer = call(self);
            let reached = self.host.fail_never() > first + failures;
            match answer {
                Ok(_) if !reached => break,
                Ok(_) => {
                    partial.push((failures, self.host.standing()));
                    with(|state| state.world = before.0.clone());
                    (self.networks, self.endpoints) = (networks.clone(), endpoints.clone());
                }
                Err(_) if !reached => panic!("the call fails without a failing import"),
                Err(_) if self.host.standing() != standing => {
                    panic!("after a failure there is {:?}, not {standing:?}", self.host.standing())
                }
                Err(_) => {}
            }
            failures += 1;
        }
        let whole = self.host.standing();
        match partial.iter().find(|(_, standing)| *standing != whole) {
            Some((at, standing)) => panic!(
                "the call says that it worked though its import {at} failed; there is {standing:?}, not {whole:?}"
            ),
            None => failures,
        }
    }

    fn network(&self, id: &str) -> Result<Network, Error> {
        let network = self.networks.get(id).cloned();
        network.ok_or_else(|| Error::not_found(format!("there is no network {id}")))
    }

    fn endpoint(&self, network: &str, id: &str) -> Result<(Network, Record), Error> {
        let of = self.network(network)?;
        let record = self.endpoints.get(&(network.to_owned(), id.to_owned())).cloned();
        let record =
            record.ok_or_else(|| Error::not_found(format!("there is no endpoint {id}")))?;
        Ok((of, record))
    }

    fn change(&mut self, network: &str, endpoint: &str, change: impl FnOnce(&mut Record)) {
        if let Some(record) = self.endpoints.get_mut(&(network.to_owned(), endpoint.to_owned())) {
            change(record);
        }
    }

    /// A field may be set only if the request left it open, and MAC addresses are unique.
    fn check_settings(
        &self,
        network: &str,
        request: &EndpointRequest,
        settings: &EndpointSettings,
    ) -> Result<(), Error> {
        let changed = |asked: bool, same: bool, what: &str| match asked && !same {
            true => {
                Err(answer("create-endpoint", format!("it changed the {what} that was asked for")))
            }
            false => Ok(()),
        };
        let EndpointSettings { ipv4, ipv6, mac } = *settings;
        changed(request.mac.is_some() && mac.is_some(), mac == request.mac, "MAC address")?;
        changed(request.ipv4.is_some() && ipv4.is_some(), ipv4 == request.ipv4, "IPv4 address")?;
        changed(request.ipv6.is_some() && ipv6.is_some(), ipv6 == request.ipv6, "IPv6 address")?;
        let mac = request.mac.or(mac);
        let others = self.endpoints.iter().filter(|((of, _), _)| of == network);
        let taken = others.filter_map(|(_, record)| record.request.mac.or(record.settings.mac));
        if let Some(mac) = mac.filter(|mac| taken.into_iter().any(|other| other == *mac)) {
            let mac = crate::common::mac_to_text(mac);
            return Err(answer(
                "create-endpoint",
                format!("another endpoint has MAC address {mac}"),
            ));
        }
        Ok(())
    }
}

impl<D> Drop for Docker<D> {
    fn drop(&mut self) {
        Host::new();
    }
}

// === impl Record ===

impl Record {
    fn view(&self) -> Endpoint {
        let EndpointRequest { id, ipv4, ipv6, mac, options } = self.request.clone();
        Endpoint {
            id,
            ipv4: ipv4.or(self.settings.ipv4),
            ipv6: ipv6.or(self.settings.ipv6),
            mac: mac.or(self.settings.mac),
            options,
        }
    }

    fn call(&self, network: &Network) -> Call {
        let Endpoint { id, ipv4, ipv6, .. } = self.view();
        let addresses = [ipv4, ipv6].into_iter().flatten().collect();
        Call { addresses, ..about(network, Some(&id)) }
    }
}

/// A call about a network, or one of its endpoints.
fn about(network: &Network, endpoint: Option<&str>) -> Call {
    let pools = network.ipv4.iter().chain(&network.ipv6);
    Call {
        scope: Scope::new(&network.id, endpoint),
        subnets: pools.map(|pool| pool.subnet).collect(),
        named: network.options.iter().map(|option| option.value.clone()).collect(),
        ..Call::default()
    }
}

/// The container's interface must be the endpoint's own.
fn check_join(network: &str, endpoint: &str, info: &JoinInfo) -> Result<(), Error> {
    let Some(interface) = &info.interface else { return Ok(()) };
    let prefix = &interface.prefix;
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if prefix.is_empty() || prefix.len() > PREFIX_MAX || !prefix.bytes().all(word) {
        return Err(answer("join", format!("\"{prefix}\" cannot begin a link's name")));
    }
    let scope = Scope::new(network, Some(endpoint));
    let own = with(|state| {
        let mut own = state.links().filter(|(of, _)| **of == scope);
        own.any(|(_, link)| *link.peer.as_ref().unwrap_or(&link.name) == interface.source)
    });
    match own {
        true => Ok(()),
        false => {
            Err(answer("join", format!("\"{}\" is no link of this endpoint", interface.source)))
        }
    }
}

fn answer(method: &str, reason: String) -> Error {
    Error::invalid(format!("the driver's answer in {method} cannot be used: {reason}"))
}

fn exists(what: &str, id: &str) -> Error {
    Error { code: ErrorCode::Exists, message: format!("{what} {id} exists with other settings") }
}
