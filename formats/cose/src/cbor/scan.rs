//! Reading what has to be there, in the order in which it has to stand.

use crate::Reason;

/// Reads data items one after the other, each of an expected type, each head in its shortest form.
///
/// The smallest reader there is, for code that has a few kilobytes of flash and knows exactly what
/// it expects: a pinned object, or one of our own makers'. Nothing is checked beforehand. Whatever
/// else stands there ends the reading: from then on every call gives nought or nothing, and
/// [`Scan::ok`] and [`Scan::end`] say `malformed`. No value counts before one of them was asked.
/// For anything else take [`super::Deterministic`] or [`super::WellFormed`].
#[derive(Clone, Copy, Debug)]
pub struct Scan<'b> {
    rest: &'b [u8],
    failed: bool,
}

impl<'b> Scan<'b> {
    /// Starts at the first byte.
    pub fn new(bytes: &'b [u8]) -> Scan<'b> {
        Scan { rest: bytes, failed: false }
    }

    /// What is left.
    pub fn rest(&self) -> &'b [u8] {
        self.rest
    }

    /// Everything so far was as expected.
    ///
    /// # Errors
    /// `malformed`.
    pub fn ok(&self) -> Result<(), Reason> {
        if self.failed { Err(Reason::Malformed) } else { Ok(()) }
    }

    /// Everything was as expected, and nothing is left.
    ///
    /// # Errors
    /// `malformed`.
    #[inline(never)]
    pub fn end(&self) -> Result<(), Reason> {
        if self.failed || !self.rest.is_empty() { Err(Reason::Malformed) } else { Ok(()) }
    }

    #[inline(never)]
    fn fail(&mut self) {
        self.rest = &[];
        self.failed = true;
    }

    /// A head: its first byte's major type, and its argument.
    #[inline(never)]
    fn head(&mut self) -> (u8, u64) {
        let Some((first, rest)) = self.rest.split_first() else {
            self.fail();
            return (0, 0);
        };
        let info = first & 0x1f;
        let len = match info {
            0..=23 => 0,
            24..=27 => 1usize << (info - 24),
            _ => usize::MAX,
        };
        let Some((argument, rest)) = rest.split_at_checked(len) else {
            self.fail();
            return (0, 0);
        };
        self.rest = rest;
        if len == 0 {
            return (first >> 5, u64::from(info));
        }
        let mut value = 0;
        for byte in argument {
            value = value << 8 | u64::from(*byte);
        }
        let least = if len == 1 { 24 } else { 1u64 << (len * 4) };
        if value < least {
            self.fail();
        }
        (first >> 5, value)
    }

    /// A head of this major type; gives its argument.
    #[inline(never)]
    pub fn take_long(&mut self, major: u8) -> u64 {
        let (found, argument) = self.head();
        if found != major {
            self.fail();
        }
        if self.failed { 0 } else { argument }
    }

    /// A head of this major type; gives its argument, which is below 2^32.
    #[inline(never)]
    pub fn take(&mut self, major: u8) -> u32 {
        u32::try_from(self.take_long(major)).unwrap_or_else(|_| {
            self.fail();
            0
        })
    }

    /// Exactly these bytes.
    #[inline(never)]
    pub fn literal(&mut self, bytes: &[u8]) {
        match self.rest.split_at_checked(bytes.len()) {
            Some((found, rest)) if found == bytes => self.rest = rest,
            _ => self.fail(),
        }
    }

    /// A byte string.
    #[inline(never)]
    pub fn bytes(&mut self) -> &'b [u8] {
        let len = self.take(Scan::BYTES);
        self.cut(len)
    }

    /// A byte string that holds data items.
    pub fn inner(&mut self) -> Scan<'b> {
        Scan { rest: self.bytes(), failed: self.failed }
    }

    /// A byte string of exactly `N` bytes.
    pub fn bytes_of<const N: usize>(&mut self) -> &'b [u8; N] {
        self.bytes().try_into().unwrap_or_else(|_| {
            self.fail();
            const { &[0; N] }
        })
    }

    /// Passes over this many items, each with everything in it.
    #[inline(never)]
    pub fn skip(&mut self, items: u32) {
        let mut pending = items;
        while pending > 0 && !self.failed {
            let (major, argument) = self.head();
            let argument = u32::try_from(argument).unwrap_or(u32::MAX);
            let inside = match major {
                Scan::BYTES | Scan::TEXT => {
                    self.cut(argument);
                    0
                }
                Scan::ARRAY => argument,
                Scan::MAP => argument.saturating_mul(2),
                Scan::TAG => 1,
                _ => 0,
            };
            pending = (pending - 1).saturating_add(inside);
        }
    }

    #[inline(never)]
    fn cut(&mut self, len: u32) -> &'b [u8] {
        match self.rest.split_at_checked(len as usize) {
            Some((string, rest)) => {
                self.rest = rest;
                string
            }
            None => {
                self.fail();
                &[]
            }
        }
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
        assert_eq!(scan.take(Scan::ARRAY), 3);
        let mut other = scan;
        assert_eq!((other.take(Scan::BYTES), other.ok()), (0, Err(Reason::Malformed)));
        assert_eq!(scan.take(Scan::UNSIGNED), 42);
        let mut other = scan;
        assert_eq!((other.bytes_of::<3>(), other.ok()), (&[0; 3], Err(Reason::Malformed)));
        assert_eq!(scan.bytes(), [7, 8]);
        assert_eq!((scan.ok(), scan.end()), (Ok(()), Err(Reason::Malformed)));
        let mut other = scan;
        other.literal(&[0xa1, 0x02]);
        assert_eq!(other.ok(), Err(Reason::Malformed));
        scan.skip(1);
        assert_eq!(scan.end(), Ok(()));
    }

    #[test]
    fn longer_heads_indefinite_lengths_and_short_input_are_malformed() {
        let bad: [&[u8]; 9] = [
            &[0x18, 0x17],
            &[0x19, 0x00, 0xff],
            &[0x1a, 0, 0, 0xff, 0xff],
            &[0x1b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
            &[0x5f],
            &[0x58],
            &[0x43, 1, 2],
            &[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ];
        for bytes in bad {
            let mut scan = Scan::new(bytes);
            scan.skip(1);
            assert_eq!(scan.ok(), Err(Reason::Malformed), "{bytes:02x?}");
        }
        for (bytes, value) in [(&[0x19, 0x01, 0x00][..], 256), (&[0x18, 0x18], 24)] {
            let mut scan = Scan::new(bytes);
            assert_eq!((scan.take(Scan::UNSIGNED), scan.end()), (value, Ok(())));
        }
        let mut scan = Scan::new(&[0x1b, 0, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!((scan.take(Scan::UNSIGNED), scan.ok()), (0, Err(Reason::Malformed)));
    }

    #[test]
    fn a_failure_is_not_forgotten() {
        let mut scan = Scan::new(&[0x01, 0x02]);
        assert_eq!(scan.take(Scan::MAP), 0);
        assert_eq!(scan.take(Scan::UNSIGNED), 0);
        assert_eq!(scan.inner().ok(), Err(Reason::Malformed));
        assert_eq!(scan.end(), Err(Reason::Malformed));
    }
}
