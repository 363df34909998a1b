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
    match directory(blob) {
        Ok(directory) => {
            for entry in entries(blob, &directory, sink)? {
                member(blob, sink, directory.base, &entry)?;
            }
            Ok(directory.end)
        }
        // A carved or cut archive: what the local headers tell.
        Err(why) => {
            let end = stream(blob, sink)?;
            sink.unread("", end, blob.len() - end, &why);
            Ok(end)
        }
    }
}

struct Directory {
    /// Where offsets of the directory count from: bytes may come before the archive.
    base: u64,
    start: u64,
    count: u64,
    end: u64,
}

fn directory(blob: &Blob) -> Result<Directory, UnpackError> {
    let window = blob.len().min(66_000);
    let from = blob.len() - window;
    let tail = blob.bytes(from, window as usize);
    let at = memchr::memmem::rfind(&tail, b"PK\x05\x06")
        .ok_or(UnpackError::Corrupt("no ZIP central directory"))?;
    let mut count = u64::from(tail.le16(at + 10)?);
    let mut size = u64::from(tail.le32(at + 12)?);
    let mut offset = u64::from(tail.le32(at + 16)?);
    let end = from + at as u64 + 22 + u64::from(tail.le16(at + 20)?);
    let mut directory_end = from + at as u64;
    if at >= 20 && tail.part(at - 20, 4)? == b"PK\x06\x07" {
        let record = blob.exact(tail.le64(at - 12)?, 56)?;
        count = record.le64(32)?;
        size = record.le64(40)?;
        offset = record.le64(48)?;
        directory_end = tail.le64(at - 12)?;
    }
    let start = directory_end.checked_sub(size).ok_or(BAD)?;
    let base = start.checked_sub(offset).ok_or(BAD)?;
    Ok(Directory { base, start, count, end: end.min(blob.len()) })
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

fn entries(blob: &Blob, directory: &Directory, sink: &dyn Sink) -> Result<Vec<Entry>, UnpackError> {
    let mut out = Vec::new();
    let mut at = directory.start;
    for _ in 0..directory.count.min(sink.limits().members) {
        let head = blob.exact(at, 46)?;
        if head.part(0, 4)? != b"PK\x01\x02" {
            return Err(UnpackError::Corrupt("ZIP directory entry"));
        }
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
    Ok(out)
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

fn member(blob: &Blob, sink: &mut dyn Sink, base: u64, entry: &Entry) -> Result<(), UnpackError> {
    if entry.name.ends_with('/') {
        return Ok(());
    }
    let header = base.checked_add(entry.offset).ok_or(BAD)?;
    let local = match blob.exact(header, 30) {
        Ok(local) if local.starts_with(b"PK\x03\x04") => local,
        _ => {
            sink.unread(&entry.name, header, entry.packed, &BAD);
            return Ok(());
        }
    };
    let data = header + 30 + u64::from(local.le16(26)?) + u64::from(local.le16(28)?);
    extract(blob, sink, entry, data)
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
    while let Ok(head) = blob.exact(at, 30) {
        if !head.starts_with(b"PK\x03\x04") || count > sink.limits().members {
            break;
        }
        let name_len = u64::from(head.le16(26)?);
        let data = at + 30 + name_len + u64::from(head.le16(28)?);
        let entry = Entry {
            name: text(&blob.exact(at + 30, name_len as usize)?),
            flags: head.le16(6)?,
            method: head.le16(8)?,
            packed: u64::from(head.le32(18)?),
            plain: u64::from(head.le32(22)?),
            offset: at,
            mode: None,
        };
        // Sizes that come after the data cannot be followed without the directory.
        if entry.flags & 8 != 0 && entry.packed == 0 {
            break;
        }
        if !entry.name.ends_with('/') {
            extract(blob, sink, &entry, data)?;
        }
        at = data.checked_add(entry.packed).ok_or(BAD)?;
        count += 1;
    }
    if count == 0 {
        return Err(UnpackError::Corrupt("no readable ZIP member"));
    }
    Ok(at.min(blob.len()))
}

const BAD: UnpackError = UnpackError::Corrupt("ZIP offsets");
