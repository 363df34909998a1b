//! Reading what has to be there, in the order in which it has to stand.

use crate::Reason;

/// Reads data items one after the other, each of an expected type, each head in its shortest form.
///
/// The smallest reader there is, for code that has a few kilobytes of flash and knows exactly what
/// it expects: a pinned object, or one of our own makers'. There is no check beforehand; whatever
/// else stands there ends the reading with `malformed`. For anything else take
/// [`super::Deterministic`] or [`super::WellFormed`].
#[derive(Clone, Copy, Debug)]
pub struct Scan<'b> {
    rest: &'b [u8],
}

/// Each call takes one head, string or item. Errors: `malformed` for anything else.
#[allow(clippy::missing_errors_doc)]
impl<'b> Scan<'b> {
    /// Starts at the first byte.
    pub fn new(bytes: &'b [u8]) -> Scan<'b> {
        Scan { rest: bytes }
    }

    /// What is left.
    pub fn rest(&self) -> &'b [u8] {
        self.rest
    }

    /// Nothing is left.
    pub fn end(&self) -> Result<(), Reason> {
        if self.rest.is_empty() { Ok(()) } else { Err(Reason::Malformed) }
    }

    /// A head: major type and argument.
    #[inline(never)]
    fn head(&mut self) -> Result<(u8, u64), Reason> {
        let (first, rest) = self.rest.split_first().ok_or(Reason::Malformed)?;
        let info = first & 0x1f;
        let len = match info {
            0..=23 => 0,
            24..=27 => 1usize << (info - 24),
            _ => return Err(Reason::Malformed),
        };
        let (argument, rest) = rest.split_at_checked(len).ok_or(Reason::Malformed)?;
        let mut value = 0;
        for byte in argument {
            value = value << 8 | u64::from(*byte);
        }
        let least = match len {
            0 => 0,
            1 => 24,
            _ => 1u64 << (len * 4),
        };
        if len > 0 && value < least {
            return Err(Reason::Malformed);
        }
        self.rest = rest;
        Ok((first >> 5, if len == 0 { u64::from(info) } else { value }))
    }

    /// A head of this major type; gives its argument.
    #[inline(never)]
    pub fn take(&mut self, major: u8) -> Result<u64, Reason> {
        let (found, argument) = self.head()?;
        if found == major { Ok(argument) } else { Err(Reason::Malformed) }
    }

    /// Exactly these bytes.
    #[inline(never)]
    pub fn literal(&mut self, bytes: &[u8]) -> Result<(), Reason> {
        self.rest = self.rest.strip_prefix(bytes).ok_or(Reason::Malformed)?;
        Ok(())
    }

    /// A byte string.
    #[inline(never)]
    pub fn bytes(&mut self) -> Result<&'b [u8], Reason> {
        let len = self.take(Scan::BYTES)?;
        self.cut(len)
    }

    /// A byte string of exactly `N` bytes.
    pub fn bytes_of<const N: usize>(&mut self) -> Result<&'b [u8; N], Reason> {
        self.bytes()?.try_into().map_err(|_| Reason::Malformed)
    }

    /// Passes over one item with everything in it.
    #[inline(never)]
    pub fn skip(&mut self) -> Result<(), Reason> {
        let mut pending = 1u64;
        while pending > 0 {
            let (major, argument) = self.head()?;
            let inside = match major {
                Scan::BYTES | Scan::TEXT => self.cut(argument).map(|_| 0)?,
                Scan::ARRAY => argument,
                Scan::MAP => argument.saturating_mul(2),
                Scan::TAG => 1,
                _ => 0,
            };
            pending = (pending - 1).saturating_add(inside);
        }
        Ok(())
    }

    fn cut(&mut self, len: u64) -> Result<&'b [u8], Reason> {
        let len = usize::try_from(len).map_err(|_| Reason::Malformed)?;
        let (string, rest) = self.rest.split_at_checked(len).ok_or(Reason::Malformed)?;
        self.rest = rest;
        Ok(string)
    }
}

/// Major types (RFC 8949 section 3.1).
#[allow(missing_docs)]
impl Scan<'_> {
    pub const UNSIGNED: u8 = 0;
    pub const BYTES: u8 = 2;
    pub const TEXT: u8 = 3;
    pub const ARRAY: u8 = 4;
    pub const MAP: u8 = 5;
    pub const TAG: u8 = 6;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_expected_and_nothing_else() {
        let bytes = [0x83, 0x18, 0x2a, 0x42, 7, 8, 0xa1, 0x01, 0x81, 0x61, b'x'];
        let mut scan = Scan::new(&bytes);
        assert_eq!(scan.take(Scan::ARRAY), Ok(3));
        assert_eq!(scan.clone().take(Scan::BYTES), Err(Reason::Malformed));
        assert_eq!(scan.take(Scan::UNSIGNED), Ok(42));
        assert_eq!(scan.clone().bytes_of::<3>(), Err(Reason::Malformed));
        assert_eq!(scan.bytes(), Ok(&[7u8, 8][..]));
        assert_eq!(scan.end(), Err(Reason::Malformed));
        assert_eq!(scan.clone().literal(&[0xa1, 0x02]), Err(Reason::Malformed));
        scan.skip().unwrap();
        scan.end().unwrap();
    }

    #[test]
    fn longer_heads_indefinite_lengths_and_short_input_are_malformed() {
        let bad: [&[u8]; 8] = [
            &[0x18, 0x17],
            &[0x19, 0x00, 0xff],
            &[0x1a, 0, 0, 0xff, 0xff],
            &[0x1b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
            &[0x5f],
            &[0x58],
            &[0x43, 1, 2],
            &[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ];
        for bytes in bad {
            assert_eq!(Scan::new(bytes).skip(), Err(Reason::Malformed), "{bytes:02x?}");
        }
        assert_eq!(Scan::new(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).skip(), Err(Reason::Malformed));
        assert_eq!(Scan::new(&[0x19, 0x01, 0x00]).take(Scan::UNSIGNED), Ok(256));
        assert_eq!(Scan::new(&[0x18, 0x18]).take(Scan::UNSIGNED), Ok(24));
    }
}
