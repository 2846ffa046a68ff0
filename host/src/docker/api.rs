//! One arm per method of the two protocols.

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    ports::published,
    wire::{Interface, Invalid, IpamRequest, JoinAnswer, Request},
};
use crate::{
    dispatch::{self, Dispatcher, Roles},
    id::DriverName,
    model::Scope,
};

/// Why a call is answered with an error.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is no such method, or the driver has no such role.
    #[error("method {0} is not part of this driver's protocol")]
    UnknownMethod(String),
    /// The request makes no sense.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// It did not work.
    #[error(transparent)]
    Dispatch(#[from] dispatch::Error),
    /// The answer could not be written.
    #[error("cannot write the answer")]
    Encode(#[from] serde_json::Error),
}

// === impl Failure ===

impl Failure {
    /// What kind of failure it is, in a word that does not change.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownMethod(_) => "unknown-method",
            Self::Invalid(_) => "invalid",
            Self::Dispatch(error) => error.code(),
            Self::Encode(_) => "encode",
        }
    }
}

/// Handles one call of `method` ("NetworkDriver.Join") to driver `name`.
pub async fn handle(
    dispatcher: &Dispatcher,
    name: &DriverName,
    method: &str,
    body: &[u8],
) -> Result<Value, Failure> {
    let roles = dispatcher.roles(name);
    match method.split_once('.') {
        Some(("Plugin", "Activate")) => {
            // What an engine asks once, when it has begun.
            if roles.ipam.is_some() {
                dispatcher.engine_started(name).await;
            }
            Ok(json!({ "Implements": implements(&roles) }))
        }
        Some(("NetworkDriver", method)) if roles.network.is_some() => {
            network(dispatcher, name, &roles, method, body).await
        }
        Some(("IpamDriver", method)) if roles.ipam.is_some() => {
            ipam(dispatcher, name, &roles, method, body).await
        }
        _ => Err(Failure::UnknownMethod(method.escape_default().to_string())),
    }
}

fn implements(roles: &Roles) -> Vec<&'static str> {
    let network = roles.network.as_ref().map(|_| "NetworkDriver");
    let ipam = roles.ipam.as_ref().map(|_| "IpamDriver");
    network.into_iter().chain(ipam).collect()
}

async fn network(
    dispatcher: &Dispatcher,
    name: &DriverName,
    roles: &Roles,
    method: &str,
    body: &[u8],
) -> Result<Value, Failure> {
    // The only method without a body.
    if method == "GetCapabilities" {
        return Ok(network_capabilities(roles));
    }
    let request = || Request::parse(body);
    match method {
        "GwAllocCheck" => {
            let options = request()?.generic_options();
            let (ipv4, ipv6) = dispatcher.gateway_allocation(name, &options).await?;
            Ok(json!({ "SkipIPv4": ipv4, "SkipIPv6": ipv6 }))
        }
        "AllocateNetwork" => {
            let request = request()?;
            let (ipv4, ipv6) = request.pools()?;
            let (id, options) = (request.network_id()?, request.plain_options());
            let options = dispatcher.allocate_network(name, &id, &options, &ipv4, &ipv6).await?;
            Ok(json!({ "Options": options }))
        }
        "FreeNetwork" => empty(dispatcher.free_network(name, &request()?.network_id()?).await),
        "CreateNetwork" => empty(dispatcher.create_network(name, request()?.network()?).await),
        "DeleteNetwork" => empty(dispatcher.delete_network(name, &request()?.network_id()?).await),
        "CreateEndpoint" => {
            let request = request()?;
            let (network, endpoint) = (request.network_id()?, request.endpoint()?);
            let settings = dispatcher.create_endpoint(name, &network, endpoint).await?;
            encode(&json!({ "Interface": Interface::from(settings) }))
        }
        "DeleteEndpoint" => {
            let request = request()?;
            let (network, endpoint) = (request.network_id()?, request.endpoint_id()?);
            empty(dispatcher.delete_endpoint(name, &network, &endpoint).await)
        }
        "EndpointOperInfo" => {
            let request = request()?;
            let (network, endpoint) = (request.network_id()?, request.endpoint_id()?);
            let value = dispatcher.endpoint_info(name, &network, &endpoint).await?;
            Ok(json!({ "Value": value }))
        }
        "Join" => {
            let request = request()?;
            let (network, endpoint) = (request.network_id()?, request.endpoint_id()?);
            let info = dispatcher.join(name, &network, &endpoint, &request.sandbox_key).await?;
            encode(&JoinAnswer::from(info))
        }
        "Leave" => {
            let request = request()?;
            let (network, endpoint) = (request.network_id()?, request.endpoint_id()?);
            empty(dispatcher.leave(name, &network, &endpoint).await)
        }
        "ProgramExternalConnectivity" => {
            let request = request()?;
            let (network, endpoint) = (request.network_id()?, request.endpoint_id()?);
            let ports = published(&request.options)?;
            empty(dispatcher.program(name, &network, &endpoint, ports).await)
        }
        "RevokeExternalConnectivity" => {
            let request = request()?;
            let (network, endpoint) = (request.network_id()?, request.endpoint_id()?);
            empty(dispatcher.revoke(name, &network, &endpoint).await)
        }
        "DiscoverNew" | "DiscoverDelete" => match request()?.node()? {
            Some(node) => empty(dispatcher.discover(name, node, method == "DiscoverNew").await),
            None => Ok(json!({})),
        },
        _ => Err(Failure::UnknownMethod(format!("NetworkDriver.{}", method.escape_default()))),
    }
}

async fn ipam(
    dispatcher: &Dispatcher,
    name: &DriverName,
    roles: &Roles,
    method: &str,
    body: &[u8],
) -> Result<Value, Failure> {
    if let Some((capabilities, spaces)) = &roles.ipam {
        match method {
            "GetCapabilities" => {
                return Ok(json!({
                    "RequiresMACAddress": capabilities.requires_mac_address,
                    "RequiresRequestReplay": capabilities.requires_request_replay,
                }));
            }
            "GetDefaultAddressSpaces" => {
                return Ok(json!({
                    "LocalDefaultAddressSpace": spaces.local,
                    "GlobalDefaultAddressSpace": spaces.global,
                }));
            }
            _ => {}
        }
    }
    let request = || IpamRequest::parse(body);
    match method {
        "RequestPool" => {
            let pool = dispatcher.request_pool(name, &request()?.pool()?).await?;
            let gateway = |gateway| json!({ "com.docker.network.gateway": gateway });
            Ok(json!({
                "PoolID": pool.id,
                "Pool": pool.subnet,
                "Data": pool.gateway.map_or(json!({}), gateway),
            }))
        }
        "ReleasePool" => empty(dispatcher.release_pool(name, &request()?.pool_id).await),
        "RequestAddress" => {
            let request = request()?;
            let (address, options) = (request.address()?, request.options());
            let net = dispatcher.request_address(name, &request.pool_id, address, &options).await?;
            Ok(json!({ "Address": net, "Data": {} }))
        }
        "ReleaseAddress" => {
            let request = request()?;
            match request.address()? {
                Some(address) => {
                    empty(dispatcher.release_address(name, &request.pool_id, address).await)
                }
                None => Err(Invalid::Address { field: "Address", value: String::new() }.into()),
            }
        }
        _ => Err(Failure::UnknownMethod(format!("IpamDriver.{}", method.escape_default()))),
    }
}

fn network_capabilities(roles: &Roles) -> Value {
    let scope = |scope| match scope {
        Scope::Local => "local",
        Scope::Global => "global",
    };
    match &roles.network {
        Some(capabilities) => json!({
            "Scope": scope(capabilities.scope),
            "ConnectivityScope": scope(capabilities.connectivity),
            "GwAllocChecker": capabilities.gateway_allocation,
        }),
        // Must never fail: an engine that gets no answer here gives the driver up.
        None => json!({ "Scope": "local", "ConnectivityScope": "local" }),
    }
}

/// An answer without content is an empty object: an empty body would be an error.
fn empty(result: Result<(), dispatch::Error>) -> Result<Value, Failure> {
    result?;
    Ok(json!({}))
}

fn encode(answer: &impl Serialize) -> Result<Value, Failure> {
    Ok(serde_json::to_value(answer)?)
}
