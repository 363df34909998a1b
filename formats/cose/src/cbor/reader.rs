//! Reading checked bytes, item by item.

use minicbor::Decoder;
use minicbor::data::Tag;

use super::check::check;
use super::head::{self, Head};
use super::{Dialect, Limits};
use crate::Reason;

/// The dialect of our own objects: RFC 8949 section 4.2.1.
///
/// Shortest heads, definite lengths, map keys sorted bytewise and unique, no trailing bytes, no
/// floating point; bounded in length, depth and count.
pub struct Deterministic;

impl Deterministic {
    /// Checks `bytes` within [`Limits::OBJECT`] and returns a reader of its one data item.
    ///
    /// # Errors
    /// `malformed`, `too-large`, or `unsupported` for floating point and unassigned simple values.
    pub fn read(bytes: &[u8]) -> Result<Reader<'_>, Reason> {
        Deterministic::read_within(bytes, Limits::OBJECT)
    }

    /// The same within other limits.
    ///
    /// # Errors
    /// As [`Deterministic::read`].
    pub fn read_within(bytes: &[u8], limits: Limits) -> Result<Reader<'_>, Reason> {
        Reader::new(bytes, Dialect::Deterministic, limits)
    }
}

/// The dialect of objects that other makers write, SUIT and EAT.
///
/// Definite lengths, no duplicate map keys (compared by value, not by encoding), no trailing
/// bytes, no floating point; bounded. Keys may stand in any order, heads may be longer than need
/// be.
pub struct WellFormed;

impl WellFormed {
    /// Checks `bytes` within [`Limits::OBJECT`] and returns a reader of its one data item.
    ///
    /// # Errors
    /// `malformed`, `too-large`, or `unsupported` for floating point and unassigned simple values.
    pub fn read(bytes: &[u8]) -> Result<Reader<'_>, Reason> {
        Reader::new(bytes, Dialect::WellFormed, Limits::OBJECT)
    }
}

/// What kind of data item comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Unsigned,
    Negative,
    Bytes,
    Text,
    Array,
    Map,
    Tag,
    Bool,
    Null,
    Undefined,
}

/// Reads the items of checked bytes one after the other.
///
/// Each call takes one head or scalar: after [`Reader::map`] has returned `n`, `n` keys and values
/// follow. A type other than the expected one is `malformed`, and the reader stays where it was.
#[derive(Clone, Debug)]
pub struct Reader<'b> {
    decoder: Decoder<'b>,
    dialect: Dialect,
}

impl<'b> Reader<'b> {
    fn new(bytes: &'b [u8], dialect: Dialect, limits: Limits) -> Result<Reader<'b>, Reason> {
        check(bytes, dialect, limits)?;
        Ok(Reader { decoder: Decoder::new(bytes), dialect })
    }

    /// Checks bytes that were wrapped in a byte string, in this reader's dialect.
    ///
    /// # Errors
    /// As [`Deterministic::read`].
    pub fn embedded<'e>(&self, bytes: &'e [u8]) -> Result<Reader<'e>, Reason> {
        Reader::new(bytes, self.dialect, Limits::OBJECT)
    }

    /// The dialect the bytes were checked for.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The kind of the next item.
    ///
    /// # Errors
    /// `malformed` at the end of the input.
    pub fn kind(&self) -> Result<Kind, Reason> {
        let head = Head::read(self.decoder.input(), self.decoder.position())?;
        Ok(match (head.major, head.info) {
            (head::UNSIGNED, _) => Kind::Unsigned,
            (head::NEGATIVE, _) => Kind::Negative,
            (head::BYTES, _) => Kind::Bytes,
            (head::TEXT, _) => Kind::Text,
            (head::ARRAY, _) => Kind::Array,
            (head::MAP, _) => Kind::Map,
            (head::TAG, _) => Kind::Tag,
            (_, 20 | 21) => Kind::Bool,
            (_, 22) => Kind::Null,
            _ => Kind::Undefined,
        })
    }

    /// Has the whole input been read?
    pub fn is_at_end(&self) -> bool {
        self.decoder.position() == self.decoder.input().len()
    }

    /// Ends reading.
    ///
    /// # Errors
    /// `malformed` when something is left.
    pub fn end(self) -> Result<(), Reason> {
        if self.is_at_end() { Ok(()) } else { Err(Reason::Malformed) }
    }

    /// Opens an array and returns the number of its elements.
    ///
    /// # Errors
    /// `malformed` for another type.
    pub fn array(&mut self) -> Result<u64, Reason> {
        self.take(|decoder| decoder.array())?.ok_or(Reason::Malformed)
    }

    /// Opens an array of exactly `len` elements.
    ///
    /// # Errors
    /// `malformed` for another type or length.
    pub fn array_of(&mut self, len: u64) -> Result<(), Reason> {
        let before = self.decoder.position();
        if self.array()? == len {
            return Ok(());
        }
        self.decoder.set_position(before);
        Err(Reason::Malformed)
    }

    /// Opens a map and returns the number of its entries.
    ///
    /// # Errors
    /// `malformed` for another type.
    pub fn map(&mut self) -> Result<u64, Reason> {
        self.take(|decoder| decoder.map())?.ok_or(Reason::Malformed)
    }

    /// Reads an unsigned integer.
    ///
    /// # Errors
    /// `malformed` for another type.
    pub fn u64(&mut self) -> Result<u64, Reason> {
        self.take(|decoder| decoder.u64())
    }

    /// Reads an unsigned integer below 2^32.
    ///
    /// # Errors
    /// `malformed` for another type or a larger number.
    pub fn u32(&mut self) -> Result<u32, Reason> {
        self.take(|decoder| decoder.u32())
    }

    /// Reads an unsigned integer below 2^16.
    ///
    /// # Errors
    /// `malformed` for another type or a larger number.
    pub fn u16(&mut self) -> Result<u16, Reason> {
        self.take(|decoder| decoder.u16())
    }

    /// Reads an unsigned integer below 256.
    ///
    /// # Errors
    /// `malformed` for another type or a larger number.
    pub fn u8(&mut self) -> Result<u8, Reason> {
        self.take(|decoder| decoder.u8())
    }

    /// Reads an integer that fits in 64 bits with its sign.
    ///
    /// # Errors
    /// `malformed` for another type or a number out of range.
    pub fn i64(&mut self) -> Result<i64, Reason> {
        self.take(|decoder| decoder.i64())
    }

    /// Reads a truth value.
    ///
    /// # Errors
    /// `malformed` for another type.
    pub fn bool(&mut self) -> Result<bool, Reason> {
        self.take(|decoder| decoder.bool())
    }

    /// Reads null.
    ///
    /// # Errors
    /// `malformed` for another type.
    pub fn null(&mut self) -> Result<(), Reason> {
        self.take(|decoder| decoder.null())
    }

    /// Reads a tag; its content follows.
    ///
    /// # Errors
    /// `malformed` for another type.
    pub fn tag(&mut self) -> Result<u64, Reason> {
        self.take(|decoder| decoder.tag()).map(Tag::as_u64)
    }

    /// Reads a byte string.
    ///
    /// # Errors
    /// `malformed` for another type.
    pub fn bytes(&mut self) -> Result<&'b [u8], Reason> {
        self.take(|decoder| decoder.bytes())
    }

    /// Reads a byte string of exactly `N` bytes.
    ///
    /// # Errors
    /// `malformed` for another type or length.
    pub fn bytes_of<const N: usize>(&mut self) -> Result<[u8; N], Reason> {
        let before = self.decoder.position();
        self.bytes()?.try_into().map_err(|_| {
            self.decoder.set_position(before);
            Reason::Malformed
        })
    }

    /// Reads a text string.
    ///
    /// # Errors
    /// `malformed` for another type.
    pub fn text(&mut self) -> Result<&'b str, Reason> {
        self.take(|decoder| decoder.str())
    }

    /// Takes one whole data item, with everything inside it, as it is encoded.
    ///
    /// # Errors
    /// `malformed` at the end of the input.
    pub fn raw(&mut self) -> Result<&'b [u8], Reason> {
        let input: &'b [u8] = self.decoder.input();
        let start = self.decoder.position();
        let end = head::end_of(input, start)?;
        self.decoder.set_position(end);
        input.get(start..end).ok_or(Reason::Malformed)
    }

    /// A reader of one data item that [`Reader::raw`] of the same reader returned.
    pub(crate) fn of_checked<'e>(&self, raw: &'e [u8]) -> Reader<'e> {
        Reader { decoder: Decoder::new(raw), dialect: self.dialect }
    }

    fn take<T>(
        &mut self,
        read: impl FnOnce(&mut Decoder<'b>) -> Result<T, minicbor::decode::Error>,
    ) -> Result<T, Reason> {
        let before = self.decoder.position();
        read(&mut self.decoder).map_err(|_| {
            self.decoder.set_position(before);
            Reason::Malformed
        })
    }
}
