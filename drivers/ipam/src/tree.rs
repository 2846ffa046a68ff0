//! Which addresses of a subnet are taken: a radix tree of bitmaps, 256 ways at each node.
//!
//! A node is one key. A leaf has a bit for each of 256 addresses; a node above has a bit
//! for each child that is full. Nodes without anything do not exist. To find the lowest
//! free address, or to take one, costs a node or two at each level, and a level is eight
//! bits of the host's part: a /8 has three, and how many addresses are taken does not
//! matter.
//!
//! There are two such maps in one: of addresses that are *used* (somebody has them, or had
//! them a short time ago) and of those that are *held* (somebody has them).

use wasmnet_sdk::Error;

use crate::{codec, net::Span, store::Store};

/// A key and its new value; none deletes it.
pub type Change = (String, Option<Vec<u8>>);

/// One of the two maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Map {
    /// Held or resting.
    Used,
    /// Held.
    Held,
}

/// The tree of one subnet.
#[derive(Debug)]
pub struct Tree<'a, S> {
    store: &'a S,
    number: u32,
    depth: u32,
}

/// A bit for each of 256 digits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Bits([u64; 4]);

/// What a leaf knows of its addresses, or another node of its children.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Node {
    /// Used; of a child: all of it.
    used: Bits,
    /// Held; of a child: all of it.
    held: Bits,
    /// Used; of a child: any of it, so that it exists.
    some: Bits,
}

/// What a node looks like from above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Summary {
    used: bool,
    held: bool,
    some: bool,
}

// === impl Bits ===

impl Bits {
    const BYTES: usize = 32;

    fn has(&self, digit: u8) -> bool {
        self.0[usize::from(digit / 64)] & (1 << (digit % 64)) != 0
    }

    fn put(&mut self, digit: u8, value: bool) {
        let word = &mut self.0[usize::from(digit / 64)];
        let bit = 1 << (digit % 64);
        *word = if value { *word | bit } else { *word & !bit };
    }

    fn is_full(&self) -> bool {
        self.0 == [u64::MAX; 4]
    }

    fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }

    fn inverse(&self) -> Self {
        Self(self.0.map(|word| !word))
    }

    /// The digits whose bit is set, from one to another, both included.
    fn ones(self, first: u8, last: u8) -> impl Iterator<Item = u8> {
        let words = usize::from(first / 64)..=usize::from(last / 64);
        words
            .flat_map(move |index| {
                let mut word = self.0[index];
                let begin = index * 64;
                std::iter::from_fn(move || {
                    (word != 0).then(|| {
                        let bit = word.trailing_zeros();
                        word &= word - 1;
                        // Less than 256: there are four words.
                        (begin as u32 + bit) as u8
                    })
                })
            })
            .filter(move |digit| (first..=last).contains(digit))
    }

    fn count(self, first: u8, last: u8) -> u64 {
        self.ones(first, last).count() as u64
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        self.0.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
    }

    fn read(bytes: &[u8]) -> Self {
        let mut bits = Self::default();
        for (word, bytes) in bits.0.iter_mut().zip(bytes.chunks_exact(8)) {
            let mut eight = [0; 8];
            eight.copy_from_slice(bytes);
            *word = u64::from_le_bytes(eight);
        }
        bits
    }
}

// === impl Node ===

impl Node {
    fn map(&self, map: Map) -> Bits {
        match map {
            Map::Used => self.used,
            Map::Held => self.held,
        }
    }

    fn summary(&self) -> Summary {
        Summary {
            used: self.used.is_full(),
            held: self.held.is_full(),
            some: !self.some.is_empty(),
        }
    }

    fn put(&mut self, digit: u8, is: Summary) {
        self.used.put(digit, is.used);
        self.held.put(digit, is.held);
        self.some.put(digit, is.some);
    }

    fn to_bytes(self, is_leaf: bool) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(3 * Bits::BYTES);
        self.used.write(&mut bytes);
        self.held.write(&mut bytes);
        // A leaf's are those of `used`.
        if !is_leaf {
            self.some.write(&mut bytes);
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let part = |index: usize| {
            bytes.get(index * Bits::BYTES..(index + 1) * Bits::BYTES).map(Bits::read)
        };
        let used = part(0)?;
        Some(Self { used, held: part(1)?, some: part(2).unwrap_or(used) })
    }
}

// === impl Tree ===

impl<'a, S: Store> Tree<'a, S> {
    /// The tree of the subnet with this number and so many bits for hosts.
    pub fn new(store: &'a S, number: u32, host_bits: u32) -> Self {
        Self { store, number, depth: host_bits.div_ceil(8).max(1) }
    }

    /// The lowest address of a span that is not in a map.
    pub fn lowest_free(&self, map: Map, span: Span) -> Result<Option<u128>, Error> {
        if span.low > span.high {
            return Ok(None);
        }
        self.lowest_below(map, 0, 0, span)
    }

    /// The lowest used address that is not below `from`.
    pub fn next_used(&self, from: u128) -> Result<Option<u128>, Error> {
        if from > self.mask(0) {
            return Ok(None);
        }
        self.next_below(0, 0, from)
    }

    /// How many addresses of a span are used.
    pub fn count_used(&self, span: Span) -> Result<u128, Error> {
        if span.low > span.high {
            return Ok(0);
        }
        self.count_below(0, 0, span)
    }

    /// What is to be written for an address to be used, held or neither.
    pub fn changes(&self, offset: u128, used: bool, held: bool) -> Result<Vec<Change>, Error> {
        let mut changes = Vec::new();
        let mut is = Summary { used, held, some: used };
        for level in (0..self.depth).rev() {
            let base = offset & !self.mask(level);
            let mut node = self.node(level, base)?.unwrap_or_default();
            let before = node;
            node.put(self.digit(level, offset), is);
            if node == before {
                break;
            }
            let is_leaf = level + 1 == self.depth;
            let after = node.summary();
            changes.push((self.key(level, base), after.some.then(|| node.to_bytes(is_leaf))));
            if after == before.summary() {
                break;
            }
            is = after;
        }
        Ok(changes)
    }

    fn lowest_below(
        &self,
        map: Map,
        level: u32,
        base: u128,
        span: Span,
    ) -> Result<Option<u128>, Error> {
        let Some(node) = self.node(level, base)? else { return Ok(Some(span.low)) };
        let (first, last) = (self.digit(level, span.low), self.digit(level, span.high));
        for digit in node.map(map).inverse().ones(first, last) {
            let child = self.child(level, base, digit);
            let within = self.within(level, child, span);
            if level + 1 == self.depth || !node.some.has(digit) {
                return Ok(Some(within.low));
            }
            if let Some(found) = self.lowest_below(map, level + 1, child, within)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn next_below(&self, level: u32, base: u128, from: u128) -> Result<Option<u128>, Error> {
        let Some(node) = self.node(level, base)? else { return Ok(None) };
        for digit in node.some.ones(self.digit(level, from), u8::MAX) {
            let child = self.child(level, base, digit);
            if level + 1 == self.depth {
                return Ok(Some(child));
            }
            if let Some(found) = self.next_below(level + 1, child, from.max(child))? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn count_below(&self, level: u32, base: u128, span: Span) -> Result<u128, Error> {
        let Some(node) = self.node(level, base)? else { return Ok(0) };
        let (first, last) = (self.digit(level, span.low), self.digit(level, span.high));
        if level + 1 == self.depth {
            return Ok(node.used.count(first, last).into());
        }
        let mut count = 0;
        for digit in node.some.ones(first, last) {
            let child = self.child(level, base, digit);
            let within = self.within(level, child, span);
            count += match node.used.has(digit) {
                true => within.high - within.low + 1,
                false => self.count_below(level + 1, child, within)?,
            };
        }
        Ok(count)
    }

    /// The part of a span that a child covers.
    fn within(&self, level: u32, child: u128, span: Span) -> Span {
        let last = child | self.mask(level + 1);
        Span { low: span.low.max(child), high: span.high.min(last) }
    }

    /// The offsets below a node of this level.
    fn mask(&self, level: u32) -> u128 {
        1_u128.checked_shl(8 * (self.depth - level)).map_or(u128::MAX, |size| size - 1)
    }

    /// Which of a node's children an offset is in.
    fn digit(&self, level: u32, offset: u128) -> u8 {
        (offset >> self.shift(level)) as u8
    }

    fn child(&self, level: u32, base: u128, digit: u8) -> u128 {
        base | u128::from(digit) << self.shift(level)
    }

    fn shift(&self, level: u32) -> u32 {
        8 * (self.depth - level - 1)
    }

    fn node(&self, level: u32, base: u128) -> Result<Option<Node>, Error> {
        let key = self.key(level, base);
        let Some(bytes) = self.store.get(&key)? else { return Ok(None) };
        Node::from_bytes(&bytes).map(Some).ok_or_else(|| codec::unreadable(&key))
    }

    /// A node's key has the digits that lead to it.
    fn key(&self, level: u32, base: u128) -> String {
        let digits = base.checked_shr(8 * (self.depth - level)).unwrap_or(0);
        let width = 2 * level as usize;
        match level {
            0 => format!("b/{}/", self.number),
            _ => format!("b/{}/{digits:0width$x}", self.number),
        }
    }
}
