//! `firewall`: what traffic may pass, in the operator's terms.

use wasmtime::component::Resource;

use super::{LinkHandle, error_out, on_links::net_in};
use crate::{
    kernel::{FirewallEntry, Policy},
    runtime::{
        bindings::network::wasmnet::driver::{
            firewall::{Host, NetworkPolicy},
            types::{Error, IpNetwork},
        },
        call::CallState,
    },
};

type Outcome<T> = wasmtime::Result<Result<T, Error>>;

// === impl CallState ===

impl CallState {
    async fn say(&mut self, entry: FirewallEntry) -> Outcome<()> {
        Ok(self.transaction.set_firewall(entry).await.map_err(|error| error_out(&error)))
    }
}

impl Host for CallState {
    async fn set_policy(
        &mut self,
        link: Resource<LinkHandle>,
        policy: NetworkPolicy,
    ) -> Outcome<()> {
        let NetworkPolicy { internal, inter_container } = policy;
        let link = self.link_name(&link)?;
        self.say(FirewallEntry::Policy(Policy { link, internal, inter_container })).await
    }

    async fn masquerade(&mut self, link: Resource<LinkHandle>, subnet: IpNetwork) -> Outcome<()> {
        let link = self.link_name(&link)?;
        match net_in(subnet) {
            Ok(subnet) => {
                self.say(FirewallEntry::Masquerade { link, subnet: subnet.trunc() }).await
            }
            Err(error) => Ok(Err(error)),
        }
    }
}
