//! What bytes look like: text, program, picture; and how many of those that no format explains
//! can be read at all.

use super::{LeafKind, Place};
use crate::{blob::Blob, keys::debian, model::Coverage};

/// What a file looks like, by its first bytes and its place.
pub(super) fn classify(blob: &Blob, place: &Place) -> LeafKind {
    let head = blob.bytes(0, 8192);
    if head.starts_with(b"\x7fELF") {
        return LeafKind::Elf;
    }
    if head.starts_with(debian::HEAD.as_bytes())
        && blob.len() <= LIST_MAX
        && debian::List::read(&blob.bytes(0, blob.len() as usize)).is_some()
    {
        return LeafKind::Media;
    }
    if MEDIA.iter().any(|(at, magic)| head.get(*at..).is_some_and(|h| h.starts_with(magic))) {
        return LeafKind::Media;
    }
    let is_git_table = place.path.contains(".git/")
        && [".idx", ".rev", ".bitmap", "/index"].iter().any(|e| place.path.ends_with(e));
    if is_git_table {
        return LeafKind::Media;
    }
    if is_text(&head) { LeafKind::Text } else { LeafKind::Binary }
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
    let head = blob.bytes(0, 16);
    let encrypted = ENCRYPTED.iter().find(|(magic, _)| head.starts_with(magic)).map(|e| e.1);
    if let Some(why) = encrypted {
        return (Coverage { unread: blob.len(), ..coverage }, vec![(0, blob.len(), why)]);
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

const ENCRYPTED: &[(&[u8], &str)] = &[
    (b"LUKS\xba\xbe", "LUKS encrypted volume"),
    (b"Salted__", "encrypted with a password (openssl enc)"),
    (b"age-encryption.org", "encrypted (age)"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip archive: format not supported"),
    (b"Rar!\x1a\x07", "RAR archive: format not supported"),
    (b"MSCF", "Windows cabinet: format not supported"),
    (b"EXFAT   ", "exFAT: format not supported"),
    (b"XFSB", "XFS: format not supported"),
];

const MEDIA: &[(usize, &[u8])] = &[
    (0, b"\x89PNG\r\n\x1a\n"),
    (0, b"\xff\xd8\xff"),
    (0, b"GIF8"),
    (8, b"WEBPVP8"),
    (8, b"WAVEfmt "),
    (0, b"ID3\x03"),
    (0, b"ID3\x04"),
    (0, b"OggS"),
    (0, b"fLaC"),
    (4, b"ftyp"),
    (0, b"wOFF"),
    (0, b"wOF2"),
    (0, b"\0\x01\0\0\0"),
    (0, b"OTTO"),
    (0, b"\0\0\x01\0\x01\0"),
    (0, b"BM6"),
];
