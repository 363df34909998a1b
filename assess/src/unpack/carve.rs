//! Looks for the formats inside raw dumps and unknown files.

use std::sync::OnceLock;

use aho_corasick::AhoCorasick;

use super::{Format, formats};
use crate::blob::Blob;

/// A format that starts inside a blob.
#[derive(Clone, Copy, Debug)]
pub struct Hit {
    /// Where it starts.
    pub at: u64,
    /// What it is.
    pub format: &'static Format,
}

/// The next format that starts at `from` or later.
#[must_use]
pub fn carve(blob: &Blob, from: u64) -> Option<Hit> {
    let signatures = signatures();
    let mut base = from;
    while base < blob.len() {
        let chunk = blob.bytes(base, CHUNK + OVERLAP);
        let mut best: Option<Hit> = None;
        for found in signatures.automaton.find_overlapping_iter(&chunk) {
            let (format, offset) = signatures.formats[found.pattern().as_usize()];
            let Some(at) = (base + found.start() as u64).checked_sub(offset as u64) else {
                continue;
            };
            if at < from {
                continue;
            }
            // Candidates come almost in order; the magic of a later one may lie earlier.
            if best.is_some_and(|b| at >= b.at) {
                if found.start() as u64 + base > best.map_or(0, |b| b.at) + OVERLAP as u64 {
                    break;
                }
                continue;
            }
            if format.detect(&blob.tail(at)) {
                best = Some(Hit { at, format });
            }
        }
        if best.is_some() {
            return best;
        }
        base += CHUNK as u64;
    }
    None
}

struct Signatures {
    automaton: AhoCorasick,
    formats: Vec<(&'static Format, usize)>,
}

fn signatures() -> &'static Signatures {
    static SIGNATURES: OnceLock<Signatures> = OnceLock::new();
    SIGNATURES.get_or_init(|| {
        let mut patterns: Vec<&[u8]> = Vec::new();
        let mut owners = Vec::new();
        for format in formats().filter(|f| f.carved) {
            for (offset, magic) in format.magics {
                patterns.push(magic);
                owners.push((format, *offset));
            }
        }
        let automaton = AhoCorasick::builder()
            .kind(Some(aho_corasick::AhoCorasickKind::DFA))
            .build(patterns)
            .unwrap_or_else(|error| unreachable!("a handful of short patterns: {error}"));
        Signatures { automaton, formats: owners }
    })
}

const CHUNK: usize = 1 << 20;
/// More than the largest offset of a magic (ext: 0x438).
const OVERLAP: usize = 4096;
