//! `firewall`: what traffic may pass, in the operator's terms.

use wasmtime::component::Resource;

use super::{LinkHandle, error_out, on_links::net_in};
use crate::{
    kernel::{self, FirewallEntry, LinkName, Policy, Subnet},
    ledger::{NewPort, TxError},
    model::{PortBinding, Protocol},
    runtime::{
        bindings::network::wasmnet::driver::{
            firewall::{Access, Host, NetworkPolicy, SourceNat},
            types::{self, Error, ErrorCode, IpAddress, IpNetwork},
        },
        call::CallState,
        convert::address_in,
    },
};

type Outcome<T> = wasmtime::Result<Result<T, Error>>;

// === impl CallState ===

impl CallState {
    async fn say(&mut self, entry: FirewallEntry) -> Outcome<()> {
        Ok(self.transaction()?.set_firewall(entry).await.map_err(|error| error_out(&error)))
    }
}

impl Host for CallState {
    async fn set_policy(
        &mut self,
        link: Resource<LinkHandle>,
        policy: NetworkPolicy,
    ) -> Outcome<()> {
        let trusted: Result<Vec<LinkName>, TxError> =
            policy.trusted_links.iter().map(|name| name.parse().map_err(TxError::Name)).collect();
        let trusted = match trusted {
            Ok(trusted) => trusted,
            Err(error) => return Ok(Err(error_out(&error))),
        };
        let policy = Policy {
            link: self.link_name(&link)?,
            internal: policy.internal,
            inter_container: policy.inter_container,
            ipv4: access_in(policy.access_ipv4),
            ipv6: access_in(policy.access_ipv6),
            trusted,
        };
        self.say(FirewallEntry::Policy(policy)).await
    }

    async fn set_subnet(
        &mut self,
        link: Resource<LinkHandle>,
        subnet: IpNetwork,
        nat: SourceNat,
    ) -> Outcome<()> {
        let link = self.link_name(&link)?;
        let subnet = match net_in(subnet) {
            Ok(subnet) => subnet.trunc(),
            Err(error) => return Ok(Err(error)),
        };
        let nat = match nat {
            SourceNat::None => kernel::SourceNat::None,
            SourceNat::Masquerade => kernel::SourceNat::Masquerade,
            SourceNat::Address(address) => {
                let address = address_in(address);
                if address.is_ipv4() != subnet.addr().is_ipv4() {
                    let message = format!("{address} cannot stand for addresses of {subnet}");
                    return Ok(Err(Error { code: ErrorCode::Invalid, message }));
                }
                kernel::SourceNat::Address(address)
            }
        };
        self.say(FirewallEntry::Subnet(Subnet { link, subnet, nat })).await
    }

    async fn publish(
        &mut self,
        link: Resource<LinkHandle>,
        ipv4: Option<IpAddress>,
        ipv6: Option<IpAddress>,
        binding: types::PortBinding,
    ) -> Outcome<u16> {
        let new = NewPort {
            link: self.link_name(&link)?,
            addresses: [ipv4, ipv6].into_iter().flatten().map(address_in).collect(),
            binding: binding_in(binding),
        };
        Ok(self.transaction()?.publish(new).await.map_err(|error| error_out(&error)))
    }
}

fn access_in(access: Access) -> kernel::Access {
    match access {
        Access::Published => kernel::Access::Published,
        Access::Unprotected => kernel::Access::Unprotected,
        Access::Routed => kernel::Access::Routed,
    }
}

fn binding_in(binding: types::PortBinding) -> PortBinding {
    PortBinding {
        protocol: match binding.protocol {
            types::Protocol::Tcp => Protocol::Tcp,
            types::Protocol::Udp => Protocol::Udp,
            types::Protocol::Sctp => Protocol::Sctp,
        },
        container_port: binding.container_port,
        host_address: binding.host_address.map(address_in),
        host_ports: binding.host_ports,
    }
}
