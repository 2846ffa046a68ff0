//! What an engine asks of an IPAM driver, and which answers it takes.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;
use serde_json::{Value, json};

use super::{bench, play::Play, report::Kind, subject::Subject, verdict::Refusal};

/// Longest id of a pool that is worth storing with every address, in bytes.
const ID_MAX: usize = 1024;

/// An engine that asks for pools and addresses.
pub(super) struct Clerk<'s> {
    pub play: Play<'s>,
    space: String,
}

/// A pool that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pool {
    pub id: String,
    pub subnet: IpNet,
}

// === impl Clerk ===

impl<'s> Clerk<'s> {
    /// One that has asked for nothing yet, on an empty host.
    pub(super) async fn begin(subject: &'s Subject) -> Result<Self, bench::Error> {
        let spaces = subject.driver.ipam_capabilities.as_ref().map(|(_, spaces)| spaces);
        let space = spaces.map(|spaces| spaces.local.clone()).unwrap_or_default();
        let clerk = Self { play: Play::begin(subject).await?, space };
        clerk.new_engine().await;
        Ok(clerk)
    }

    /// The engine was started anew.
    pub(super) async fn new_engine(&self) {
        let name = self.play.subject.name();
        self.play.stage.bench.dispatcher.engine_started(name).await;
    }

    /// The same after the daemon was started anew.
    pub(super) async fn restart(self) -> Result<Self, bench::Error> {
        let Self { play, space } = self;
        Ok(Self { play: play.restart(false).await?, space })
    }

    /// Asks for a pool; "" leaves the subnet to the driver.
    pub(super) async fn pool(&self, subnet: &str) -> Result<Pool, Refusal> {
        let ipv6 = subnet.contains(':');
        self.pool_with(subnet, "", ipv6, &self.play.subject.options.clone()).await
    }

    pub(super) async fn pool_with(
        &self,
        subnet: &str,
        range: &str,
        ipv6: bool,
        options: &BTreeMap<String, String>,
    ) -> Result<Pool, Refusal> {
        let body = json!({
            "AddressSpace": self.space, "Pool": subnet, "SubPool": range,
            "Options": options, "V6": ipv6,
        });
        let answer = self.play.ask("IpamDriver.RequestPool", &body).await?;
        let id = text(&answer, "PoolID").to_owned();
        let given: IpNet = parse(text(&answer, "Pool"))?;
        if id.is_empty() || id.len() > ID_MAX {
            return Err(wrong(format!(
                "a pool's id must have 1 to {ID_MAX} bytes, not {}",
                id.len()
            )));
        }
        if !subnet.is_empty() && subnet.parse::<IpNet>() != Ok(given) {
            return Err(wrong(format!("asked for {subnet} it gives {given}")));
        }
        if given != given.trunc() {
            return Err(wrong(format!("{given} is no subnet: it has host bits")));
        }
        Ok(Pool { id, subnet: given })
    }

    /// Gives a pool back.
    pub(super) async fn release_pool(&self, pool: &Pool) -> Result<(), Refusal> {
        let body = json!({ "PoolID": pool.id });
        self.play.ask("IpamDriver.ReleasePool", &body).await.map(drop)
    }

    /// Asks for an address; "" leaves it to the driver.
    pub(super) async fn address(&self, pool: &Pool, address: &str) -> Result<IpAddr, Refusal> {
        let body = json!({ "PoolID": pool.id, "Address": address, "Options": {} });
        let answer = self.play.ask("IpamDriver.RequestAddress", &body).await?;
        let given: IpNet = parse(text(&answer, "Address"))?;
        let (ip, subnet) = (given.addr(), pool.subnet);
        if !subnet.contains(&ip) {
            return Err(wrong(format!("{ip} is not in {subnet}")));
        }
        if given.prefix_len() != subnet.prefix_len() {
            return Err(wrong(format!("{given} has not the prefix length of {subnet}")));
        }
        if !address.is_empty() && address.parse() != Ok(ip) {
            return Err(wrong(format!("asked for {address} it gives {ip}")));
        }
        let ends = [subnet.network(), subnet.broadcast()];
        if address.is_empty() && ip.is_ipv4() && ends.contains(&ip) {
            return Err(wrong(format!("no container can have {ip} in {subnet}")));
        }
        Ok(ip)
    }

    /// Gives an address back.
    pub(super) async fn release(&self, pool: &Pool, address: IpAddr) -> Result<(), Refusal> {
        let body = json!({ "PoolID": pool.id, "Address": address });
        self.play.ask("IpamDriver.ReleaseAddress", &body).await.map(drop)
    }
}

fn wrong(says: String) -> Refusal {
    Refusal { kind: Kind::Answer, says, code: None }
}

fn parse(text: &str) -> Result<IpNet, Refusal> {
    text.parse()
        .map_err(|_| wrong(format!("\"{}\" is no subnet or address", text.escape_default())))
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object[key].as_str().unwrap_or_default()
}
