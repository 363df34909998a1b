//! Text in UTF-16, as registry exports and settings of Windows programs are written: it is read as
//! the same text in UTF-8.

use std::io::Write;

use super::{Format, Meta, UnpackError};
use crate::blob::{Blob, Spool};

pub(super) const FORMATS: &[Format] = &[Format {
    name: "utf-16",
    about: "text in UTF-16, both byte orders, with and without a mark",
    magics: &[],
    carved: false,
    detect: |b| order(b).is_some(),
    unpack: |b, s| {
        let big = order(b).ok_or(UnpackError::Corrupt("UTF-16"))?;
        s.charge(b.len() / 2 * 3)?;
        let mut out = Spool::default();
        let mut at = 0;
        // A pair of surrogates that a chunk cuts in two becomes two marks of replacement.
        while at < b.len() {
            let chunk = b.bytes(at, 1 << 20);
            if chunk.is_empty() {
                break;
            }
            let text = char::decode_utf16(units(&chunk, big))
                .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
            out.write_all(text.filter(|c| *c != '\u{feff}').collect::<String>().as_bytes())?;
            at += chunk.len() as u64;
        }
        s.member("", out.finish(), Meta::default())?;
        Ok(b.len())
    },
}];

fn units(bytes: &[u8], big: bool) -> impl Iterator<Item = u16> {
    let of = if big { u16::from_be_bytes } else { u16::from_le_bytes };
    bytes.chunks_exact(2).map(move |pair| of([pair[0], pair[1]]))
}

/// Whether the bytes are UTF-16, and whether its high bytes come first: all of the first units are
/// letters, and half of them or more are of ASCII.
fn order(blob: &Blob) -> Option<bool> {
    let head = blob.bytes(0, 8);
    // Every text in an alphabet has a zero in every second byte.
    let big = match head.get(..2)? {
        [0xff, 0xfe] => false,
        [0xfe, 0xff] => true,
        [0, b] if *b != 0 => true,
        [b, 0] if *b != 0 => false,
        _ => return None,
    };
    let head = blob.bytes(0, 4096);
    let (mut ascii, mut all) = (0, 0);
    for unit in units(&head, big) {
        match unit {
            9 | 10 | 13 | 0x20..=0x7e => ascii += 1,
            0..=0x9f | 0xffff | 0xfffe => return None,
            _ => {}
        }
        all += 1;
    }
    (all >= 16 && ascii * 2 >= all).then_some(big)
}
