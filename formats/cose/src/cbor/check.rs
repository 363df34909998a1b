//! The check of a whole data item, without recursion and without memory of its own.

use super::Dialect;
use super::head::{self, BYTES, Head, MAP, SIMPLE, TAG, TEXT};
use crate::Reason;

/// The bounds of everything that is read. Beyond them: `too-large`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole object.
    pub length: usize,
    /// Data items in it, counting each key, value, element and tag.
    pub items: u32,
    /// Entries of one map.
    pub map_entries: u64,
}

impl Limits {
    /// Nesting of arrays, maps and tags. A constant, because it sizes the stack of the check.
    pub const DEPTH: usize = 16;

    /// A signed object or message: 64 KiB.
    pub const OBJECT: Limits = Limits { length: 64 * 1024, items: 8 * 1024, map_entries: 128 };

    /// A list that a factory or a hub hands over as one file: 16 MiB.
    pub const BATCH: Limits =
        Limits { length: 16 * 1024 * 1024, items: 1024 * 1024, map_entries: 128 };
}

/// Checks that `bytes` is exactly one data item of the dialect, inside the limits.
pub(super) fn check(bytes: &[u8], dialect: Dialect, limits: Limits) -> Result<(), Reason> {
    if bytes.len() > limits.length {
        return Err(Reason::TooLarge);
    }
    let mut open = [Frame::EMPTY; Limits::DEPTH];
    let mut depth = 0;
    let mut at = 0;
    let mut items = 0u32;
    loop {
        items += 1;
        if items > limits.items {
            return Err(Reason::TooLarge);
        }
        let start = at;
        let head = Head::read(bytes, at)?;
        at = check_item(bytes, at, head, dialect)?;
        let children = head.children()?;
        if children > 0 {
            if head.major == MAP && head.argument > limits.map_entries {
                return Err(Reason::TooLarge);
            }
            let frame = open.get_mut(depth).ok_or(Reason::TooLarge)?;
            *frame = Frame::new(head.major == MAP, start, at, children);
            depth += 1;
            continue;
        }
        // The item is complete; so may be those around it.
        let mut done_from = start;
        loop {
            let Some(frame) = depth.checked_sub(1).and_then(|top| open.get_mut(top)) else {
                return if at == bytes.len() { Ok(()) } else { Err(Reason::Malformed) };
            };
            frame.child_done(bytes, done_from, at, dialect)?;
            if frame.remaining > 0 {
                break;
            }
            done_from = frame.start;
            depth -= 1;
        }
    }
}

/// Checks one head and, for a string, its content. Returns where the head or string ends.
fn check_item(bytes: &[u8], at: usize, head: Head, dialect: Dialect) -> Result<usize, Reason> {
    let after = at + head.len;
    match head.major {
        // Simple values: false, true, null, undefined. Floating point has no use here.
        SIMPLE if !(20..=23).contains(&head.info) => return Err(Reason::Unsupported),
        SIMPLE => return Ok(after),
        _ => {}
    }
    if dialect == Dialect::Deterministic && !head.is_shortest() {
        return Err(Reason::Malformed);
    }
    match head.major {
        BYTES => head::end_of_string(bytes, after, head.argument),
        TEXT => {
            let end = head::end_of_string(bytes, after, head.argument)?;
            let text = bytes.get(after..end).ok_or(Reason::Malformed)?;
            core::str::from_utf8(text).map_err(|_| Reason::Malformed)?;
            Ok(end)
        }
        TAG => Ok(after),
        // Each child takes at least one byte, so a count beyond the input is a lie.
        _ if head.children()? > (bytes.len() - after) as u64 && head.major > TEXT => {
            Err(Reason::Malformed)
        }
        _ => Ok(after),
    }
}

/// An array, map or tag whose content is still being read.
#[derive(Clone, Copy)]
struct Frame {
    is_map: bool,
    /// Where its head starts, and where its content starts.
    start: usize,
    content: usize,
    /// Items still to come.
    remaining: u64,
    /// Items read.
    done: u64,
    /// The latest key.
    key: (usize, usize),
}

impl Frame {
    const EMPTY: Frame =
        Frame { is_map: false, start: 0, content: 0, remaining: 0, done: 0, key: (0, 0) };

    fn new(is_map: bool, start: usize, content: usize, remaining: u64) -> Frame {
        Frame { is_map, start, content, remaining, done: 0, key: (0, 0) }
    }

    /// Takes note of the child at `from..to`; a key is compared with the keys before it.
    fn child_done(
        &mut self,
        bytes: &[u8],
        from: usize,
        to: usize,
        dialect: Dialect,
    ) -> Result<(), Reason> {
        if self.is_map && self.done.is_multiple_of(2) {
            match dialect {
                Dialect::Deterministic if self.done > 0 => {
                    let before = bytes.get(self.key.0..self.key.1).ok_or(Reason::Malformed)?;
                    let this = bytes.get(from..to).ok_or(Reason::Malformed)?;
                    if before >= this {
                        return Err(Reason::Malformed);
                    }
                }
                Dialect::Deterministic => {}
                Dialect::WellFormed => self.refuse_duplicate(bytes, from, to)?,
            }
            self.key = (from, to);
        }
        self.done += 1;
        self.remaining -= 1;
        Ok(())
    }

    /// Compares the key at `from..to` with every earlier key of this map.
    fn refuse_duplicate(&self, bytes: &[u8], from: usize, to: usize) -> Result<(), Reason> {
        let mut at = self.content;
        while at < from {
            let key_end = head::end_of(bytes, at)?;
            if same_value(bytes, (at, key_end), (from, to))? {
                return Err(Reason::Malformed);
            }
            at = head::end_of(bytes, key_end)?;
        }
        Ok(())
    }
}

/// Do two encodings, with heads of whatever length, stand for the same value? (Maps inside keys
/// are compared entry by entry in the order in which they stand.)
fn same_value(bytes: &[u8], a: (usize, usize), b: (usize, usize)) -> Result<bool, Reason> {
    let (mut left, mut right) = (a.0, b.0);
    while left < a.1 && right < b.1 {
        let (head, other) = (Head::read(bytes, left)?, Head::read(bytes, right)?);
        if (head.major, head.argument) != (other.major, other.argument) {
            return Ok(false);
        }
        left += head.len;
        right += other.len;
        if matches!(head.major, BYTES | TEXT) {
            let left_end = head::end_of_string(bytes, left, head.argument)?;
            let right_end = head::end_of_string(bytes, right, head.argument)?;
            if bytes.get(left..left_end) != bytes.get(right..right_end) {
                return Ok(false);
            }
            (left, right) = (left_end, right_end);
        }
    }
    Ok(left == a.1 && right == b.1)
}
