//! Hearing of changes to what concerns us: our own table, and Docker's filter chains.

use std::io;

use futures::future::poll_fn;
use netlink_sys::{AsyncSocket, SocketAddr, TokioSocket, protocols::NETLINK_NETFILTER};

use super::TABLE;
use crate::netfilter::{Raw, raw};

/// NFNLGRP_NFTABLES: every change of a ruleset.
const GROUP: u32 = 7;
/// The table that iptables-nft keeps its filter chains in.
const FILTER: &str = "filter";
/// Its chains that matter: where our rules stand, and where Docker names its bridges.
const CHAINS: [&str; 4] = ["FORWARD", "DOCKER-USER", "DOCKER-FORWARD", "DOCKER-BRIDGE"];

/// NFNL_SUBSYS_NFTABLES, and its messages (NFT_MSG_NEWTABLE and so on).
const NFTABLES: u8 = 10;
const NEW_TABLE: u8 = 0;
const DELETE_TABLE: u8 = 2;
const NEW_CHAIN: u8 = 3;
const DELETE_CHAIN: u8 = 5;
const NEW_RULE: u8 = 6;
const DELETE_RULE: u8 = 8;
const DELETE_SET: u8 = 11;
const NEW_ELEMENT: u8 = 12;
const DELETE_ELEMENT: u8 = 14;
/// NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE, NFTA_SET_TABLE, NFTA_SET_ELEM_LIST_TABLE.
const TABLE_NAME: u16 = 1;
/// NFTA_CHAIN_NAME.
const CHAIN_NAME: u16 = 3;
/// NFTA_RULE_CHAIN.
const RULE_CHAIN: u16 = 2;

/// A subscription to changes of nftables.
pub struct Watch {
    socket: TokioSocket,
    /// The socket whose changes are our own.
    own: u32,
}

// === impl Watch ===

impl Watch {
    /// Subscribes, in the calling thread's network namespace. What the netlink socket `own`
    /// changes is no news.
    pub fn open(own: u32) -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_NETFILTER)?;
        socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
        socket.socket_mut().add_membership(GROUP)?;
        Ok(Self { socket, own })
    }

    /// Waits for a change that may concern us. When we write our whole table by nft(8), that
    /// is one too.
    pub async fn next(&mut self) {
        loop {
            let socket = &mut self.socket;
            match poll_fn(|context| socket.poll_recv_from_full(context)).await {
                Ok((bytes, _)) => {
                    let own = self.own;
                    if raw(&bytes).any(|message| concerns_us(message, own)) {
                        return;
                    }
                }
                // Too much at once: some of it was lost, and may have concerned us.
                Err(_) => return,
            }
        }
    }
}

fn concerns_us(message: Raw<'_>, own: u32) -> bool {
    let [subsystem, message_type] = message.kind.to_be_bytes();
    if subsystem != NFTABLES || message.sender == own {
        return false;
    }
    // Of all of them the table's name is the first attribute.
    let table = message.text(TABLE_NAME).unwrap_or_default();
    let chain = |attribute| is_watched(table, message.text(attribute).unwrap_or_default());
    match message_type {
        NEW_TABLE | DELETE_TABLE => table == TABLE || table == FILTER,
        NEW_CHAIN | DELETE_CHAIN => chain(CHAIN_NAME),
        NEW_RULE | DELETE_RULE => chain(RULE_CHAIN),
        DELETE_SET => table == TABLE,
        NEW_ELEMENT | DELETE_ELEMENT => table == TABLE,
        _ => false,
    }
}

fn is_watched(table: &str, chain: &str) -> bool {
    table == TABLE || (table == FILTER && CHAINS.contains(&chain))
}
