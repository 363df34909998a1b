//! The head of a data item: major type and argument (RFC 8949 section 3).

use crate::Reason;

pub(crate) const UNSIGNED: u8 = 0;
pub(crate) const NEGATIVE: u8 = 1;
pub(crate) const BYTES: u8 = 2;
pub(crate) const TEXT: u8 = 3;
pub(crate) const ARRAY: u8 = 4;
pub(crate) const MAP: u8 = 5;
pub(crate) const TAG: u8 = 6;
pub(crate) const SIMPLE: u8 = 7;

/// A decoded head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Major type, 0 to 7.
    pub major: u8,
    /// The low five bits of the first byte: how the argument is written.
    pub info: u8,
    /// The argument.
    pub argument: u64,
    /// Bytes that the head takes, 1 to 9.
    pub len: usize,
}

impl Head {
    /// Reads the head that starts at `at`. Indefinite lengths and reserved forms are malformed.
    pub(crate) fn read(bytes: &[u8], at: usize) -> Result<Head, Reason> {
        let first = *bytes.get(at).ok_or(Reason::Malformed)?;
        let (major, info) = (first >> 5, first & 0x1f);
        let follow = match info {
            0..=23 => return Ok(Head { major, info, argument: u64::from(info), len: 1 }),
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            _ => return Err(Reason::Malformed),
        };
        let end = at.checked_add(1 + follow).ok_or(Reason::Malformed)?;
        let tail = bytes.get(at + 1..end).ok_or(Reason::Malformed)?;
        let argument = tail.iter().fold(0u64, |sum, byte| (sum << 8) | u64::from(*byte));
        Ok(Head { major, info, argument, len: 1 + follow })
    }

    /// Is the argument written in the fewest bytes?
    pub(crate) fn is_shortest(&self) -> bool {
        match self.info {
            24 => self.argument > 23,
            25 => self.argument > 0xff,
            26 => self.argument > 0xffff,
            27 => self.argument > 0xffff_ffff,
            _ => true,
        }
    }

    /// How many data items follow inside this one. Overflow is a bound exceeded.
    pub(crate) fn children(&self) -> Result<u64, Reason> {
        match self.major {
            ARRAY => Ok(self.argument),
            MAP => self.argument.checked_mul(2).ok_or(Reason::TooLarge),
            TAG => Ok(1),
            _ => Ok(0),
        }
    }

    /// Writes a head in its shortest form into `out` and returns what was written.
    pub(crate) fn write(out: &mut [u8; 9], major: u8, argument: u64) -> &[u8] {
        let be = argument.to_be_bytes();
        let (info, tail): (u8, &[u8]) = match argument {
            0..=23 => (be[7], &[]),
            24..=0xff => (24, &be[7..]),
            0x100..=0xffff => (25, &be[6..]),
            0x1_0000..=0xffff_ffff => (26, &be[4..]),
            _ => (27, &be[..]),
        };
        out[0] = major << 5 | info;
        out[1..=tail.len()].copy_from_slice(tail);
        &out[..=tail.len()]
    }
}

/// Where the data item that starts at `at` ends, by definite lengths alone.
pub(crate) fn end_of(bytes: &[u8], mut at: usize) -> Result<usize, Reason> {
    let mut pending: u64 = 1;
    while pending > 0 {
        let head = Head::read(bytes, at)?;
        at += head.len;
        if matches!(head.major, BYTES | TEXT) {
            at = end_of_string(bytes, at, head.argument)?;
        }
        pending = (pending - 1).checked_add(head.children()?).ok_or(Reason::TooLarge)?;
    }
    Ok(at)
}

/// Where a string of `len` bytes that starts at `at` ends; malformed beyond the input.
pub(crate) fn end_of_string(bytes: &[u8], at: usize, len: u64) -> Result<usize, Reason> {
    let len = usize::try_from(len).map_err(|_| Reason::Malformed)?;
    let end = at.checked_add(len).ok_or(Reason::Malformed)?;
    if end > bytes.len() {
        return Err(Reason::Malformed);
    }
    Ok(end)
}
