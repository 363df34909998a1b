//! Small helpers that every message uses.

use ringfort_cose::Reason;
use ringfort_cose::cbor::{Deterministic, Reader};
use ringfort_trust::MAX_UNIX_TIME;
use ringfort_trust::ids::{Text, UnixTime};

/// Opens a message of at most `max` bytes.
pub(crate) fn open(bytes: &[u8], max: usize) -> Result<Reader<'_>, Reason> {
    if bytes.len() > max {
        return Err(Reason::TooLarge);
    }
    Deterministic::read(bytes)
}

/// The next field number of a map.
pub(crate) fn field(reader: &mut Reader<'_>) -> Result<u64, Reason> {
    reader.u64().map_err(|_| Reason::UnknownField)
}

/// What a required field has to be.
pub(crate) fn required<T>(value: Option<T>) -> Result<T, Reason> {
    value.ok_or(Reason::Malformed)
}

pub(crate) fn text<const N: usize>(reader: &mut Reader<'_>) -> Result<Text<N>, Reason> {
    Text::new(reader.text()?)
}

pub(crate) fn time(reader: &mut Reader<'_>) -> Result<UnixTime, Reason> {
    let time = UnixTime(reader.u64()?);
    if time > MAX_UNIX_TIME { Err(Reason::TooLarge) } else { Ok(time) }
}

/// A byte string of 1 to `max` bytes.
pub(crate) fn bytes_up_to<'b>(reader: &mut Reader<'b>, max: usize) -> Result<&'b [u8], Reason> {
    let bytes = reader.bytes()?;
    match bytes.len() {
        0 => Err(Reason::Malformed),
        len if len > max => Err(Reason::TooLarge),
        _ => Ok(bytes),
    }
}

/// The `encode` functions of a message, from its `write`.
macro_rules! encoders {
    () => {
        /// Writes the message into a buffer and returns what was written.
        ///
        /// # Errors
        /// `too-large` when the buffer is too small.
        pub fn encode_into<'o>(
            &self,
            buffer: &'o mut [u8],
        ) -> Result<&'o [u8], ringfort_cose::Reason> {
            let mut out = ringfort_cose::cbor::Writer::into_slice(buffer);
            self.write(&mut out)?;
            out.finish()
        }

        /// The message as bytes.
        ///
        /// # Errors
        /// `too-large` or `malformed` for parts beyond their bounds.
        #[cfg(feature = "alloc")]
        pub fn encode(&self) -> Result<alloc::vec::Vec<u8>, ringfort_cose::Reason> {
            let mut out = ringfort_cose::cbor::Writer::to_vec();
            self.write(&mut out)?;
            out.finish()
        }
    };
}
pub(crate) use encoders;
