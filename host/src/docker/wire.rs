//! The JSON of Docker's remote network and IPAM driver protocols.
//!
//! Names and shapes as in libnetwork's `drivers/remote/api` and `ipams/remote/api`
//! (moby/moby). Go writes `null` for an absent map or list and leaves fields out
//! between versions, so everything may be missing or null; unknown fields are
//! ignored, as Go does.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    id::{EndpointId, InvalidId, NetworkId},
    mac::{InvalidMac, Mac},
    model,
};

/// Docker's key for the user's `-o` options.
const GENERIC: &str = "com.docker.network.generic";
/// Docker's key for `--internal`.
const INTERNAL: &str = "com.docker.network.internal";
/// Docker's keys begin with this; among an endpoint's options they are not the user's.
const DOCKER_KEYS: [&str; 4] = [
    "com.docker.network.portmap",
    "com.docker.network.endpoint.exposedports",
    "com.docker.network.endpoint.macaddress",
    "com.docker.network.endpoint.dnsservers",
];

/// Options of a request: strings, numbers, truth values, lists.
pub type RawOptions = BTreeMap<String, Value>;

/// Why a request makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// There is no body. A retry after a broken connection has none (the engine's
    /// client drained it), and must not be taken for a request.
    #[error("empty request body; repeat the command")]
    Empty,
    /// It is no JSON of the method's shape.
    #[error("the request is not what this method takes")]
    Json(#[source] serde_json::Error),
    /// An id will not do.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// A MAC address will not do.
    #[error(transparent)]
    Mac(#[from] InvalidMac),
    /// An address will not do.
    #[error("{field}: \"{value}\" is not an address of this kind")]
    Address {
        /// The field it stands in.
        field: &'static str,
        /// What stands there.
        value: String,
    },
    /// A port binding will not do.
    #[error("a published port makes no sense: {0}")]
    Port(String),
}

/// A request about one network, and for most methods one endpoint.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Request {
    #[serde(rename = "NetworkID", deserialize_with = "nullable")]
    network_id: String,
    #[serde(rename = "EndpointID", deserialize_with = "nullable")]
    endpoint_id: String,
    /// Options of the call.
    #[serde(deserialize_with = "nullable")]
    pub options: RawOptions,
    #[serde(rename = "IPv4Data", deserialize_with = "nullable")]
    ipv4_data: Vec<IpamData>,
    #[serde(rename = "IPv6Data", deserialize_with = "nullable")]
    ipv6_data: Vec<IpamData>,
    #[serde(deserialize_with = "nullable")]
    interface: Interface,
    /// Join: the sandbox's key.
    #[serde(deserialize_with = "nullable")]
    pub sandbox_key: String,
    #[serde(deserialize_with = "nullable")]
    discovery_type: i64,
    #[serde(deserialize_with = "nullable")]
    discovery_data: Discovery,
}

/// One pool of CreateNetwork.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct IpamData {
    #[serde(deserialize_with = "nullable")]
    address_space: String,
    #[serde(deserialize_with = "nullable")]
    pool: String,
    #[serde(deserialize_with = "nullable")]
    gateway: String,
    #[serde(deserialize_with = "nullable")]
    aux_addresses: BTreeMap<String, String>,
}

/// An endpoint's interface, in requests and answers; "" where not set.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Interface {
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    address: String,
    #[serde(
        rename = "AddressIPv6",
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    address_ipv6: String,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    mac_address: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Discovery {
    #[serde(deserialize_with = "nullable")]
    address: String,
    #[serde(rename = "Self", deserialize_with = "nullable")]
    is_self: bool,
}

/// A request to an IPAM driver.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct IpamRequest {
    #[serde(deserialize_with = "nullable")]
    address_space: String,
    #[serde(deserialize_with = "nullable")]
    pool: String,
    #[serde(deserialize_with = "nullable")]
    sub_pool: String,
    #[serde(deserialize_with = "nullable")]
    options: RawOptions,
    #[serde(rename = "V6", deserialize_with = "nullable")]
    v6: bool,
    /// The pool a request is about.
    #[serde(rename = "PoolID", deserialize_with = "nullable")]
    pub pool_id: String,
    #[serde(deserialize_with = "nullable")]
    address: String,
}

/// Answer to Join.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct JoinAnswer {
    #[serde(skip_serializing_if = "Option::is_none")]
    interface_name: Option<InterfaceName>,
    #[serde(skip_serializing_if = "String::is_empty")]
    gateway: String,
    #[serde(rename = "GatewayIPv6", skip_serializing_if = "String::is_empty")]
    gateway_ipv6: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    static_routes: Vec<StaticRoute>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    disable_gateway_service: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct InterfaceName {
    src_name: String,
    dst_prefix: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct StaticRoute {
    destination: String,
    /// 0: by the next hop, 1: directly connected.
    route_type: u8,
    next_hop: String,
}

// === impl Request ===

impl Request {
    /// Reads a body.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        parse(body)
    }

    /// The network it is about.
    pub fn network_id(&self) -> Result<NetworkId, Invalid> {
        Ok(self.network_id.parse()?)
    }

    /// The endpoint it is about.
    pub fn endpoint_id(&self) -> Result<EndpointId, Invalid> {
        Ok(self.endpoint_id.parse()?)
    }

    /// CreateNetwork's network.
    pub fn network(&self) -> Result<model::Network, Invalid> {
        Ok(model::Network {
            id: self.network_id()?,
            options: self.generic_options(),
            internal: self.options.get(INTERNAL).is_some_and(is_true),
            ipv4: pools(&self.ipv4_data, "IPv4Data")?,
            ipv6: pools(&self.ipv6_data, "IPv6Data")?,
        })
    }

    /// The user's `-o` options.
    pub fn generic_options(&self) -> model::Options {
        match self.options.get(GENERIC) {
            Some(Value::Object(generic)) => {
                generic.iter().map(|(key, value)| (key.clone(), text(value))).collect()
            }
            _ => model::Options::new(),
        }
    }

    /// AllocateNetwork's options, which are not wrapped.
    pub fn plain_options(&self) -> model::Options {
        self.options.iter().map(|(key, value)| (key.clone(), text(value))).collect()
    }

    /// AllocateNetwork's pools, IPv4 and IPv6.
    pub fn pools(&self) -> Result<(Vec<model::Pool>, Vec<model::Pool>), Invalid> {
        Ok((pools(&self.ipv4_data, "IPv4Data")?, pools(&self.ipv6_data, "IPv6Data")?))
    }

    /// CreateEndpoint's endpoint.
    pub fn endpoint(&self) -> Result<model::EndpointRequest, Invalid> {
        let Interface { address, address_ipv6, mac_address } = &self.interface;
        let own = |key: &String| !DOCKER_KEYS.contains(&key.as_str());
        Ok(model::EndpointRequest {
            id: self.endpoint_id()?,
            ipv4: optional(address, "Address")?,
            ipv6: optional(address_ipv6, "AddressIPv6")?,
            mac: match mac_address.as_str() {
                "" => None,
                mac => Some(mac.parse::<Mac>()?),
            },
            options: self
                .options
                .iter()
                .filter(|(key, _)| own(key))
                .map(|(key, value)| (key.clone(), text(value)))
                .collect(),
        })
    }

    /// DiscoverNew's or DiscoverDelete's node; none for what is not about nodes.
    pub fn node(&self) -> Result<Option<model::Node>, Invalid> {
        const NODE_DISCOVERY: i64 = 1;
        if self.discovery_type != NODE_DISCOVERY {
            return Ok(None);
        }
        let Discovery { address, is_self } = &self.discovery_data;
        let invalid = |_| Invalid::Address { field: "Address", value: escaped(address) };
        let address = address.parse().map_err(invalid)?;
        Ok(Some(model::Node { address, is_self: *is_self }))
    }
}

// === impl IpamRequest ===

impl IpamRequest {
    /// Reads a body.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        parse(body)
    }

    /// RequestPool's pool.
    pub fn pool(&self) -> Result<model::PoolRequest, Invalid> {
        Ok(model::PoolRequest {
            address_space: self.address_space.clone(),
            ipv6: self.v6,
            subnet: optional(&self.pool, "Pool")?,
            sub_pool: optional(&self.sub_pool, "SubPool")?,
            options: self.options(),
        })
    }

    /// RequestAddress's or ReleaseAddress's address.
    pub fn address(&self) -> Result<Option<std::net::IpAddr>, Invalid> {
        optional(&self.address, "Address")
    }

    /// `--ipam-opt` options, or those of an address.
    pub fn options(&self) -> model::Options {
        self.options.iter().map(|(key, value)| (key.clone(), text(value))).collect()
    }
}

// === impl Interface ===

impl From<model::EndpointSettings> for Interface {
    fn from(settings: model::EndpointSettings) -> Self {
        let text = |value: Option<String>| value.unwrap_or_default();
        Self {
            address: text(settings.ipv4.map(|net| net.to_string())),
            address_ipv6: text(settings.ipv6.map(|net| net.to_string())),
            mac_address: text(settings.mac.map(|mac| mac.to_string())),
        }
    }
}

// === impl JoinAnswer ===

impl From<model::JoinInfo> for JoinAnswer {
    fn from(info: model::JoinInfo) -> Self {
        let route = |route: model::StaticRoute| StaticRoute {
            destination: route.destination.to_string(),
            route_type: u8::from(route.next_hop.is_none()),
            next_hop: route.next_hop.map(|hop| hop.to_string()).unwrap_or_default(),
        };
        Self {
            interface_name: info.interface.map(|interface| InterfaceName {
                src_name: interface.source,
                dst_prefix: interface.prefix,
            }),
            gateway: info.gateway.map(|ip| ip.to_string()).unwrap_or_default(),
            gateway_ipv6: info.gateway_ipv6.map(|ip| ip.to_string()).unwrap_or_default(),
            static_routes: info.routes.into_iter().map(route).collect(),
            disable_gateway_service: info.disable_gateway_service,
        }
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Invalid> {
    if body.trim_ascii().is_empty() {
        return Err(Invalid::Empty);
    }
    // A derived struct would also be read from a list.
    let object: serde_json::Map<String, Value> =
        serde_json::from_slice(body).map_err(Invalid::Json)?;
    T::deserialize(Value::Object(object)).map_err(Invalid::Json)
}

fn pools(data: &[IpamData], field: &'static str) -> Result<Vec<model::Pool>, Invalid> {
    let net = |value: &str| -> Result<IpNet, Invalid> {
        value.parse().map_err(|_| Invalid::Address { field, value: escaped(value) })
    };
    let pool = |pool: &IpamData| {
        Ok(model::Pool {
            address_space: pool.address_space.clone(),
            subnet: net(&pool.pool)?.trunc(),
            gateway: match pool.gateway.as_str() {
                "" => None,
                gateway => Some(net(gateway)?),
            },
            auxiliary: pool
                .aux_addresses
                .iter()
                .map(|(name, address)| Ok((name.clone(), net(address)?)))
                .collect::<Result<_, Invalid>>()?,
        })
    };
    data.iter().map(pool).collect()
}

fn optional<T: std::str::FromStr>(value: &str, field: &'static str) -> Result<Option<T>, Invalid> {
    match value {
        "" => Ok(None),
        value => {
            value.parse().map(Some).map_err(|_| Invalid::Address { field, value: escaped(value) })
        }
    }
}

/// An option's value as the user typed it; values that are not strings as JSON.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn is_true(value: &Value) -> bool {
    matches!(value, Value::Bool(true)) || matches!(value.as_str(), Some("true" | "1"))
}

fn escaped(value: &str) -> String {
    value.escape_default().to_string()
}

/// Takes `null` for the default, as Go's decoder does.
fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}
