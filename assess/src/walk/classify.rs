//! What bytes look like: text, program, picture; and how many of those that no format explains
//! can be read at all.

use super::{
    LeafKind, Place,
    media::{self, Extent},
};
use crate::{blob::Blob, keys::debian, model::Coverage};

/// What a blob looks like, by its first bytes and its place, and how far that reaches: installers
/// are scripts with an archive behind them.
pub(super) fn classify(blob: &Blob, place: &Place) -> (LeafKind, u64) {
    let head = blob.bytes(0, 8192);
    let whole = |kind| (kind, blob.len());
    if head.starts_with(b"\x7fELF") {
        return whole(LeafKind::Elf);
    }
    if head.starts_with(debian::HEAD.as_bytes())
        && blob.len() <= LIST_MAX
        && debian::List::read(&blob.bytes(0, blob.len() as usize)).is_some()
    {
        return whole(LeafKind::Media);
    }
    match media::extent(blob) {
        Some(Extent::To(end)) => return (LeafKind::Media, end),
        Some(Extent::Open) => return whole(LeafKind::Media),
        None => {}
    }
    let is_git_table = place.path.contains(".git/")
        && [".idx", ".rev", ".bitmap", "/index"].iter().any(|e| place.path.ends_with(e));
    if is_git_table {
        return whole(LeafKind::Media);
    }
    if is_text(&head) { (LeafKind::Text, text_end(blob)) } else { whole(LeafKind::Binary) }
}

/// Where a text ends and something else begins: shortly before the first control character of the
/// first block that has many, or the end of the blob.
fn text_end(blob: &Blob) -> u64 {
    let mut at = 0;
    while at < blob.len() {
        let chunk = blob.bytes(at, 256 << 10);
        if chunk.is_empty() {
            break;
        }
        for (index, block) in chunk.chunks(BLOCK).enumerate() {
            let controls = block.iter().filter(|b| is_control(**b)).count();
            if controls * 50 > block.len() {
                return line_before(blob, at + (index * BLOCK) as u64);
            }
        }
        at += chunk.len() as u64;
    }
    blob.len()
}

/// The start of the line before the one with the first byte that is no text, looked for from one
/// block before `at`.
fn line_before(blob: &Blob, at: u64) -> u64 {
    let from = at.saturating_sub(BLOCK as u64);
    let window = blob.bytes(from, 2 * BLOCK);
    let control = window.iter().position(|b| is_control(*b)).unwrap_or(0);
    // Letters of a code page stand in texts; right before binary data they are part of it.
    let near = control.saturating_sub(64);
    let odd = window[near..control].iter().position(|b| *b >= 0x80).map_or(control, |p| near + p);
    // Two lines back: a number in the head of what follows may be a line feed.
    let feeds = window[..odd].iter().enumerate().rev().filter(|(_, b)| **b == b'\n');
    from + feeds.take(2).last().map_or(0, |(at, _)| at + 1) as u64
}

fn is_control(byte: u8) -> bool {
    byte < 0x20 && !matches!(byte, b'\n' | b'\r' | b'\t' | 0x08 | 0x0c | 0x1b)
}

fn is_text(head: &[u8]) -> bool {
    let odd = head
        .iter()
        .filter(|&&b| b < 0x20 && !matches!(b, b'\n' | b'\r' | b'\t' | 0x0c | 0x1b))
        .count();
    // UTF-8 may be cut at the end of the window.
    let utf8 = match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(error) => error.valid_up_to() + 4 > head.len(),
    };
    !head.contains(&0) && odd * 50 <= head.len() && (utf8 || high_bytes(head) * 3 < head.len())
}

fn high_bytes(head: &[u8]) -> usize {
    head.iter().filter(|b| **b >= 0x80).count()
}

/// Offset, length and reason of what could not be read.
pub(super) type Runs = Vec<(u64, u64, &'static str)>;

/// Tells padding, searchable bytes and opaque runs apart, in blocks of 4 KiB.
pub(super) fn measure(blob: &Blob, kind: LeafKind) -> (Coverage, Runs) {
    let mut coverage = Coverage::default();
    let mut runs: Runs = Vec::new();
    let closed = CLOSED.iter().find(|(at, magic, _)| blob.bytes(*at, magic.len()) == *magic);
    if let Some((_, _, why)) = closed {
        return (Coverage { unread: blob.len(), ..coverage }, vec![(0, blob.len(), why)]);
    }
    // Their files lie in the open for the most part, but not in order.
    if let Some((.., why)) = OPEN.iter().find(|(at, m, _)| blob.bytes(*at, m.len()) == *m) {
        runs.push((0, 0, why));
    }
    let mut opaque = (0, 0);
    let mut at = 0;
    while at < blob.len() {
        let chunk = blob.bytes(at, 1 << 20);
        if chunk.is_empty() {
            coverage.unread += blob.len() - at;
            runs.push((at, blob.len() - at, "cannot be read from the disk"));
            break;
        }
        for block in chunk.chunks(BLOCK) {
            let len = block.len() as u64;
            if is_opaque(block) {
                if opaque.0 + opaque.1 != at {
                    close(&mut opaque, &mut coverage, &mut runs, blob.len(), kind);
                    opaque = (at, 0);
                }
                opaque.1 += len;
            } else if block.iter().all(|b| *b == block[0]) || kind == LeafKind::Elf {
                coverage.understood += len;
            } else {
                coverage.searched += len;
            }
            at += len;
        }
    }
    close(&mut opaque, &mut coverage, &mut runs, blob.len(), kind);
    (coverage, runs)
}

fn close(
    run: &mut (u64, u64),
    coverage: &mut Coverage,
    runs: &mut Runs,
    size: u64,
    kind: LeafKind,
) {
    let (at, len) = std::mem::take(run);
    if len == 0 {
        return;
    }
    // A short dense run is a table or a key, unless it is all there is.
    if len >= OPAQUE_RUN || len * 2 > size && len >= 1024 {
        coverage.unread += len;
        runs.push((at, len, "dense data of unknown format (compressed or encrypted)"));
    } else if kind == LeafKind::Elf {
        coverage.understood += len;
    } else {
        coverage.searched += len;
    }
}

/// Whether a block is as dense as random bytes.
fn is_opaque(block: &[u8]) -> bool {
    if block.len() < 512 {
        return false;
    }
    let mut counts = [0u32; 256];
    for byte in block {
        counts[usize::from(*byte)] += 1;
    }
    // Sum of squares instead of logarithms: the same on every machine. For uniform random
    // bytes it is near n + n*n/256; text and code lie far above.
    let n = block.len() as u64;
    let squares: u64 = counts.iter().map(|c| u64::from(*c) * u64::from(*c)).sum();
    squares < n + n * n / 256 + n * n / 900
}

const BLOCK: usize = 4096;
const OPAQUE_RUN: u64 = 16 << 10;

/// The list of weak keys of this project is far below.
const LIST_MAX: u64 = 8 << 20;

/// What cannot be looked into at all: offset, magic number, reason.
const CLOSED: &[(u64, &[u8], &str)] = &[
    (0, b"LUKS\xba\xbe", "LUKS encrypted volume"),
    (0, b"Salted__", "encrypted with a password (openssl enc)"),
    (0, b"age-encryption.org", "encrypted (age)"),
    (0, b"7z\xbc\xaf\x27\x1c", "7-Zip archive: format not supported"),
    (0, b"Rar!\x1a\x07", "RAR archive: format not supported"),
    (0, b"MSCF", "Windows cabinet: format not supported"),
    (1024, &[0xe2, 0xe1, 0xf5, 0xe0], "EROFS: format not supported"),
];

/// File systems that are searched as raw bytes only.
const OPEN: &[(u64, &[u8], &str)] = &[
    (0, b"XFSB", "XFS: searched as raw bytes, files are not put together"),
    (3, b"EXFAT   ", "exFAT: searched as raw bytes, files are not put together"),
    (3, b"NTFS    ", "NTFS: searched as raw bytes, files are not put together"),
    (1024, &[0x10, 0x20, 0xf5, 0xf2], "F2FS: searched as raw bytes, files are not put together"),
    (0x1_0040, b"_BHRfS_M", "Btrfs: searched as raw bytes, files are not put together"),
];
