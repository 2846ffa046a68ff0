//! Adding and deleting elements by netlink: one batch, one transaction, no process.
//!
//! Documentation: include/uapi/linux/netfilter/nf_tables.h. The kernel handles a batch
//! while it is being sent, so all its answers can be read right after.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REQUEST, NetlinkPayload,
};
use netlink_packet_netfilter::{
    NetfilterProtoFamily,
    nftables::{
        DataAttribute, ListAttribute, NfTablesMessage, RuleAttribute, RuleMessage,
        SetElementAttribute, SetElementList, SetElementMessage, TableAttribute, TableMessage,
    },
    none::ControlMessage,
};

use super::{TABLE, elements::Element, held::Change};
use crate::{
    kernel::Refusal,
    netfilter::{self, Netfilter, Raw, write},
};

/// NFNL_SUBSYS_NFTABLES: what a batch is for.
const NFTABLES: u16 = 10;
/// NFTA_DATA_VALUE.
const DATA_VALUE: u16 = 1;
/// NFTA_RULE_CHAIN and NFTA_RULE_HANDLE.
const RULE_CHAIN: u16 = 2;
const RULE_HANDLE: u16 = 3;
/// NFTA_SET_ELEM_LIST_ELEMENTS.
const LIST_ELEMENTS: u16 = 3;
/// NFTA_SET_ELEM_KEY and NFTA_SET_ELEM_DATA.
const ELEMENT_KEY: u16 = 1;
const ELEMENT_DATA: u16 = 2;
/// Elements in one message: an attribute's length has 16 bits, an element takes up to
/// 100 bytes.
const ELEMENTS: usize = 400;
/// Room for answers: a batch of thousands of elements gets as many.
const ANSWERS: i32 = 4 << 20;

/// A socket to nf_tables.
#[derive(Debug)]
pub(super) struct Batches {
    socket: Netfilter,
}

/// An element as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RawElement {
    key: Vec<u8>,
    data: Vec<u8>,
}

// === impl Batches ===

impl Batches {
    /// Opens a socket, in the calling thread's network namespace.
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Netfilter::open()?;
        socket.socket_mut().set_non_blocking(true)?;
        socket.socket_mut().set_rx_buf_sz(ANSWERS)?;
        Ok(Self { socket })
    }

    /// Deletes and adds elements, all or nothing.
    pub(super) fn apply(&mut self, change: &Change) -> Result<(), Refusal> {
        let mut buffer = Vec::new();
        control(ControlMessage::BatchBegin, &mut buffer);
        for (set, elements) in by_set(&change.delete) {
            for some in elements.chunks(ELEMENTS) {
                let message = NfTablesMessage::DeleteSetElement(message(set, some));
                request(message, NLM_F_REQUEST | NLM_F_ACK, &mut buffer);
            }
        }
        for (set, elements) in by_set(&change.add) {
            for some in elements.chunks(ELEMENTS) {
                let message = NfTablesMessage::NewSetElement(message(set, some));
                request(message, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, &mut buffer);
            }
        }
        control(ControlMessage::BatchEnd, &mut buffer);
        self.socket.send(&buffer)?;
        self.answers()
    }

    /// Has the kernel do these one after the other, all or none.
    pub(super) fn transact(
        &mut self,
        family: NetfilterProtoFamily,
        messages: impl IntoIterator<Item = NfTablesMessage>,
    ) -> Result<(), Refusal> {
        let mut buffer = Vec::new();
        control(ControlMessage::BatchBegin, &mut buffer);
        for message in messages {
            let flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_APPEND;
            write(&mut buffer, flags, family, 0, message);
        }
        control(ControlMessage::BatchEnd, &mut buffer);
        self.socket.send(&buffer)?;
        self.answers()
    }

    /// Deletes our table with all that is in it.
    pub(super) fn delete_table(&mut self) -> Result<(), Refusal> {
        let table = TableMessage { attributes: vec![TableAttribute::Name(TABLE.to_owned())] };
        self.transact(NetfilterProtoFamily::Inet, [NfTablesMessage::DeleteTable(table)])
    }

    /// The rules of our table by number, in order; none if it is not there. A rule that
    /// is replaced has another number.
    pub(super) fn rules(&self) -> Result<Vec<u64>, Refusal> {
        let table = RuleMessage { attributes: vec![RuleAttribute::Table(TABLE.to_owned())] };
        let mut rules = Vec::new();
        dump(NetfilterProtoFamily::Inet, NfTablesMessage::GetRule(table), |rule| {
            let number = |(kind, value): (u16, &[u8])| match kind {
                RULE_HANDLE => value.try_into().ok().map(u64::from_be_bytes),
                _ => None,
            };
            rules.extend(rule.attributes().find_map(number));
        })?;
        Ok(rules)
    }

    /// How many rules each chain of our table has that has any.
    pub(super) fn rules_by_chain(
        &self,
        family: NetfilterProtoFamily,
    ) -> Result<BTreeMap<String, usize>, Refusal> {
        let table = RuleMessage { attributes: vec![RuleAttribute::Table(TABLE.to_owned())] };
        let mut chains = BTreeMap::new();
        dump(family, NfTablesMessage::GetRule(table), |rule| {
            if let Some(chain) = rule.text(RULE_CHAIN) {
                *chains.entry(chain.to_owned()).or_default() += 1;
            }
        })?;
        Ok(chains)
    }

    /// What a set or map of our table holds; nothing if it is not there.
    pub(super) fn elements(
        &self,
        family: NetfilterProtoFamily,
        set: &str,
    ) -> Result<BTreeSet<RawElement>, Refusal> {
        let attributes =
            vec![SetElementList::Table(TABLE.to_owned()), SetElementList::Set(set.to_owned())];
        let mut elements = BTreeSet::new();
        let message = NfTablesMessage::GetSetElement(SetElementMessage { attributes });
        dump(family, message, |message| {
            let lists = message.attributes().filter(|(kind, _)| *kind == LIST_ELEMENTS);
            for (_, list) in lists {
                elements.extend(netfilter::attributes(list).map(|(_, one)| RawElement::read(one)));
            }
        })?;
        Ok(elements)
    }

    /// The number by which the kernel knows the socket.
    pub(super) fn port(&self) -> io::Result<u32> {
        self.socket.port()
    }

    /// Reads all answers; the first refusal is the one that matters.
    fn answers(&mut self) -> Result<(), Refusal> {
        let mut refusal = None;
        loop {
            let answers = match self.socket.read() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                answers => answers?,
            };
            for answer in answers {
                if let NetlinkPayload::Error(error) = answer
                    && error.code.is_some()
                {
                    refusal.get_or_insert_with(|| Refusal::from(error));
                }
            }
        }
        refusal.map_or(Ok(()), Err)
    }
}

/// Asks for a list of what is in our table, and hands each message to `take`; none if it is
/// not there.
fn dump(
    family: NetfilterProtoFamily,
    of: NfTablesMessage,
    mut take: impl FnMut(Raw<'_>),
) -> Result<(), Refusal> {
    let mut buffer = Vec::new();
    write(&mut buffer, NLM_F_REQUEST | NLM_F_DUMP, family, 0, of);
    let mut socket = Netfilter::open()?;
    socket.send(&buffer)?;
    loop {
        let bytes = socket.read_bytes()?;
        netfilter::raw(&bytes).for_each(&mut take);
        for answer in netfilter::control(&bytes) {
            match answer {
                NetlinkPayload::Done(_) => return Ok(()),
                NetlinkPayload::Error(error) => {
                    let refusal = Refusal::from(error);
                    return if refusal.is_gone() { Ok(()) } else { Err(refusal) };
                }
                _ => {}
            }
        }
    }
}

fn by_set(elements: &[Element]) -> BTreeMap<&'static str, Vec<&Element>> {
    let mut sets: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for element in elements {
        sets.entry(element.set).or_default().push(element);
    }
    sets
}

fn message(set: &str, elements: &[&Element]) -> SetElementMessage {
    SetElementMessage {
        attributes: vec![
            SetElementList::Table(TABLE.to_owned()),
            SetElementList::Set(set.to_owned()),
            SetElementList::Elements(elements.iter().map(|element| attributes(element)).collect()),
        ],
    }
}

fn attributes(element: &Element) -> ListAttribute<SetElementAttribute> {
    let key = DataAttribute::Value(element.key_bytes());
    let mut attributes = vec![SetElementAttribute::Key(key)];
    if !element.data.is_empty() {
        attributes.push(SetElementAttribute::Data(DataAttribute::Value(element.data_bytes())));
    }
    ListAttribute::Element(attributes)
}

fn control(message: ControlMessage, buffer: &mut Vec<u8>) {
    write(buffer, NLM_F_REQUEST, NetfilterProtoFamily::Unspec, NFTABLES, message);
}

fn request(message: NfTablesMessage, flags: u16, buffer: &mut Vec<u8>) {
    write(buffer, flags, NetfilterProtoFamily::Inet, 0, message);
}

// === impl RawElement ===

impl RawElement {
    /// One that says `data` of `key`.
    pub(super) fn new(key: Vec<u8>, data: Vec<u8>) -> Self {
        Self { key, data }
    }

    fn read(attributes: &[u8]) -> Self {
        let value = |data: &[u8]| {
            let found = netfilter::attributes(data).find(|(kind, _)| *kind == DATA_VALUE);
            found.map(|(_, value)| value.to_vec()).unwrap_or_default()
        };
        let (mut key, mut data) = (Vec::new(), Vec::new());
        for (kind, bytes) in netfilter::attributes(attributes) {
            match kind {
                ELEMENT_KEY => key = value(bytes),
                ELEMENT_DATA => data = value(bytes),
                _ => {}
            }
        }
        Self { key, data }
    }
}

impl From<&Element> for RawElement {
    fn from(element: &Element) -> Self {
        Self { key: element.key_bytes(), data: element.data_bytes() }
    }
}
