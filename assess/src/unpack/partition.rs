//! Partition tables: GPT and MBR with logical partitions. What lies between partitions
//! (boot loaders often do) is handed on as well.

use std::ops::Range;

use super::{Fields, Format, Meta, Sink, UnpackError, clean};
use crate::blob::Blob;

pub(super) const FORMATS: &[Format] = &[
    Format {
        name: "gpt",
        about: "GPT partition table, 512- and 4096-byte sectors",
        magics: &[(512, b"EFI PART"), (4096, b"EFI PART")],
        carved: false,
        detect: |b| gpt(b).is_ok(),
        unpack: |b, s| {
            let (found, table) = gpt(b)?;
            regions(b, s, found, table)
        },
    },
    Format {
        name: "mbr",
        about: "MBR partition table with logical partitions",
        magics: &[(510, &[0x55, 0xaa])],
        carved: false,
        detect: |b| mbr(b).is_ok(),
        unpack: |b, s| regions(b, s, mbr(b)?, 446..512),
    },
];

/// A named part of a raw image.
pub(super) struct Region {
    pub(super) name: String,
    pub(super) at: u64,
    pub(super) len: u64,
}

/// Hands on the regions and the gaps between them, but for the table itself: whoever met it
/// again would begin anew.
pub(super) fn regions(
    blob: &Blob,
    sink: &mut dyn Sink,
    mut regions: Vec<Region>,
    table: Range<u64>,
) -> Result<u64, UnpackError> {
    regions.sort_by_key(|r| (r.at, r.len));
    let mut done = 0;
    let between = |sink: &mut dyn Sink, from: u64, to: u64| {
        if table.start > from {
            gap(blob, sink, from, table.start.min(to))?;
        }
        gap(blob, sink, from.max(table.end), to)
    };
    for region in &regions {
        if region.at > done {
            between(sink, done, region.at)?;
        }
        let body = blob.slice(region.at, region.len);
        if body.len() < region.len {
            let why = UnpackError::Truncated { at: blob.len() };
            sink.unread(&region.name, blob.len(), 0, &why);
        }
        let meta = Meta { mode: None, offset: Some(region.at), raw: true };
        sink.member(&format!("/{}", region.name), body, meta)?;
        done = done.max(region.at.saturating_add(region.len));
    }
    if done < blob.len() {
        between(sink, done, blob.len())?;
    }
    Ok(blob.len())
}

fn gap(blob: &Blob, sink: &mut dyn Sink, from: u64, to: u64) -> Result<(), UnpackError> {
    let mut from = from;
    // Erased space says nothing.
    while from < to {
        let chunk = blob.slice(from, to - from).bytes(0, 4096);
        let first = chunk.first().copied();
        if chunk.is_empty() || chunk.iter().any(|b| Some(*b) != first || !matches!(b, 0 | 0xff)) {
            break;
        }
        from += chunk.len() as u64;
    }
    if from.saturating_add(SMALLEST) > to {
        return Ok(());
    }
    let meta = Meta { mode: None, offset: Some(from), raw: true };
    sink.member(&format!("/(gap 0x{from:x})"), blob.slice(from, to - from), meta)
}

fn gpt(blob: &Blob) -> Result<(Vec<Region>, Range<u64>), UnpackError> {
    let sector: u64 = if blob.bytes(512, 8) == b"EFI PART" { 512 } else { 4096 };
    let mut head = blob.exact(sector, 92)?;
    let stored = head.le32(16)?;
    head[16..20].fill(0);
    let mut sum = flate2::Crc::new();
    sum.update(&head);
    if head.le32(12)? == 92 && sum.sum() != stored {
        return Err(UnpackError::Corrupt("GPT checksum"));
    }
    let table = head.le64(72)?.checked_mul(sector).ok_or(BAD)?;
    let count = u64::from(head.le32(80)?).min(1024);
    let size = u64::from(head.le32(84)?);
    if !(128..=4096).contains(&size) {
        return Err(BAD);
    }
    let mut out = Vec::new();
    for index in 0..count {
        let Ok(entry) = blob.exact(table + index * size, 128) else { break };
        if entry[..16].iter().all(|&b| b == 0) {
            continue;
        }
        let (first, last) = (entry.le64(32)?, entry.le64(40)?);
        let len = last.checked_sub(first).ok_or(BAD)?.checked_add(1).ok_or(BAD)?;
        let name: Vec<u16> = (56..128)
            .step_by(2)
            .filter_map(|at| entry.le16(at).ok())
            .take_while(|c| *c != 0)
            .collect();
        let name = clean(&String::from_utf16_lossy(&name));
        out.push(Region {
            name: format!("p{}{}{name}", index + 1, if name.is_empty() { "" } else { "-" }),
            at: first.checked_mul(sector).ok_or(BAD)?,
            len: len.checked_mul(sector).ok_or(BAD)?,
        });
    }
    if out.is_empty() {
        return Err(UnpackError::Corrupt("GPT without partitions"));
    }
    Ok((out, 0..table.saturating_add(count * size)))
}

fn mbr(blob: &Blob) -> Result<Vec<Region>, UnpackError> {
    let mut out = Vec::new();
    let table = blob.exact(446, 66)?;
    for index in 0..4 {
        let entry = table.part(index * 16, 16)?;
        let (kind, first, count) = fields(entry)?;
        if entry[0] & 0x7f != 0 {
            return Err(UnpackError::Corrupt("MBR boot flag"));
        }
        if kind == 0 {
            continue;
        }
        if first == 0 || count == 0 || first * 512 >= blob.len() {
            return Err(UnpackError::Corrupt("MBR partition out of the image"));
        }
        if matches!(kind, 0x05 | 0x0f | 0x85) {
            logical(blob, first, &mut out)?;
        } else {
            out.push(Region { name: format!("p{}", index + 1), at: first * 512, len: count * 512 });
        }
    }
    if out.is_empty() { Err(UnpackError::Corrupt("MBR without partitions")) } else { Ok(out) }
}

fn logical(blob: &Blob, extended: u64, out: &mut Vec<Region>) -> Result<(), UnpackError> {
    let mut at = extended;
    for number in 5..69 {
        let Ok(table) = blob.exact(at * 512 + 446, 66) else { return Ok(()) };
        if table[64..66] != [0x55, 0xaa] {
            return Ok(());
        }
        let (kind, first, count) = fields(&table[..16])?;
        if kind != 0 && count != 0 {
            out.push(Region {
                name: format!("p{number}"),
                at: (at + first) * 512,
                len: count * 512,
            });
        }
        let (kind, next, _) = fields(&table[16..32])?;
        if kind == 0 || next == 0 {
            return Ok(());
        }
        at = extended + next;
    }
    Ok(())
}

fn fields(entry: &[u8]) -> Result<(u8, u64, u64), UnpackError> {
    Ok((entry[4], u64::from(entry.le32(8)?), u64::from(entry.le32(12)?)))
}

const BAD: UnpackError = UnpackError::Corrupt("GPT geometry");
/// A gap in which nothing fits.
const SMALLEST: u64 = 64;
