//! Archives that store members one after the other: tar (ustar, GNU, pax), cpio (newc,
//! crc, odc, old binary) and ar (Debian packages, static libraries).

use super::{Fields, Format, Meta, Sink, Skipped, UnpackError, escapes, text};
use crate::blob::Blob;

pub(super) const FORMATS: &[Format] = &[
    Format {
        name: "cpio",
        about: "cpio archive: newc, crc, odc and old binary (also initramfs)",
        magics: &[(0, b"070701"), (0, b"070702"), (0, b"070707"), (0, OLD_BINARY)],
        carved: true,
        detect: |b| CpioHead::read(b, 0).is_ok(),
        unpack: unpack_cpio,
    },
    Format {
        name: "ar",
        about: "ar archive (Debian package, static library)",
        magics: &[(0, b"!<arch>\n")],
        carved: true,
        detect: |_| true,
        unpack: unpack_ar,
    },
    Format {
        name: "tar",
        about: "tar archive: ustar, GNU and pax",
        magics: &[(257, b"ustar")],
        carved: true,
        detect: |b| TarHead::read(b, 0).is_ok_and(|h| h.is_some()),
        unpack: unpack_tar,
    },
    Format {
        name: "tar",
        about: "tar archive of the seventh edition, which has no magic number",
        magics: &[(345, &[0; 100])],
        carved: false,
        detect: |b| TarHead::read(b, 0).is_ok_and(|h| h.is_some_and(|h| !h.name.is_empty())),
        unpack: unpack_tar,
    },
];

fn unpack_tar(blob: &Blob, sink: &mut dyn Sink) -> Result<u64, UnpackError> {
    let mut at = 0;
    let mut long_name: Option<String> = None;
    let mut long_size: Option<u64> = None;
    let mut zeros = 0;
    while at + 512 <= blob.len() {
        let head = match TarHead::read(blob, at) {
            // What follows is looked through like any other bytes.
            Err(error) if at > 0 => {
                sink.unread("", at, 0, &error);
                return Ok(at);
            }
            head => head?,
        };
        let Some(head) = head else {
            at += 512;
            zeros += 1;
            if zeros == 2 {
                return Ok(padding_after(blob, at));
            }
            continue;
        };
        zeros = 0;
        let data = at + 512;
        let size = if matches!(head.kind, b'x' | b'g' | b'L' | b'K') {
            head.size
        } else {
            long_size.take().unwrap_or(head.size)
        };
        // Old archives tell the size of what a link leads to, without its bytes.
        let size = match head.kind {
            b'1'..=b'6' if matches!(TarHead::read(blob, data), Ok(Some(_))) => 0,
            _ => size,
        };
        let next = data
            .checked_add(size)
            .and_then(|end| end.checked_next_multiple_of(512))
            .ok_or(UnpackError::Corrupt("tar member size"))?;
        match head.kind {
            b'L' | b'x' if size > 1 << 20 => return Err(UnpackError::Bound("tar header size")),
            b'L' => long_name = Some(text(&blob.exact(data, size as usize)?)),
            b'x' => {
                for (key, value) in pax(&blob.exact(data, size as usize)?) {
                    match key.as_str() {
                        "path" => long_name = Some(value),
                        "size" => long_size = value.parse().ok(),
                        _ => {}
                    }
                }
            }
            b'g' | b'K' => {}
            kind => {
                let name = long_name.take().unwrap_or(head.name);
                one(blob, sink, &name, kind, data, size, head.mode)?;
            }
        }
        at = next;
    }
    if at > blob.len() {
        sink.unread("", blob.len(), 0, &UnpackError::Truncated { at: blob.len() });
    }
    Ok(at.min(blob.len()))
}

fn one(
    blob: &Blob,
    sink: &mut dyn Sink,
    name: &str,
    kind: u8,
    data: u64,
    size: u64,
    mode: u32,
) -> Result<(), UnpackError> {
    match kind {
        b'S' => {
            let why = UnpackError::Unsupported("GNU sparse member of a tar archive".into());
            sink.unread(name, data, size, &why);
            return Ok(());
        }
        b'1' | b'2' => sink.skipped(name, Skipped::Symlink),
        b'3' | b'4' | b'6' => sink.skipped(name, Skipped::Special),
        _ => {}
    }
    // A kind that nobody knows is read as a file (POSIX.1-2017, pax), and data is data.
    if size == 0 && !matches!(kind, b'0' | 0 | b'7') {
        return Ok(());
    }
    if escapes(name) {
        sink.skipped(name, Skipped::Escape);
    }
    let body = blob.slice(data, size);
    if body.len() < size {
        let why = UnpackError::Truncated { at: blob.len() };
        sink.unread(name, data, size - body.len(), &why);
    }
    sink.member(name, body, Meta { mode: Some(mode), offset: Some(data), raw: true })
}

fn pax(data: &[u8]) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut rest = data;
    while let Some(space) = rest.iter().position(|&b| b == b' ') {
        let length = std::str::from_utf8(&rest[..space]).ok().and_then(|n| n.parse::<usize>().ok());
        let Some(length) = length.filter(|&n| n > space + 1 && n <= rest.len()) else { break };
        let record = String::from_utf8_lossy(&rest[space + 1..length - 1]).into_owned();
        if let Some((key, value)) = record.split_once('=') {
            out.push((key.to_owned(), value.to_owned()));
        }
        rest = &rest[length..];
    }
    out
}

struct TarHead {
    name: String,
    kind: u8,
    size: u64,
    mode: u32,
}

impl TarHead {
    /// `None` for a block of zeros.
    fn read(blob: &Blob, at: u64) -> Result<Option<Self>, UnpackError> {
        let block = blob.exact(at, 512)?;
        if block.iter().all(|&b| b == 0) {
            return Ok(None);
        }
        let sum: u64 = block
            .iter()
            .enumerate()
            .map(|(i, &b)| if (148..156).contains(&i) { 32 } else { u64::from(b) })
            .sum();
        if octal(&block[148..156]) != Some(sum) {
            return Err(UnpackError::Corrupt("tar header checksum"));
        }
        let mut name = text(&block[..100]);
        let prefix = text(&block[345..500]);
        if &block[257..263] == b"ustar\0" && !prefix.is_empty() {
            name = format!("{prefix}/{name}");
        }
        let size = if block[124] & 0x80 != 0 {
            block.be64(128)?
        } else {
            octal(&block[124..136]).ok_or(UnpackError::Corrupt("tar size"))?
        };
        let mode = octal(&block[100..108]).unwrap_or(0) as u32;
        Ok(Some(Self { name, kind: block[156], size, mode }))
    }
}

fn octal(field: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(field).ok()?;
    let digits = digits.trim_matches(|c| c == ' ' || c == '\0');
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
}

fn unpack_cpio(blob: &Blob, sink: &mut dyn Sink) -> Result<u64, UnpackError> {
    let mut at = 0;
    loop {
        let head = match CpioHead::read(blob, at) {
            // What follows is looked through like any other bytes.
            Err(error) if at > 0 => {
                sink.unread("", at.min(blob.len()), 0, &error);
                return Ok(at.min(blob.len()));
            }
            head => head?,
        };
        if head.name == "TRAILER!!!" {
            return Ok(padding_after(blob, head.next.min(blob.len())));
        }
        match head.mode & 0o170_000 {
            0o100_000 => {
                if escapes(&head.name) {
                    sink.skipped(&head.name, Skipped::Escape);
                }
                let body = blob.slice(head.data, head.size);
                if body.len() < head.size {
                    let why = UnpackError::Truncated { at: blob.len() };
                    sink.unread(&head.name, head.data, head.size - body.len(), &why);
                }
                let meta =
                    Meta { mode: Some(head.mode & 0o7777), offset: Some(head.data), raw: true };
                sink.member(&head.name, body, meta)?;
            }
            0o120_000 => sink.skipped(&head.name, Skipped::Symlink),
            0o040_000 => {}
            _ => sink.skipped(&head.name, Skipped::Special),
        }
        at = head.next;
    }
}

struct CpioHead {
    name: String,
    mode: u32,
    size: u64,
    data: u64,
    next: u64,
}

impl CpioHead {
    fn read(blob: &Blob, at: u64) -> Result<Self, UnpackError> {
        let head = blob.bytes(at, 110);
        let (mode, size, name_size, header, align) =
            if head.starts_with(b"07070") && matches!(head.get(5), Some(b'1' | b'2')) {
                let field = |n: usize| hex8(&head, 6 + 8 * n);
                (field(1)?, u64::from(field(6)?), field(11)?, 110, 4)
            } else if head.starts_with(b"070707") {
                let field = |from: usize, len: usize| {
                    head.part(from, len)
                        .and_then(|f| octal(f).ok_or(UnpackError::Corrupt("cpio field")))
                };
                (field(18, 6)? as u32, field(65, 11)?, field(59, 6)? as u32, 76, 1)
            } else if head.starts_with(OLD_BINARY) {
                let size = u64::from(head.le16(22)?) << 16 | u64::from(head.le16(24)?);
                (u32::from(head.le16(6)?), size, u32::from(head.le16(20)?), 26, 2)
            } else {
                return Err(UnpackError::Corrupt("cpio header"));
            };
        if name_size == 0 || name_size > 4096 {
            return Err(UnpackError::Corrupt("cpio name size"));
        }
        let raw = blob.exact(at + header, name_size as usize)?;
        // Two bytes of magic stand in random data now and then: the rest must make sense.
        let sound = raw.split_last().is_some_and(|(end, name)| {
            *end == 0 && name.iter().all(|b| (0x20..0x7f).contains(b) || *b >= 0x80)
        });
        let kind = mode >> 12 & 0o17;
        if head.starts_with(OLD_BINARY)
            && (!sound || !matches!(kind, 0 | 1 | 2 | 4 | 6 | 8 | 10 | 12))
        {
            return Err(UnpackError::Corrupt("cpio name or mode"));
        }
        let name = text(&raw);
        let data = (at + header + u64::from(name_size)).next_multiple_of(align);
        let next = data
            .checked_add(size)
            .and_then(|end| end.checked_next_multiple_of(align))
            .ok_or(UnpackError::Corrupt("cpio member size"))?;
        if mode & 0o170_000 == 0 && name != "TRAILER!!!" {
            return Err(UnpackError::Corrupt("cpio mode"));
        }
        Ok(Self { name, mode, size, data, next })
    }
}

fn hex8(head: &[u8], at: usize) -> Result<u32, UnpackError> {
    let digits = std::str::from_utf8(head.part(at, 8)?).map_err(|_| BAD_HEX)?;
    u32::from_str_radix(digits, 16).map_err(|_| BAD_HEX)
}

fn unpack_ar(blob: &Blob, sink: &mut dyn Sink) -> Result<u64, UnpackError> {
    let mut at = 8;
    let mut names: Vec<u8> = Vec::new();
    while at + 60 <= blob.len() {
        let head = blob.exact(at, 60)?;
        if &head[58..60] != b"`\n" {
            break;
        }
        let field =
            |from: usize, to: usize| String::from_utf8_lossy(&head[from..to]).trim_end().to_owned();
        let size: u64 =
            field(48, 58).parse().map_err(|_| UnpackError::Corrupt("ar member size"))?;
        let raw = field(0, 16);
        let data = at + 60;
        if raw == "//" && size <= sink.limits().table_bytes as u64 {
            names = blob.exact(data, size as usize)?;
        } else if raw != "/" && raw != "/SYM64/" {
            let long = raw.strip_prefix('/').and_then(|n| n.parse::<usize>().ok());
            let name = match long.and_then(|from| names.get(from..)) {
                Some(rest) => {
                    let end = rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
                    text(&rest[..end])
                }
                None => raw,
            };
            let mode = u32::from_str_radix(&field(40, 48), 8).ok();
            let name = name.trim_end_matches('/');
            let body = blob.slice(data, size);
            if body.len() < size {
                let why = UnpackError::Truncated { at: blob.len() };
                sink.unread(name, data, size - body.len(), &why);
            }
            sink.member(name, body, Meta { mode, offset: Some(data), raw: true })?;
        }
        at = match data.checked_add(size) {
            Some(end) => end + (end & 1),
            None => return Err(UnpackError::Corrupt("ar member size")),
        };
    }
    Ok(at.min(blob.len()))
}

/// Skips the zero blocks that pad archives.
fn padding_after(blob: &Blob, mut at: u64) -> u64 {
    while at < blob.len() {
        let block = blob.bytes(at, 512);
        if block.iter().any(|&b| b != 0) {
            break;
        }
        at += block.len() as u64;
    }
    at
}

const OLD_BINARY: &[u8] = &[0xc7, 0x71];
const BAD_HEX: UnpackError = UnpackError::Corrupt("cpio field");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_bytes_of_magic_in_random_data_are_no_cpio_archive() {
        let head = |mode: u16, name: &[u8]| {
            let mut fields = [0u16; 13];
            (fields[0], fields[3], fields[10]) = (0x71c7, mode, name.len() as u16);
            let mut out: Vec<u8> = fields.iter().flat_map(|f| f.to_le_bytes()).collect();
            out.extend_from_slice(name);
            out.resize(512, 0);
            CpioHead::read(&Blob::from_vec(out), 0).is_ok()
        };
        assert!(head(0o100_644, b"etc/shadow\0"));
        assert!(head(0o040_755, b".\0"));
        assert!(!head(0o100_644, b"e\x01\xc3\x17w\0"));
        assert!(!head(0o100_644, b"etc/shadow"));
        assert!(!head(0o170_644, b"etc/shadow\0"));
    }
}
