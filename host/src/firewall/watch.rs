//! Hearing of changes to what concerns us: our own table, and Docker's filter chains.

use std::io;

use futures::future::poll_fn;
use netlink_packet_core::NetlinkPayload;
use netlink_packet_netfilter::{
    NetfilterMessage, NetfilterMessageInner,
    nftables::{ChainAttribute, NfTablesMessage, RuleAttribute, SetAttribute, TableAttribute},
};
use netlink_sys::{AsyncSocket, SocketAddr, TokioSocket, protocols::NETLINK_NETFILTER};

use super::TABLE;
use crate::netfilter::parse;

/// NFNLGRP_NFTABLES: every change of a ruleset.
const GROUP: u32 = 7;
/// The table that iptables-nft keeps its filter chains in.
const FILTER: &str = "filter";
/// Its chains that matter: where our rules stand, and where Docker names its bridges.
const CHAINS: [&str; 4] = ["FORWARD", "DOCKER-USER", "DOCKER-FORWARD", "DOCKER-BRIDGE"];

/// A subscription to changes of nftables.
pub struct Watch {
    socket: TokioSocket,
}

// === impl Watch ===

impl Watch {
    /// Subscribes, in the calling thread's network namespace.
    pub fn open() -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_NETFILTER)?;
        socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
        socket.socket_mut().add_membership(GROUP)?;
        Ok(Self { socket })
    }

    /// Waits for a change that may concern us. Changes of our own are among them.
    pub async fn next(&mut self) {
        loop {
            let socket = &mut self.socket;
            match poll_fn(|context| socket.poll_recv_from_full(context)).await {
                Ok((bytes, _)) => {
                    if parse(&bytes).iter().any(concerns_us) {
                        return;
                    }
                }
                // Too much at once: some of it was lost, and may have concerned us.
                Err(_) => return,
            }
        }
    }
}

fn concerns_us(answer: &NetlinkPayload<NetfilterMessage>) -> bool {
    let NetlinkPayload::InnerMessage(message) = answer else { return false };
    let NetfilterMessageInner::NfTables(message) = &message.inner else { return false };
    match message {
        NfTablesMessage::NewTable(table) | NfTablesMessage::DeleteTable(table) => {
            table.attributes.iter().any(|attribute| match attribute {
                TableAttribute::Name(name) => name == TABLE || name == FILTER,
                _ => false,
            })
        }
        NfTablesMessage::NewChain(chain) | NfTablesMessage::DeleteChain(chain) => {
            let mut table = "";
            let mut name = "";
            for attribute in &chain.attributes {
                match attribute {
                    ChainAttribute::Table(text) => table = text,
                    ChainAttribute::Name(text) => name = text,
                    _ => {}
                }
            }
            is_watched(table, name)
        }
        NfTablesMessage::NewRule(rule) | NfTablesMessage::DeleteRule(rule) => {
            let mut table = "";
            let mut chain = "";
            for attribute in &rule.attributes {
                match attribute {
                    RuleAttribute::Table(text) => table = text,
                    RuleAttribute::Chain(text) => chain = text,
                    _ => {}
                }
            }
            is_watched(table, chain)
        }
        NfTablesMessage::DeleteSet(set) => set
            .attributes
            .iter()
            .any(|attribute| matches!(attribute, SetAttribute::Table(name) if name == TABLE)),
        _ => false,
    }
}

fn is_watched(table: &str, chain: &str) -> bool {
    table == TABLE || (table == FILTER && CHAINS.contains(&chain))
}
