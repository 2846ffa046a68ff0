//! Records as bytes: numbers little-endian, texts with their length before them.

use wasmnet_sdk::Error;

/// Writes a record.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

/// Reads one. Whatever is missing or too much makes it unreadable.
#[derive(Debug)]
pub struct Reader<'a>(&'a [u8]);

/// What a record that cannot be read is answered with.
pub fn unreadable(key: &str) -> Error {
    Error::unavailable(format!("the driver's record {key} cannot be read"))
}

// === impl Writer ===

impl Writer {
    /// A number of one byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    /// A number of four bytes.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    /// A number of eight bytes.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    /// A number of sixteen bytes.
    pub fn u128(&mut self, value: u128) -> &mut Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Bytes whose number the reader knows.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend(bytes);
        self
    }

    /// A text; of one that is longer than 64 KiB the beginning.
    pub fn text(&mut self, text: &str) -> &mut Self {
        let length = text.floor_char_boundary(u16::MAX.into());
        self.0.extend((length as u16).to_le_bytes());
        self.bytes(&text.as_bytes()[..length])
    }

    /// All that was written.
    pub fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

// === impl Reader ===

impl<'a> Reader<'a> {
    /// Reads these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// So many bytes.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*bytes)
    }

    /// A number of one byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    /// A number of four bytes.
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// A number of eight bytes.
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A number of sixteen bytes.
    pub fn u128(&mut self) -> Option<u128> {
        self.array().map(u128::from_le_bytes)
    }

    /// A text.
    pub fn text(&mut self) -> Option<String> {
        let length = self.array().map(u16::from_le_bytes)?;
        let (text, rest) = self.0.split_at_checked(length.into())?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }

    /// None unless all is read.
    pub fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}
