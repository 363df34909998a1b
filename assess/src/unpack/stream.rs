//! Single compressed streams: gzip (RFC 1952), zlib (RFC 1950), xz, lzma, zstd
//! (RFC 8878), lz4 frames (also the legacy one of kernels), bzip2, lzop.

use std::io::Read;

use flate2::bufread::{GzDecoder, ZlibDecoder};
use lzma_rust2::{LzmaReader, XzReader};

use super::{Fields, Format, Meta, Sink, UnpackError, lzo, spool};
use crate::blob::{Blob, BlobReader};

pub(super) const FORMATS: &[Format] = &[
    Format {
        name: "gzip",
        about: "gzip stream (RFC 1952)",
        magics: &[(0, &[0x1f, 0x8b, 8])],
        carved: true,
        detect: |b| b.bytes(3, 1).first().is_some_and(|f| f & 0xe0 == 0) && starts(gz(b)),
        unpack: |b, s| single(b, s, gz(b), |r| r.into_inner().position()),
    },
    Format {
        name: "xz",
        about: "xz stream",
        magics: &[(0, b"\xfd7zXZ\0")],
        carved: true,
        detect: |b| b.bytes(6, 2).first() == Some(&0),
        unpack: unpack_xz,
    },
    Format {
        name: "zstd",
        about: "zstd frame (RFC 8878), windows up to 128 MiB",
        magics: &[(0, &[0x28, 0xb5, 0x2f, 0xfd])],
        carved: true,
        detect: |b| b.bytes(4, 1).first().is_some_and(|d| d & 8 == 0),
        unpack: unpack_zstd,
    },
    Format {
        name: "lz4",
        about: "lz4 frame, and the legacy frame of Linux kernels",
        magics: &[(0, &[0x04, 0x22, 0x4d, 0x18]), (0, &[0x02, 0x21, 0x4c, 0x18])],
        carved: true,
        detect: |_| true,
        unpack: unpack_lz4,
    },
    Format {
        name: "bzip2",
        about: "bzip2 stream",
        magics: &[(0, b"BZh")],
        carved: true,
        detect: |b| {
            let head = b.bytes(3, 7);
            head.len() == 7
                && (b'1'..=b'9').contains(&head[0])
                && head[1..] == [0x31, 0x41, 0x59, 0x26, 0x53, 0x59]
        },
        unpack: |b, s| {
            let decoder = bzip2::bufread::BzDecoder::new(b.reader(0));
            single(b, s, decoder, |r| r.into_inner().position())
        },
    },
    Format {
        name: "lzop",
        about: "lzop file (LZO1X blocks)",
        magics: &[(0, b"\x89LZO\0\r\n\x1a\n")],
        carved: true,
        detect: |_| true,
        unpack: lzo::unpack_lzop,
    },
    Format {
        name: "lzma",
        about: "lzma alone (the format before xz)",
        magics: &[(0, &[0x5d, 0, 0]), (0, &[0x6d, 0, 0])],
        carved: true,
        detect: detect_lzma,
        unpack: unpack_lzma,
    },
    Format {
        name: "zlib",
        about: "zlib stream (RFC 1950) of at least 512 bytes that ends with a right checksum",
        magics: &[(0, &[0x78, 0x9c]), (0, &[0x78, 0xda]), (0, &[0x78, 0x01])],
        carved: true,
        detect: detect_zlib,
        unpack: |b, s| single(b, s, ZlibDecoder::new(b.reader(0)), |r| r.into_inner().position()),
    },
];

/// Inflates a zlib stream that must not exceed `limit` bytes.
pub(super) fn inflate(data: &[u8], limit: usize) -> Result<Vec<u8>, UnpackError> {
    bounded(ZlibDecoder::new(data), limit)
}

/// Inflates raw deflate data.
pub(super) fn inflate_raw(data: &[u8], limit: usize) -> Result<Vec<u8>, UnpackError> {
    bounded(flate2::bufread::DeflateDecoder::new(data), limit)
}

/// One xz stream in memory.
pub(super) fn unxz(data: &[u8], limit: usize) -> Result<Vec<u8>, UnpackError> {
    bounded(XzReader::new_mem_limit(data, false, DICTIONARY_KIB), limit)
}

/// One lzma-alone stream in memory.
pub(super) fn unlzma(data: &[u8], limit: usize) -> Result<Vec<u8>, UnpackError> {
    let reader =
        LzmaReader::new_mem_limit(data, DICTIONARY_KIB, None).map_err(UnpackError::from)?;
    bounded(reader, limit)
}

/// One or more zstd frames in memory.
pub(super) fn unzstd(data: &[u8], limit: usize) -> Result<Vec<u8>, UnpackError> {
    let decoder = ruzstd::decoding::StreamingDecoder::new(data)
        .map_err(|_| UnpackError::Corrupt("zstd frame header"))?;
    bounded(decoder, limit)
}

/// One lz4 block in memory.
pub(super) fn unlz4(data: &[u8], limit: usize) -> Result<Vec<u8>, UnpackError> {
    let mut out = vec![0; limit];
    let count = lz4_flex::block::decompress_into(data, &mut out)
        .map_err(|_| UnpackError::Corrupt("lz4 block"))?;
    out.truncate(count);
    Ok(out)
}

fn bounded(reader: impl Read, limit: usize) -> Result<Vec<u8>, UnpackError> {
    let mut out = Vec::with_capacity(limit.min(1 << 20));
    reader.take(limit as u64 + 1).read_to_end(&mut out)?;
    if out.len() > limit {
        return Err(UnpackError::Corrupt("more output than the block may have"));
    }
    Ok(out)
}

fn gz(blob: &Blob) -> GzDecoder<BlobReader> {
    GzDecoder::new(blob.reader(0))
}

/// Whether the first bytes really decode: a magic of three bytes is no proof.
fn starts(mut reader: impl Read) -> bool {
    let mut out = [0; 64];
    matches!(reader.read(&mut out), Ok(count) if count > 0)
}

fn single<R: Read>(
    blob: &Blob,
    sink: &mut dyn Sink,
    mut reader: R,
    end: fn(R) -> u64,
) -> Result<u64, UnpackError> {
    let (out, problem) = spool(&mut reader, sink)?;
    let end = end(reader).min(blob.len());
    deliver(sink, out, problem, end, blob)
}

fn deliver(
    sink: &mut dyn Sink,
    out: Blob,
    problem: Option<UnpackError>,
    end: u64,
    blob: &Blob,
) -> Result<u64, UnpackError> {
    match problem {
        Some(error) if out.is_empty() => return Err(error),
        // What would have come of the rest, nobody knows.
        Some(error @ UnpackError::Bound(_)) => {
            sink.unread("", end, blob.len() - end, &error);
            sink.member("", out, Meta::default())?;
            return Ok(blob.len());
        }
        // Behind the damage something else may begin.
        Some(error) => sink.unread("", end, 0, &error),
        None => {}
    }
    sink.member("", out, Meta::default())?;
    Ok(end)
}

fn unpack_xz(blob: &Blob, sink: &mut dyn Sink) -> Result<u64, UnpackError> {
    let mut reader = XzReader::new_mem_limit(blob.reader(0), false, DICTIONARY_KIB);
    let (out, problem) = spool(&mut reader, sink)?;
    let end = reader.into_inner().position();
    deliver(sink, out, problem, end, blob)
}

fn unpack_zstd(blob: &Blob, sink: &mut dyn Sink) -> Result<u64, UnpackError> {
    let mut decoder = ruzstd::decoding::StreamingDecoder::new(blob.reader(0))
        .map_err(|_| UnpackError::Corrupt("zstd frame header, or a window over 100 MiB"))?;
    let (out, problem) = spool(&mut decoder, sink)?;
    let end = decoder.into_inner().position();
    deliver(sink, out, problem, end, blob)
}

fn detect_lzma(blob: &Blob) -> bool {
    let head = blob.bytes(0, 14);
    let (Ok(dictionary), Ok(size)) = (head.le32(1), head.le64(5)) else { return false };
    let size_fits = size == u64::MAX || (32..1 << 32).contains(&size);
    let dictionary_fits = dictionary.is_power_of_two()
        && (1 << 12..=u32::from(u16::MAX).pow(2).min(DICTIONARY_KIB << 10)).contains(&dictionary);
    // The range coder always starts with a zero byte.
    size_fits
        && dictionary_fits
        && head.get(13) == Some(&0)
        && LzmaReader::new_mem_limit(blob.reader(0), DICTIONARY_KIB, None).is_ok_and(|mut r| {
            let mut out = [0; 512];
            let mut done = 0;
            while done < out.len() {
                match r.read(&mut out[done..]) {
                    Ok(0) => return size < 512 && done as u64 == size,
                    Ok(count) => done += count,
                    Err(_) => return false,
                }
            }
            true
        })
}

fn unpack_lzma(blob: &Blob, sink: &mut dyn Sink) -> Result<u64, UnpackError> {
    let mut reader = LzmaReader::new_mem_limit(blob.reader(0), DICTIONARY_KIB, None)
        .map_err(UnpackError::from)?;
    let (out, problem) = spool(&mut reader, sink)?;
    let end = reader.into_inner().position();
    deliver(sink, out, problem, end, blob)
}

fn detect_zlib(blob: &Blob) -> bool {
    let mut reader = ZlibDecoder::new(blob.reader(0));
    let mut total = 0u64;
    let mut out = [0; 8192];
    // A carved stream must end well; a very long one is believed after 4 MiB.
    while total < 4 << 20 {
        match reader.read(&mut out) {
            Ok(0) => return total >= 512,
            Ok(count) => total += count as u64,
            Err(_) => return false,
        }
    }
    true
}

fn unpack_lz4(blob: &Blob, sink: &mut dyn Sink) -> Result<u64, UnpackError> {
    let legacy = blob.exact(0, 1)? == [0x02];
    let mut at = if legacy { 4 } else { 0 };
    let mut out = crate::blob::Spool::default();
    let ended = if legacy {
        lz4_legacy(blob, sink, &mut at, &mut out)
    } else {
        lz4_frame(blob, sink, &mut at, &mut out)
    };
    deliver(sink, out.finish(), ended.err(), at.min(blob.len()), blob)
}

fn lz4_legacy(
    blob: &Blob,
    sink: &mut dyn Sink,
    at: &mut u64,
    out: &mut crate::blob::Spool,
) -> Result<(), UnpackError> {
    use std::io::Write;
    while *at + 4 <= blob.len() {
        let size = blob.exact(*at, 4)?.le32(0)?;
        // The stream has no end mark: it ends where the next size cannot be one.
        if size == 0 || size > LZ4_LEGACY_BLOCK + LZ4_LEGACY_BLOCK / 255 + 16 {
            break;
        }
        let Ok(data) = blob.exact(*at + 4, size as usize) else { break };
        let block = unlz4(&data, LZ4_LEGACY_BLOCK as usize)?;
        sink.charge(block.len() as u64)?;
        out.write_all(&block)?;
        *at += 4 + u64::from(size);
        if block.len() < LZ4_LEGACY_BLOCK as usize {
            break;
        }
    }
    Ok(())
}

fn lz4_frame(
    blob: &Blob,
    sink: &mut dyn Sink,
    at: &mut u64,
    out: &mut crate::blob::Spool,
) -> Result<(), UnpackError> {
    use std::io::Write;
    let head = blob.bytes(0, 19);
    let flags = *head.get(4).ok_or(UnpackError::Truncated { at: 4 })?;
    let descriptor = *head.get(5).ok_or(UnpackError::Truncated { at: 5 })?;
    if flags >> 6 != 1 {
        return Err(UnpackError::Unsupported("lz4 frame version".into()));
    }
    let block_max = match descriptor >> 4 & 7 {
        4 => 64 << 10,
        5 => 256 << 10,
        6 => 1 << 20,
        7 => 4 << 20,
        _ => return Err(UnpackError::Corrupt("lz4 block size")),
    };
    let linked = flags & 0x20 == 0;
    *at = 7 + if flags & 8 != 0 { 8 } else { 0 } + if flags & 1 != 0 { 4 } else { 0 };
    let mut window: Vec<u8> = Vec::new();
    loop {
        let word = blob.exact(*at, 4)?.le32(0)?;
        *at += 4;
        if word == 0 {
            break;
        }
        let size = (word & 0x7fff_ffff) as usize;
        if size > block_max {
            return Err(UnpackError::Corrupt("lz4 block larger than declared"));
        }
        let data = blob.exact(*at, size)?;
        *at += size as u64 + if flags & 0x10 != 0 { 4 } else { 0 };
        let block = if word >> 31 == 1 {
            data
        } else {
            let mut block = vec![0; block_max];
            let count = lz4_flex::block::decompress_into_with_dict(&data, &mut block, &window)
                .map_err(|_| UnpackError::Corrupt("lz4 block"))?;
            block.truncate(count);
            block
        };
        sink.charge(block.len() as u64)?;
        out.write_all(&block)?;
        if linked {
            window.extend_from_slice(&block);
            let excess = window.len().saturating_sub(64 << 10);
            window.drain(..excess);
        }
    }
    if flags & 4 != 0 {
        *at += 4;
    }
    Ok(())
}

/// Largest dictionary that is allocated for one lzma or xz stream, in KiB.
const DICTIONARY_KIB: u32 = 66 << 10;
const LZ4_LEGACY_BLOCK: u32 = 8 << 20;
