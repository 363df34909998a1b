//! Firmware as text or blocks: Intel HEX, Motorola S-records, UF2.

use std::io::Write;

use super::{Fields, Format, Meta, Sink, UnpackError};
use crate::blob::{Blob, Spool};

pub(super) const FORMATS: &[Format] = &[
    Format {
        name: "intel-hex",
        about: "Intel HEX",
        magics: &[(0, b":")],
        carved: false,
        detect: |b| {
            first_lines(b).is_some_and(|lines| lines.iter().all(|l| hex_record(l).is_some()))
        },
        unpack: |b, s| {
            text_records(b, s, |line, image| {
                let (kind, address, data) =
                    hex_record(line).ok_or(UnpackError::Corrupt("HEX record"))?;
                match kind {
                    0 => image.put(image.base + address, &data),
                    2 => image.base = u64::from(data.be16(0)?) << 4,
                    4 => image.base = u64::from(data.be16(0)?) << 16,
                    _ => {}
                }
                Ok(kind != 1)
            })
        },
    },
    Format {
        name: "srec",
        about: "Motorola S-records",
        magics: &[(0, b"S0"), (0, b"S1"), (0, b"S2"), (0, b"S3")],
        carved: false,
        detect: |b| first_lines(b).is_some_and(|lines| lines.iter().all(|l| s_record(l).is_some())),
        unpack: |b, s| {
            text_records(b, s, |line, image| {
                let (kind, address, data) =
                    s_record(line).ok_or(UnpackError::Corrupt("S-record"))?;
                if (1..=3).contains(&kind) {
                    image.put(address, &data);
                }
                Ok(kind < 7)
            })
        },
    },
    Format {
        name: "uf2",
        about: "UF2",
        magics: &[(0, b"UF2\n")],
        carved: true,
        detect: |b| b.exact(0, 512).is_ok_and(|h| h.le32(4) == Ok(0x9e5d_5157)),
        unpack: unpack_uf2,
    },
];

/// Runs of bytes by their address.
#[derive(Default)]
struct Memory {
    base: u64,
    runs: Vec<(u64, Vec<u8>)>,
    bytes: u64,
}

impl Memory {
    fn put(&mut self, address: u64, data: &[u8]) {
        self.bytes += data.len() as u64;
        match self.runs.last_mut() {
            Some((start, run)) if *start + run.len() as u64 == address => {
                run.extend_from_slice(data)
            }
            _ => self.runs.push((address, data.to_vec())),
        }
    }

    /// Delivers contiguous pieces; small gaps are filled as erased flash.
    fn deliver(mut self, sink: &mut dyn Sink) -> Result<(), UnpackError> {
        self.runs.sort_by_key(|(at, _)| *at);
        let mut runs = self.runs.into_iter().peekable();
        while let Some((start, run)) = runs.next() {
            let mut out = Spool::default();
            out.write_all(&run)?;
            while let Some((next, _)) = runs.peek() {
                let end = start + out.len();
                if *next > end + GAP {
                    break;
                }
                let gap = next.saturating_sub(end);
                out.write_all(&vec![0xff; gap as usize])?;
                if let Some((_, more)) = runs.next() {
                    out.write_all(&more)?;
                }
            }
            let meta = Meta { mode: None, offset: Some(start), raw: false };
            sink.member(&format!("/0x{start:08x}"), out.finish(), meta)?;
        }
        Ok(())
    }
}

fn text_records(
    blob: &Blob,
    sink: &mut dyn Sink,
    mut take: impl FnMut(&[u8], &mut Memory) -> Result<bool, UnpackError>,
) -> Result<u64, UnpackError> {
    use std::io::BufRead;
    if blob.len() > MEMORY_LIMIT * 3 {
        return Err(UnpackError::Bound("size of a text image"));
    }
    sink.charge(blob.len())?;
    let mut memory = Memory::default();
    let mut reader = blob.reader(0);
    let mut line = Vec::new();
    let mut problem = None;
    loop {
        line.clear();
        if (&mut reader as &mut dyn BufRead).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let trimmed = line.trim_ascii();
        if trimmed.is_empty() {
            continue;
        }
        match take(trimmed, &mut memory) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                problem = Some(error);
                break;
            }
        }
    }
    let at = reader.position();
    if let Some(error) = problem {
        sink.unread("", at, blob.len() - at, &error);
    }
    memory.deliver(sink)?;
    let rest = blob.bytes(at, 64);
    Ok(if rest.iter().all(u8::is_ascii_whitespace) { blob.len() } else { at })
}

fn first_lines(blob: &Blob) -> Option<Vec<Vec<u8>>> {
    let head = blob.bytes(0, 2048);
    let complete = head.len() < 2048;
    let mut lines: Vec<Vec<u8>> = head
        .split(|&b| b == b'\n')
        .map(|l| l.trim_ascii().to_vec())
        .filter(|l| !l.is_empty())
        .collect();
    if !complete {
        lines.pop();
    }
    lines.truncate(4);
    (!lines.is_empty()).then_some(lines)
}

fn hex_record(line: &[u8]) -> Option<(u8, u64, Vec<u8>)> {
    let raw = hex::decode(line.strip_prefix(b":")?).ok()?;
    let count = usize::from(*raw.first()?);
    let sum = raw.iter().fold(0u8, |sum, b| sum.wrapping_add(*b));
    (raw.len() == count + 5 && sum == 0)
        .then(|| (raw[3], u64::from(raw[1]) << 8 | u64::from(raw[2]), raw[4..4 + count].to_vec()))
}

fn s_record(line: &[u8]) -> Option<(u8, u64, Vec<u8>)> {
    let kind = line.get(1)?.checked_sub(b'0').filter(|k| *k <= 9)?;
    let raw = hex::decode(line.strip_prefix(b"S")?.get(1..)?).ok()?;
    let count = usize::from(*raw.first()?);
    let address = match kind {
        2 | 6 | 8 => 3,
        3 | 7 => 4,
        _ => 2,
    };
    let sum = raw.iter().fold(0u8, |sum, b| sum.wrapping_add(*b));
    if raw.len() != count + 1 || sum != 0xff || count < address + 1 {
        return None;
    }
    let at = raw[1..=address].iter().fold(0u64, |at, b| at << 8 | u64::from(*b));
    Some((kind, at, raw[1 + address..count].to_vec()))
}

fn unpack_uf2(blob: &Blob, sink: &mut dyn Sink) -> Result<u64, UnpackError> {
    let mut memory = Memory::default();
    let mut at = 0;
    while let Ok(block) = blob.exact(at, 512) {
        if !block.starts_with(b"UF2\n") {
            break;
        }
        let size = block.le32(16)? as usize;
        if memory.bytes > MEMORY_LIMIT {
            return Err(UnpackError::Bound("size of a UF2 image"));
        }
        // Blocks that are not for main flash are comments.
        if block.le32(8)? & 1 == 0 {
            let data = block.part(32, size.min(476))?;
            sink.charge(data.len() as u64)?;
            memory.put(u64::from(block.le32(12)?), data);
        }
        at += 512;
    }
    memory.deliver(sink)?;
    Ok(at)
}

const GAP: u64 = 64 << 10;
const MEMORY_LIMIT: u64 = 40 << 20;
