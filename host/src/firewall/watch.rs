//! Hearing of changes to what concerns us: our own table, and Docker's filter chains.

use std::io;

use futures::future::poll_fn;
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_netfilter::{
    NetfilterMessage, NetfilterMessageInner,
    nftables::{
        ChainAttribute, NfTablesMessage, RuleAttribute, SetAttribute, SetElementList,
        TableAttribute,
    },
};
use netlink_sys::{AsyncSocket, SocketAddr, TokioSocket, protocols::NETLINK_NETFILTER};

use super::TABLE;
use crate::netfilter::messages;

/// NFNLGRP_NFTABLES: every change of a ruleset.
const GROUP: u32 = 7;
/// The table that iptables-nft keeps its filter chains in.
const FILTER: &str = "filter";
/// Its chains that matter: where our rules stand, and where Docker names its bridges.
const CHAINS: [&str; 4] = ["FORWARD", "DOCKER-USER", "DOCKER-FORWARD", "DOCKER-BRIDGE"];

/// A subscription to changes of nftables.
pub struct Watch {
    socket: TokioSocket,
    /// The socket whose changes of elements are our own.
    own: u32,
}

// === impl Watch ===

impl Watch {
    /// Subscribes, in the calling thread's network namespace. Elements that the netlink
    /// socket `own` adds and deletes are no news.
    pub fn open(own: u32) -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_NETFILTER)?;
        socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
        socket.socket_mut().add_membership(GROUP)?;
        Ok(Self { socket, own })
    }

    /// Waits for a change that may concern us. When we write our whole table, that is
    /// one too.
    pub async fn next(&mut self) {
        loop {
            let socket = &mut self.socket;
            match poll_fn(|context| socket.poll_recv_from_full(context)).await {
                Ok((bytes, _)) => {
                    let own = self.own;
                    if messages(&bytes).iter().any(|message| concerns_us(message, own)) {
                        return;
                    }
                }
                // Too much at once: some of it was lost, and may have concerned us.
                Err(_) => return,
            }
        }
    }
}

fn concerns_us(message: &NetlinkMessage<NetfilterMessage>, own: u32) -> bool {
    let sender = message.header.port_number;
    let NetlinkPayload::InnerMessage(message) = &message.payload else { return false };
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
        NfTablesMessage::NewSetElement(elements) | NfTablesMessage::DeleteSetElement(elements) => {
            sender != own
                && elements.attributes.iter().any(
                    |attribute| matches!(attribute, SetElementList::Table(name) if name == TABLE),
                )
        }
        _ => false,
    }
}

fn is_watched(table: &str, chain: &str) -> bool {
    table == TABLE || (table == FILTER && CHAINS.contains(&chain))
}
