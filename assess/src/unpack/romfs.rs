//! romfs, as the Linux kernel's documentation describes it.

use super::{Fields, Format, Meta, Sink, Skipped, UnpackError, text};
use crate::blob::Blob;

pub(super) const FORMATS: &[Format] = &[Format {
    name: "romfs",
    about: "romfs",
    magics: &[(0, b"-rom1fs-")],
    carved: true,
    // The magic number alone stands in every program that knows romfs.
    detect: |b| size(b).is_ok_and(|s| s >= 32 && checksum_fits(b, s)),
    unpack: |b, s| {
        let end = size(b)?.min(b.len());
        let image = b.slice(0, end);
        let (_, first) = name(&image, 16)?;
        let mut seen = 0;
        walk(&image, s, first, "", 0, &mut seen)?;
        // genromfs pads to 1 KiB.
        Ok(end.next_multiple_of(1024).min(b.len()))
    },
}];

fn size(blob: &Blob) -> Result<u64, UnpackError> {
    Ok(u64::from(blob.exact(0, 16)?.be32(8)?))
}

/// The words of the first 512 bytes, or of all when there are fewer, add up to zero.
fn checksum_fits(blob: &Blob, size: u64) -> bool {
    let head = blob.bytes(0, size.min(512) as usize);
    let words = head.chunks_exact(4).filter_map(|word| word.be32(0).ok());
    words.fold(0u32, u32::wrapping_add) == 0
}

fn walk(
    image: &Blob,
    sink: &mut dyn Sink,
    mut at: u64,
    path: &str,
    depth: u32,
    seen: &mut u64,
) -> Result<(), UnpackError> {
    if depth > 64 {
        sink.unread(path, at, 0, &UnpackError::Bound("directory depth"));
        return Ok(());
    }
    while at != 0 {
        *seen += 1;
        // Each header takes at least 32 bytes: more steps than that means a cycle.
        if *seen > sink.limits().members.min(image.len() / 32) {
            return Err(UnpackError::Corrupt("romfs cycle"));
        }
        let head = image.exact(at, 16)?;
        let next = head.be32(0)?;
        let spec = u64::from(head.be32(4)?);
        let size = u64::from(head.be32(8)?);
        let (name, data) = name(image, at + 16)?;
        let full = format!("{path}/{name}");
        match next & 7 {
            1 if name != "." && name != ".." => {
                walk(image, sink, spec & !15, &full, depth + 1, seen)?;
            }
            2 => {
                let mode = if next & 8 != 0 { 0o755 } else { 0o644 };
                let body = image.slice(data, size);
                if body.len() < size {
                    sink.unread(
                        &full,
                        data,
                        size - body.len(),
                        &UnpackError::Truncated { at: image.len() },
                    );
                }
                let meta = Meta { mode: Some(mode), offset: Some(data), raw: true };
                sink.member(&full, body, meta)?;
            }
            3 => sink.skipped(&full, Skipped::Symlink),
            0 | 1 => {}
            _ => sink.skipped(&full, Skipped::Special),
        }
        at = u64::from(next & !15);
    }
    Ok(())
}

/// A name padded to 16 bytes and the offset after it.
fn name(image: &Blob, at: u64) -> Result<(String, u64), UnpackError> {
    let raw = image.bytes(at, 512);
    let end = raw.iter().position(|&b| b == 0).ok_or(UnpackError::Corrupt("romfs name"))?;
    Ok((text(&raw), at + (end as u64 + 1).next_multiple_of(16)))
}
