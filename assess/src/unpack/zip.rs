//! ZIP archives (also jar, apk, aar), by their central directory; zip64 sizes are read.

use super::{Fields, Format, Meta, Sink, Skipped, UnpackError, escapes, spool, text};
use crate::blob::Blob;

pub(super) const FORMATS: &[Format] = &[Format {
    name: "zip",
    about: "ZIP archive: stored, deflate, bzip2, zstd and xz members; zip64",
    magics: &[(0, b"PK\x03\x04")],
    carved: true,
    detect: |b| b.bytes(4, 22).le16(0).is_ok_and(|v| v & 0xff <= 63),
    unpack,
}];

fn unpack(blob: &Blob, sink: &mut dyn Sink) -> Result<u64, UnpackError> {
    // The directory that the local headers lead to is the archive's own; one found from the end
    // may be that of another archive behind it.
    let found = match followed(blob) {
        Some(at) => entries(blob, at, sink).map(|(entries, end)| (entries, 0, at..end)),
        None => from_the_end(blob, sink),
    };
    match found {
        Ok((entries, shift, directory)) => {
            let mut known = vec![(directory.start, directory.end)];
            for entry in &entries {
                known.push(member(blob, sink, shift, entry)?);
            }
            between(blob, sink, known, directory.end)?;
            Ok(directory.end)
        }
        // A carved or cut archive: what the local headers tell.
        Err(why) => {
            let end = stream(blob, sink)?;
            sink.unread("", end, 0, &why);
            Ok(end)
        }
    }
}

/// Where the directory starts, when the local headers stand one behind the other up to it.
fn followed(blob: &Blob) -> Option<u64> {
    let mut at = 0;
    loop {
        let head = blob.exact(at, 4).ok()?;
        match head.as_slice() {
            b"PK\x03\x04" => {}
            b"PK\x01\x02" => return Some(at),
            // Archive extra data and the signing block of Android packages have no length here.
            _ => return None,
        }
        let (entry, data) = local(blob, at).ok()?;
        at = if entry.flags & 8 != 0 && entry.packed == 0 {
            after_descriptor(blob, data)?
        } else {
            data.checked_add(entry.packed)?
        };
        if entry.flags & 8 != 0 && !starts_record(blob, at) {
            at = after_descriptor(blob, at)?;
        }
    }
}

fn starts_record(blob: &Blob, at: u64) -> bool {
    matches!(blob.bytes(at, 4).as_slice(), b"PK\x03\x04" | b"PK\x01\x02")
}

/// The next record from `from`, over data whose length stands behind it.
fn after_descriptor(blob: &Blob, mut from: u64) -> Option<u64> {
    while from < blob.len() {
        let chunk = blob.bytes(from, 1 << 20);
        let next = memchr::memmem::find_iter(&chunk, b"PK")
            .find(|at| matches!(chunk.get(at + 2..at + 4), Some(b"\x03\x04" | b"\x01\x02")));
        if let Some(next) = next {
            return Some(from + next as u64);
        }
        from += (chunk.len().max(4) - 3) as u64;
    }
    None
}

/// Entries, what to add to their offsets, and where the directory lies.
type Found = (Vec<Entry>, i128, std::ops::Range<u64>);

/// The directory by its end record, near the end of the blob.
fn from_the_end(blob: &Blob, sink: &dyn Sink) -> Result<Found, UnpackError> {
    let window = blob.len().min(66_000);
    let from = blob.len() - window;
    let tail = blob.bytes(from, window as usize);
    let at = memchr::memmem::rfind(&tail, b"PK\x05\x06")
        .ok_or(UnpackError::Corrupt("no ZIP central directory"))?;
    let mut size = u64::from(tail.le32(at + 12)?);
    let mut offset = u64::from(tail.le32(at + 16)?);
    let mut directory_end = from + at as u64;
    if at >= 20 && tail.part(at - 20, 4)? == b"PK\x06\x07" {
        let record = blob.exact(tail.le64(at - 12)?, 56)?;
        size = record.le64(40)?;
        offset = record.le64(48)?;
        directory_end = tail.le64(at - 12)?;
    }
    let start = directory_end.checked_sub(size).ok_or(BAD)?;
    // Offsets may count from before this blob, or from within it.
    let shift = i128::from(start) - i128::from(offset);
    let (entries, end) = entries(blob, start, sink)?;
    if !entries.iter().any(|e| i128::from(e.offset) + shift == 0) {
        return Err(UnpackError::Corrupt("ZIP directory of another archive"));
    }
    Ok((entries, shift, start..end))
}

/// Hands on what lies between the members and no directory names.
fn between(
    blob: &Blob,
    sink: &mut dyn Sink,
    mut known: Vec<(u64, u64)>,
    end: u64,
) -> Result<(), UnpackError> {
    known.sort_unstable();
    let mut done = 0;
    for (from, to) in known {
        // A descriptor and padding are no more than that.
        if from > done + 512 && from <= end {
            let meta = Meta { mode: None, offset: Some(done), raw: true };
            sink.member(&format!("(gap 0x{done:x})"), blob.slice(done, from - done), meta)?;
        }
        done = done.max(to);
    }
    Ok(())
}

struct Entry {
    name: String,
    flags: u16,
    method: u16,
    packed: u64,
    plain: u64,
    offset: u64,
    mode: Option<u32>,
}

/// The entries of the directory at `start`, and where the archive ends.
fn entries(blob: &Blob, start: u64, sink: &dyn Sink) -> Result<(Vec<Entry>, u64), UnpackError> {
    let mut out = Vec::new();
    let mut at = start;
    while blob.bytes(at, 4) == b"PK\x01\x02" {
        if out.len() as u64 >= sink.limits().members {
            return Err(UnpackError::Bound("members"));
        }
        let head = blob.exact(at, 46)?;
        let name_len = usize::from(head.le16(28)?);
        let extra_len = usize::from(head.le16(30)?);
        let names = blob.exact(at + 46, name_len + extra_len)?;
        let mut entry = Entry {
            name: text(&names[..name_len]),
            flags: head.le16(8)?,
            method: head.le16(10)?,
            packed: u64::from(head.le32(20)?),
            plain: u64::from(head.le32(24)?),
            offset: u64::from(head.le32(42)?),
            mode: (head[5] == 3).then_some(head.le32(38)? >> 16).filter(|m| *m != 0),
        };
        zip64(&names[name_len..], &mut entry);
        out.push(entry);
        at += 46 + (name_len + extra_len) as u64 + u64::from(head.le16(32)?);
    }
    if out.is_empty() {
        return Err(UnpackError::Corrupt("ZIP directory entry"));
    }
    // Signature, zip64 record and locator, end record with a comment: each may be missing.
    for (magic, size_at, wide, fixed) in [
        (b"PK\x05\x05", 4, 2, 6),
        (b"PK\x06\x06", 4, 8, 12),
        (b"PK\x06\x07", 0, 0, 20),
        (b"PK\x05\x06", 20, 2, 22),
    ] {
        if blob.bytes(at, 4) == *magic {
            let size = blob.bytes(at + size_at, wide);
            let more = size.iter().rev().fold(0u64, |size, b| size << 8 | u64::from(*b));
            at = at.saturating_add(more).saturating_add(fixed);
        }
    }
    Ok((out, at.min(blob.len())))
}

fn zip64(mut extra: &[u8], entry: &mut Entry) {
    while let (Ok(id), Ok(len)) = (extra.le16(0), extra.le16(2)) {
        let Ok(body) = extra.part(4, usize::from(len)) else { return };
        if id == 1 {
            let mut at = 0;
            for field in [&mut entry.plain, &mut entry.packed, &mut entry.offset] {
                if *field == u64::from(u32::MAX) {
                    let Ok(value) = body.le64(at) else { return };
                    *field = value;
                    at += 8;
                }
            }
        }
        extra = &extra[4 + usize::from(len)..];
    }
}

/// Hands a member on; returns where its header starts and its data ends.
fn member(
    blob: &Blob,
    sink: &mut dyn Sink,
    shift: i128,
    entry: &Entry,
) -> Result<(u64, u64), UnpackError> {
    let header = u64::try_from(i128::from(entry.offset) + shift).map_err(|_| BAD)?;
    let data = match blob.exact(header, 30) {
        Ok(head) if head.starts_with(b"PK\x03\x04") => {
            header + 30 + u64::from(head.le16(26)?) + u64::from(head.le16(28)?)
        }
        _ => {
            sink.unread(&entry.name, header, entry.packed.min(blob.len()), &BAD);
            return Ok((header, header));
        }
    };
    if !entry.name.ends_with('/') {
        extract(blob, sink, entry, data)?;
    }
    Ok((header, data.saturating_add(entry.packed)))
}

/// What a local header says, and where its data starts.
fn local(blob: &Blob, at: u64) -> Result<(Entry, u64), UnpackError> {
    let head = blob.exact(at, 30)?;
    let name_len = usize::from(head.le16(26)?);
    let extra_len = usize::from(head.le16(28)?);
    let names = blob.exact(at + 30, name_len + extra_len)?;
    let mut entry = Entry {
        name: text(&names[..name_len]),
        flags: head.le16(6)?,
        method: head.le16(8)?,
        packed: u64::from(head.le32(18)?),
        plain: u64::from(head.le32(22)?),
        offset: 0,
        mode: None,
    };
    zip64(&names[name_len..], &mut entry);
    Ok((entry, at + 30 + (name_len + extra_len) as u64))
}

fn extract(blob: &Blob, sink: &mut dyn Sink, entry: &Entry, data: u64) -> Result<(), UnpackError> {
    if entry.mode.is_some_and(|m| m & 0o170_000 == 0o120_000) {
        sink.skipped(&entry.name, Skipped::Symlink);
        return Ok(());
    }
    if escapes(&entry.name) {
        sink.skipped(&entry.name, Skipped::Escape);
    }
    let packed = blob.slice(data, entry.packed);
    if packed.len() < entry.packed {
        let why = UnpackError::Truncated { at: blob.len() };
        sink.unread(&entry.name, data, entry.packed - packed.len(), &why);
    }
    let mode = entry.mode.map(|m| m & 0o7777);
    if entry.flags & 1 != 0 {
        let why = UnpackError::Unsupported("encrypted ZIP member".into());
        sink.unread(&entry.name, data, packed.len(), &why);
        return Ok(());
    }
    let reader = packed.reader(0);
    let (out, problem) = match entry.method {
        0 => {
            let meta = Meta { mode, offset: Some(data), raw: true };
            return sink.member(&entry.name, packed, meta);
        }
        8 => spool(&mut flate2::bufread::DeflateDecoder::new(reader), sink)?,
        12 => spool(&mut bzip2::bufread::BzDecoder::new(reader), sink)?,
        95 => spool(&mut lzma_rust2::XzReader::new_mem_limit(reader, false, 66 << 10), sink)?,
        93 => match ruzstd::decoding::StreamingDecoder::new(reader) {
            Ok(mut decoder) => spool(&mut decoder, sink)?,
            Err(_) => {
                let why = UnpackError::Corrupt("zstd frame header");
                sink.unread(&entry.name, data, packed.len(), &why);
                return Ok(());
            }
        },
        other => {
            let why = UnpackError::Unsupported(format!("ZIP method {other}"));
            sink.unread(&entry.name, data, packed.len(), &why);
            return Ok(());
        }
    };
    if let Some(error) = problem {
        sink.unread(&entry.name, data, packed.len(), &error);
    }
    if out.is_empty() && entry.plain > 0 {
        return Ok(());
    }
    sink.member(&entry.name, out, Meta { mode, offset: Some(data), raw: false })
}

/// Reads local headers one after the other, for an archive without its directory.
fn stream(blob: &Blob, sink: &mut dyn Sink) -> Result<u64, UnpackError> {
    let mut at = 0;
    let mut count = 0;
    while blob.bytes(at, 4) == b"PK\x03\x04" && count <= sink.limits().members {
        let Ok((mut entry, data)) = local(blob, at) else { break };
        let mut next = data.checked_add(entry.packed).ok_or(BAD)?;
        if entry.flags & 8 != 0 && entry.packed == 0 {
            // Its size comes after the data: up to the next record, or to the end of what is here.
            next = after_descriptor(blob, data).unwrap_or(blob.len());
            entry.packed = next - data;
        } else if entry.flags & 8 != 0 && !starts_record(blob, next) {
            next = after_descriptor(blob, next).unwrap_or(next);
        }
        if !entry.name.ends_with('/') {
            extract(blob, sink, &entry, data)?;
        }
        at = next;
        count += 1;
    }
    if count == 0 {
        return Err(UnpackError::Corrupt("no readable ZIP member"));
    }
    Ok(at.min(blob.len()))
}

const BAD: UnpackError = UnpackError::Corrupt("ZIP offsets");
