//! Writing deterministic CBOR.

use minicbor::Encoder;
use minicbor::data::Tag;
use minicbor::encode::write::{Cursor, Write};

use super::{Dialect, Limits, check::check};
use crate::Reason;

/// Writes one data item in the [`Dialect::Deterministic`] dialect.
///
/// Into a caller's buffer ([`Writer::into_slice`]) or, with feature `alloc`, into a vector
/// ([`Writer::to_vec`]). Map keys have to be given in bytewise order of their encodings;
/// `finish` checks the whole and refuses what no reader would accept.
pub struct Writer<W> {
    encoder: Encoder<W>,
}

impl<'o> Writer<Cursor<&'o mut [u8]>> {
    /// A writer into a fixed buffer.
    pub fn into_slice(buffer: &'o mut [u8]) -> Self {
        Writer { encoder: Encoder::new(Cursor::new(buffer)) }
    }

    /// The bytes written.
    ///
    /// # Errors
    /// `malformed` when they are not one deterministic data item.
    pub fn finish(self) -> Result<&'o [u8], Reason> {
        let cursor = self.encoder.into_writer();
        let written = cursor.position();
        let buffer: &'o [u8] = cursor.into_inner();
        let bytes = buffer.get(..written).ok_or(Reason::TooLarge)?;
        check(bytes, Dialect::Deterministic, Limits::BATCH)?;
        Ok(bytes)
    }
}

#[cfg(feature = "alloc")]
impl Writer<alloc::vec::Vec<u8>> {
    /// A writer into a growing vector.
    pub fn to_vec() -> Self {
        Writer { encoder: Encoder::new(alloc::vec::Vec::new()) }
    }

    /// The bytes written.
    ///
    /// # Errors
    /// `malformed` when they are not one deterministic data item; `too-large` beyond
    /// [`Limits::BATCH`].
    pub fn finish(self) -> Result<alloc::vec::Vec<u8>, Reason> {
        let bytes = self.encoder.into_writer();
        check(&bytes, Dialect::Deterministic, Limits::BATCH)?;
        Ok(bytes)
    }
}

/// Each call appends one head or scalar. Errors: `too-large` when the buffer is full.
#[allow(clippy::missing_errors_doc)]
impl<W: Write> Writer<W> {
    /// Opens an array of `len` elements.
    pub fn array(&mut self, len: u64) -> Result<&mut Self, Reason> {
        self.put(|encoder| encoder.array(len).map(drop))
    }

    /// Opens a map of `len` entries.
    pub fn map(&mut self, len: u64) -> Result<&mut Self, Reason> {
        self.put(|encoder| encoder.map(len).map(drop))
    }

    /// Writes an unsigned integer.
    pub fn u64(&mut self, value: u64) -> Result<&mut Self, Reason> {
        self.put(|encoder| encoder.u64(value).map(drop))
    }

    /// Writes an integer.
    pub fn i64(&mut self, value: i64) -> Result<&mut Self, Reason> {
        self.put(|encoder| encoder.i64(value).map(drop))
    }

    /// Writes a truth value.
    pub fn bool(&mut self, value: bool) -> Result<&mut Self, Reason> {
        self.put(|encoder| encoder.bool(value).map(drop))
    }

    /// Writes null.
    pub fn null(&mut self) -> Result<&mut Self, Reason> {
        self.put(|encoder| encoder.null().map(drop))
    }

    /// Writes a tag; its content has to follow.
    pub fn tag(&mut self, tag: u64) -> Result<&mut Self, Reason> {
        self.put(|encoder| encoder.tag(Tag::new(tag)).map(drop))
    }

    /// Writes a byte string.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<&mut Self, Reason> {
        self.put(|encoder| encoder.bytes(bytes).map(drop))
    }

    /// Writes a text string.
    pub fn text(&mut self, text: &str) -> Result<&mut Self, Reason> {
        self.put(|encoder| encoder.str(text).map(drop))
    }

    /// Writes a data item that is encoded already.
    pub fn raw(&mut self, item: &[u8]) -> Result<&mut Self, Reason> {
        self.encoder.writer_mut().write_all(item).map_err(|_| Reason::TooLarge)?;
        Ok(self)
    }

    fn put(
        &mut self,
        write: impl FnOnce(&mut Encoder<W>) -> Result<(), minicbor::encode::Error<W::Error>>,
    ) -> Result<&mut Self, Reason> {
        write(&mut self.encoder).map_err(|_| Reason::TooLarge)?;
        Ok(self)
    }
}
