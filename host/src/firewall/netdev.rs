//! Table `netdev wasmnet`: chains where frames come into a link, and maps that say by which
//! link they go on.
//!
//! Documentation: include/uapi/linux/netfilter/nf_tables.h; nft(8), "FWD STATEMENT". Links
//! stand in the maps by their numbers, so whoever makes a link again has to write them again.

use std::collections::{BTreeMap, BTreeSet};

use netlink_packet_core::DefaultNla;
use netlink_packet_netfilter::{
    NetfilterProtoFamily,
    nftables::{
        ChainAttribute, ChainMessage, DataAttribute, DevHookNumber, ExpressionAttribute,
        Expressions, Hook, HookNumber, ListAttribute, Lookup, NfTablesMessage, Payload, Register,
        RuleAttribute, RuleMessage, SetAttribute, SetElementAttribute, SetElementList,
        SetElementMessage, SetFlags, SetMessage, TableAttribute, TableMessage,
    },
};

use super::{
    TABLE,
    netlink::{Batches, RawElement},
};
use crate::{
    kernel::{LinkName, Refusal},
    mac::Mac,
};

const FAMILY: NetfilterProtoFamily = NetfilterProtoFamily::NetDev;
/// By these nft(8) knows how to write keys and data: TYPE_ETHERADDR and TYPE_IFINDEX.
const ETHER_ADDRESS: u32 = 9;
const LINK_NUMBER: u32 = 20;
const ETHER_ADDRESS_LENGTH: u32 = 6;
const LINK_NUMBER_LENGTH: u32 = 4;
/// NFT_PAYLOAD_LL_HEADER; the address a frame goes to is the first thing in it.
const LINK_LAYER: u32 = 0;
const DESTINATION: u32 = 0;
/// NFTA_FWD_SREG_DEV.
const FORWARD_TO: u16 = 1;
/// NF_ACCEPT: what no map knows goes the way of all frames.
const ACCEPT: u32 = 1;
/// Where many elements are written: a message to the kernel has to fit into a buffer.
const AT_ONCE: usize = 1000;

/// One thing in the table. They are made in this order, and deleted in the other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Piece {
    /// A map.
    Map(Map),
    /// What comes in by the link goes where the first of the maps that knows it says.
    Chain { link: LinkName, maps: Vec<Map> },
    /// Frames to the address go out by a link.
    Way { map: Map, mac: Mac, to: LinkName },
}

/// Whose addresses a map has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Map {
    /// Containers of this host on the bridge.
    Near(LinkName),
    /// Those of other hosts.
    Far(LinkName),
}

/// Deletes and makes, all or nothing. What belongs to links that are not there is left out.
pub(super) fn change(
    batches: &mut Batches,
    gone: &[&Piece],
    new: &[&Piece],
) -> Result<(), Refusal> {
    let gone = gone.iter().rev().filter_map(|piece| piece.delete());
    let new = new.iter().filter(|piece| piece.can_stand()).flat_map(|piece| piece.create());
    batches.transact(FAMILY, std::iter::once(table()).chain(gone).chain(new))
}

/// Makes the table hold these and nothing else.
pub(super) fn write(batches: &mut Batches, pieces: &BTreeSet<Piece>) -> Result<(), Refusal> {
    clear(batches)?;
    let pieces: Vec<&Piece> = pieces.iter().collect();
    pieces.chunks(AT_ONCE).try_for_each(|some| change(batches, &[], some))
}

/// Takes the table away; adding it first makes that work without one.
pub(super) fn clear(batches: &mut Batches) -> Result<(), Refusal> {
    batches.transact(FAMILY, [table(), NfTablesMessage::DeleteTable(named_table())])
}

/// Whether the table holds these and nothing else.
pub(super) fn stands(batches: &Batches, pieces: &BTreeSet<Piece>) -> Result<bool, Refusal> {
    let mut chains = BTreeMap::new();
    let mut maps: BTreeMap<&Map, BTreeSet<RawElement>> = BTreeMap::new();
    for piece in pieces {
        match piece {
            Piece::Map(map) => drop(maps.entry(map).or_default()),
            Piece::Chain { link, maps } if piece.can_stand() => {
                chains.insert(link.to_string(), maps.len());
            }
            Piece::Way { map, mac, to } => {
                let element = number(to).map(|to| RawElement::new(mac.0.to_vec(), to.to_vec()));
                maps.entry(map).or_default().extend(element);
            }
            Piece::Chain { .. } => {}
        }
    }
    if batches.rules_by_chain(FAMILY)? != chains {
        return Ok(false);
    }
    for (map, elements) in maps {
        if batches.elements(FAMILY, &map.name())? != elements {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A link's number, as the kernel keeps it in a register; none if it is not there.
fn number(link: &LinkName) -> Option<[u8; 4]> {
    nix::net::if_::if_nametoindex(link.as_str()).ok().map(u32::to_ne_bytes)
}

/// Keys are big-endian (2), data is in the host's order (1), so that nft(8) writes them well:
/// NFTNL_UDATA_SET_KEYBYTEORDER (0) and NFTNL_UDATA_SET_DATABYTEORDER (1), with their lengths.
fn byte_orders() -> Vec<u8> {
    let orders = [(0, 2_u32), (1, 1)];
    let bytes = |(of, order): (u8, u32)| [of, 4].into_iter().chain(order.to_ne_bytes());
    orders.into_iter().flat_map(bytes).collect()
}

fn table() -> NfTablesMessage {
    NfTablesMessage::NewTable(named_table())
}

fn named_table() -> TableMessage {
    TableMessage { attributes: vec![TableAttribute::Name(TABLE.to_owned())] }
}

// === impl Map ===

impl Map {
    fn name(&self) -> String {
        match self {
            Self::Near(bridge) => format!("near-{bridge}"),
            Self::Far(bridge) => format!("far-{bridge}"),
        }
    }
}

// === impl Piece ===

impl Piece {
    fn can_stand(&self) -> bool {
        match self {
            Self::Map(_) => true,
            Self::Chain { link, .. } | Self::Way { to: link, .. } => number(link).is_some(),
        }
    }

    fn create(&self) -> Vec<NfTablesMessage> {
        match self {
            Self::Map(map) => vec![NfTablesMessage::NewSet(SetMessage {
                attributes: vec![
                    SetAttribute::Table(TABLE.to_owned()),
                    SetAttribute::Name(map.name()),
                    SetAttribute::Flags(SetFlags::Map),
                    SetAttribute::KeyType(ETHER_ADDRESS),
                    SetAttribute::KeyLen(ETHER_ADDRESS_LENGTH),
                    SetAttribute::DataType(LINK_NUMBER),
                    SetAttribute::DataLen(LINK_NUMBER_LENGTH),
                    SetAttribute::UserData(byte_orders()),
                    // The kernel wants one, to tell sets of one transaction apart.
                    SetAttribute::Id(0),
                ],
            })],
            Self::Chain { link, maps } => {
                let chain = NfTablesMessage::NewChain(ChainMessage {
                    attributes: vec![
                        ChainAttribute::Table(TABLE.to_owned()),
                        ChainAttribute::Name(link.to_string()),
                        ChainAttribute::Type("filter".to_owned()),
                        ChainAttribute::Policy(ACCEPT),
                        ChainAttribute::Hook(vec![
                            Hook::Number(HookNumber::Dev(DevHookNumber::Ingress)),
                            Hook::Priority(0),
                            Hook::NetDeviceName(link.to_string()),
                        ]),
                    ],
                });
                let rules = maps.iter().map(|map| rule(link, map));
                std::iter::once(chain).chain(rules).collect()
            }
            Self::Way { map, mac, to } => {
                let element = |to: [u8; 4]| {
                    NfTablesMessage::NewSetElement(element(
                        map,
                        vec![
                            SetElementAttribute::Key(DataAttribute::Value(mac.0.to_vec())),
                            SetElementAttribute::Data(DataAttribute::Value(to.to_vec())),
                        ],
                    ))
                };
                number(to).map(element).into_iter().collect()
            }
        }
    }

    fn delete(&self) -> Option<NfTablesMessage> {
        Some(match self {
            Self::Map(map) => NfTablesMessage::DeleteSet(SetMessage {
                attributes: vec![
                    SetAttribute::Table(TABLE.to_owned()),
                    SetAttribute::Name(map.name()),
                ],
            }),
            Self::Chain { link, .. } => NfTablesMessage::DeleteChain(ChainMessage {
                attributes: vec![
                    ChainAttribute::Table(TABLE.to_owned()),
                    ChainAttribute::Name(link.to_string()),
                ],
            }),
            Self::Way { map, mac, .. } => {
                let key = SetElementAttribute::Key(DataAttribute::Value(mac.0.to_vec()));
                NfTablesMessage::DeleteSetElement(element(map, vec![key]))
            }
        })
    }
}

fn element(map: &Map, attributes: Vec<SetElementAttribute>) -> SetElementMessage {
    SetElementMessage {
        attributes: vec![
            SetElementList::Table(TABLE.to_owned()),
            SetElementList::Set(map.name()),
            SetElementList::Elements(vec![ListAttribute::Element(attributes)]),
        ],
    }
}

/// `fwd to ether daddr map @MAP`
fn rule(chain: &LinkName, map: &Map) -> NfTablesMessage {
    let expressions: [ListAttribute<ExpressionAttribute>; 3] = [
        Expressions::Payload(vec![
            Payload::DestinationRegister(Register::Reg1),
            Payload::Base(LINK_LAYER),
            Payload::Offset(DESTINATION),
            Payload::Len(ETHER_ADDRESS_LENGTH),
        ])
        .into(),
        Expressions::Lookup(vec![
            Lookup::Set(map.name()),
            Lookup::SourceRegister(Register::Reg1),
            Lookup::DestinationRegister(Register::Reg1),
        ])
        .into(),
        Expressions::Other {
            expression_type: "fwd".to_owned(),
            attributes: vec![DefaultNla::new(
                FORWARD_TO,
                u32::from(Register::Reg1).to_be_bytes().to_vec(),
            )],
        }
        .into(),
    ];
    NfTablesMessage::NewRule(RuleMessage {
        attributes: vec![
            RuleAttribute::Table(TABLE.to_owned()),
            RuleAttribute::Chain(chain.to_string()),
            RuleAttribute::Expressions(expressions.into()),
        ],
    })
}
