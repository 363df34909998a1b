//! ESP-IDF: whole-flash dumps by their partition table, and application images.

use super::{
    Fact, Fields, Format, Meta, Sink, UnpackError,
    partition::{Region, regions},
    text,
};
use crate::blob::Blob;

pub(super) const FORMATS: &[Format] = &[
    Format {
        name: "esp-flash",
        about: "ESP-IDF flash dump: partition table at 0x8000, 0x9000 or 0x10000",
        magics: &[(0x8000, &[0xaa, 0x50]), (0x9000, &[0xaa, 0x50]), (0x10000, &[0xaa, 0x50])],
        carved: false,
        detect: |b| table(b).is_ok(),
        unpack: |b, s| {
            let (found, at) = table(b)?;
            regions(b, s, found, at..at + TABLE)
        },
    },
    Format {
        name: "esp-partitions",
        about: "ESP-IDF partition table on its own",
        magics: &[(0, &[0xaa, 0x50])],
        carved: false,
        detect: |b| entries(b, 0).is_ok_and(|e| e.len() > 1) && b.len() <= 0x1000,
        unpack: |b, _| Ok(b.len()),
    },
    Format {
        name: "esp-image",
        about: "ESP-IDF application or boot loader image",
        magics: &[(0, &[0xe9])],
        carved: false,
        detect: |b| segments(b).is_ok(),
        unpack: unpack_image,
    },
];

fn table(blob: &Blob) -> Result<(Vec<Region>, u64), UnpackError> {
    for at in [0x8000, 0x9000, 0x10000] {
        if let Ok(found) = entries(blob, at) {
            return Ok((found, at));
        }
    }
    Err(UnpackError::Corrupt("ESP partition table"))
}

fn entries(blob: &Blob, table: u64) -> Result<Vec<Region>, UnpackError> {
    let mut out = Vec::new();
    for index in 0..96 {
        let entry = blob.exact(table + index * 32, 32)?;
        if entry[..2] != [0xaa, 0x50] {
            break;
        }
        let (at, len) = (u64::from(entry.le32(4)?), u64::from(entry.le32(8)?));
        if at % 0x1000 != 0 || len == 0 || at < 0x1000 {
            return Err(UnpackError::Corrupt("ESP partition"));
        }
        out.push(Region { name: text(&entry[12..28]), at, len });
    }
    if out.is_empty() { Err(UnpackError::Corrupt("ESP partition table")) } else { Ok(out) }
}

struct Segments {
    parts: Vec<(u32, u64, u64)>,
    end: u64,
    hashed: bool,
}

fn segments(blob: &Blob) -> Result<Segments, UnpackError> {
    let head = blob.exact(0, 24)?;
    let count = usize::from(head[1]);
    if count == 0 || count > 16 || head[2] > 5 || head[23] > 1 {
        return Err(UnpackError::Corrupt("ESP image header"));
    }
    let mut at = 24;
    let mut parts = Vec::new();
    for _ in 0..count {
        let segment = blob.exact(at, 8)?;
        let len = u64::from(segment.le32(4)?);
        at += 8;
        if len > 16 << 20 || at + len > blob.len() {
            return Err(UnpackError::Truncated { at });
        }
        parts.push((segment.le32(0)?, at, len));
        at += len;
    }
    // A checksum byte ends a block of 16; a SHA-256 may follow.
    let end = (at + 1).next_multiple_of(16) + if head[23] == 1 { 32 } else { 0 };
    Ok(Segments { parts, end, hashed: head[23] == 1 })
}

fn unpack_image(blob: &Blob, sink: &mut dyn Sink) -> Result<u64, UnpackError> {
    let image = segments(blob)?;
    // Secure boot v2 puts its block of 4 KiB at the next 4 KiB boundary.
    let block = image.end.next_multiple_of(4096);
    let signed = blob.bytes(block, 2) == [0xe7, 0x02];
    sink.fact(Fact::EspImage { hashed: image.hashed, signed });
    for (address, at, len) in image.parts {
        let meta = Meta { mode: None, offset: Some(at), raw: true };
        sink.member(&format!("/0x{address:08x}"), blob.slice(at, len), meta)?;
    }
    Ok(if signed { block + 4096 } else { image.end }.min(blob.len()))
}

/// Bytes of a partition table.
const TABLE: u64 = 0xc00;
