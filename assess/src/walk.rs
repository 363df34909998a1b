//! Walks an input: tells formats apart, opens containers, hands leaves to a consumer
//! and accounts for every byte.

use std::{collections::HashSet, path::Path};

use crate::{
    blob::Blob,
    model::{Coverage, Unread},
    unpack::{self, Fact, Format, Limits, Meta, Sink, Skipped, UnpackError},
};

/// A place in an input while it is being walked.
#[derive(Clone, Debug)]
pub struct Place {
    /// Index of the owner.
    pub owner: u32,
    /// File on disk.
    pub file: String,
    /// Nested path so far.
    pub path: String,
}

impl Place {
    fn inside(&self, step: &str) -> Self {
        Self { path: format!("{}!{step}", self.path), ..self.clone() }
    }

    /// The innermost name: `/etc/shadow` of `fw.bin!squashfs@0x0!/etc/shadow`.
    #[must_use]
    pub fn name(&self) -> &str {
        let last = self.path.rsplit('!').next().unwrap_or(&self.path);
        // A stream has no name of its own: take the one outside, `/x.conf` of `/x.conf!gzip@0x0`.
        if last.contains("@0x") && !last.contains('/') {
            self.path.rsplit('!').find(|s| !s.contains("@0x") || s.contains('/')).unwrap_or(last)
        } else {
            last
        }
    }
}

/// What a leaf looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeafKind {
    /// Text in ASCII or UTF-8.
    Text,
    /// An ELF file.
    Elf,
    /// A picture, a font, sound: recognised, nothing to run.
    Media,
    /// Anything else.
    Binary,
}

/// Bytes at the end of all unpacking.
#[derive(Debug)]
pub struct Leaf<'a> {
    /// Where.
    pub place: &'a Place,
    /// Offset of the bytes in the file that the place names.
    pub base: u64,
    /// The bytes.
    pub blob: &'a Blob,
    /// What they look like.
    pub kind: LeafKind,
    /// Unix mode, where known.
    pub mode: Option<u32>,
}

/// Takes leaves and facts.
pub trait Consumer {
    /// A leaf to search.
    fn leaf(&mut self, leaf: &Leaf<'_>);
    /// A fact about a container.
    fn fact(&mut self, place: &Place, fact: Fact);
}

/// The state of walking one input.
pub struct Walker<'a> {
    consumer: &'a mut dyn Consumer,
    limits: Limits,
    budget: u64,
    /// What was not read.
    pub unread: Vec<Unread>,
    /// How many links, devices and escaping names were met.
    pub skipped: [u64; 3],
    /// Ids of files already seen in the working tree, so that history repeats nothing.
    pub seen: HashSet<[u8; 20]>,
    /// Containers opened, by format.
    pub opened: std::collections::BTreeMap<&'static str, u64>,
    /// Leaves handed on.
    pub leaves: u64,
}

impl<'a> Walker<'a> {
    /// A walker for an input of `size` bytes.
    pub fn new(consumer: &'a mut dyn Consumer, limits: Limits, size: u64) -> Self {
        let budget = size
            .saturating_mul(limits.expansion)
            .clamp(limits.expansion_floor_bytes, limits.expansion_ceiling_bytes);
        Self {
            consumer,
            limits,
            budget,
            unread: Vec::new(),
            skipped: [0; 3],
            seen: HashSet::new(),
            opened: std::collections::BTreeMap::new(),
            leaves: 0,
        }
    }

    /// Walks one file on disk. `mode` is its Unix mode where that says something.
    pub fn file(&mut self, path: &Path, place: &Place, mode: Option<u32>) -> Coverage {
        match Blob::open(path) {
            Ok(blob) => self.blob(&blob, place, mode, 0),
            Err(error) => {
                let len = std::fs::metadata(path).map_or(0, |m| m.len());
                self.not_read(place, 0, len, &format!("cannot be opened: {error}"));
                Coverage { unread: len, ..Coverage::default() }
            }
        }
    }

    /// Walks a blob.
    pub fn blob(&mut self, blob: &Blob, place: &Place, mode: Option<u32>, depth: u32) -> Coverage {
        if blob.is_empty() {
            self.leaf(blob, place, 0, LeafKind::Text, mode);
            return Coverage::default();
        }
        if depth < self.limits.depth
            && let Some(format) = unpack::identify(blob)
            && let Some((mut coverage, end)) = self.container(format, blob, place, 0, depth, true)
        {
            if end < blob.len() {
                coverage.add(self.raw(&blob.tail(end), place, end, mode, depth));
            }
            return coverage;
        }
        self.raw(blob, place, 0, mode, depth)
    }

    fn container(
        &mut self,
        format: &'static Format,
        blob: &Blob,
        place: &Place,
        at: u64,
        depth: u32,
        sure: bool,
    ) -> Option<(Coverage, u64)> {
        let inner = place.inside(&format!("{}@0x{at:x}", format.name));
        let before = self.unread.len();
        let mut sink = Inside {
            walker: self,
            place: &inner,
            depth,
            members: 0,
            children: Coverage::default(),
            lost: 0,
        };
        let outcome = format.unpack(blob, &mut sink);
        let (members, children, lost) = (sink.members, sink.children, sink.lost);
        let size = match outcome {
            Ok(end) => end.min(blob.len()),
            Err(error) if members == 0 => {
                self.unread.truncate(before);
                if sure {
                    self.not_read(&inner, 0, 0, &error.to_string());
                }
                return None;
            }
            Err(error) => {
                self.not_read(&inner, 0, 0, &error.to_string());
                blob.len()
            }
        };
        *self.opened.entry(format.name).or_default() += 1;
        let mut coverage = if children.total() > size {
            children.scaled(size)
        } else {
            Coverage { understood: size - children.unread - children.searched, ..children }
        };
        let lost = lost.min(coverage.understood);
        coverage.understood -= lost;
        coverage.unread += lost;
        Some((coverage, size))
    }

    /// Bytes whose outer format is not known: a leaf, or a dump to carve.
    fn raw(
        &mut self,
        blob: &Blob,
        place: &Place,
        base: u64,
        mode: Option<u32>,
        depth: u32,
    ) -> Coverage {
        let kind = classify(blob, place);
        let whole = Coverage { understood: blob.len(), ..Coverage::default() };
        match kind {
            LeafKind::Text | LeafKind::Media => {
                self.leaf(blob, place, base, kind, mode);
                return whole;
            }
            LeafKind::Elf => self.leaf(blob, place, base, kind, mode),
            LeafKind::Binary => {}
        }
        let mut coverage = Coverage::default();
        let mut done = 0;
        let mut next = 0;
        while depth < self.limits.depth
            && let Some(hit) = unpack::carve(blob, next)
        {
            let part = blob.tail(hit.at);
            match self.container(hit.format, &part, place, base + hit.at, depth, false) {
                Some((inner, size)) if size > 0 => {
                    if hit.at > done {
                        let gap = blob.slice(done, hit.at - done);
                        coverage.add(self.gap(&gap, place, base + done, kind, mode));
                    }
                    coverage.add(inner);
                    done = hit.at + size;
                    next = done;
                }
                _ => next = hit.at + 1,
            }
        }
        if done < blob.len() {
            coverage.add(self.gap(&blob.tail(done), place, base + done, kind, mode));
        }
        coverage
    }

    /// Searches bytes between known formats and measures how many of them can be text.
    fn gap(
        &mut self,
        blob: &Blob,
        place: &Place,
        base: u64,
        kind: LeafKind,
        mode: Option<u32>,
    ) -> Coverage {
        if kind != LeafKind::Elf {
            self.leaf(blob, place, base, kind, mode);
        }
        let (coverage, runs) = measure(blob, kind);
        for (at, len, why) in runs {
            self.not_read(place, base + at, len, why);
        }
        coverage
    }

    fn leaf(&mut self, blob: &Blob, place: &Place, base: u64, kind: LeafKind, mode: Option<u32>) {
        self.leaves += 1;
        self.consumer.leaf(&Leaf { place, base, blob, kind, mode });
    }

    fn not_read(&mut self, place: &Place, offset: u64, bytes: u64, reason: &str) {
        if self.unread.len() < MAX_UNREAD {
            let path = place.path.clone();
            self.unread.push(Unread { path, offset, bytes, reason: reason.to_owned() });
        }
    }
}

struct Inside<'w, 'a> {
    walker: &'w mut Walker<'a>,
    place: &'w Place,
    depth: u32,
    members: u64,
    children: Coverage,
    lost: u64,
}

impl Sink for Inside<'_, '_> {
    fn member(&mut self, name: &str, blob: Blob, meta: Meta) -> Result<(), UnpackError> {
        self.members += 1;
        if self.members > self.walker.limits.members {
            return Err(UnpackError::Bound("members"));
        }
        let is_history = self.place.path.contains("!git-") && !self.walker.seen.is_empty();
        if is_history && self.walker.seen.contains(&unpack::blob_id(&blob)) {
            self.children.understood += blob.len();
            return Ok(());
        }
        let place = if name.is_empty() {
            self.place.clone()
        } else {
            self.place.inside(&unpack::clean(name))
        };
        let coverage = self.walker.blob(&blob, &place, meta.mode, self.depth + 1);
        self.children.add(coverage);
        Ok(())
    }

    fn skipped(&mut self, name: &str, kind: Skipped) {
        let slot = match kind {
            Skipped::Symlink => 0,
            Skipped::Special => 1,
            Skipped::Escape => 2,
        };
        self.walker.skipped[slot] += 1;
        if kind == Skipped::Escape {
            let place = self.place.inside(&unpack::clean(name));
            self.walker.not_read(
                &place,
                0,
                0,
                "the name climbs out of the archive; content was read",
            );
        }
    }

    fn unread(&mut self, name: &str, offset: u64, len: u64, why: &UnpackError) {
        let place = if name.is_empty() {
            self.place.clone()
        } else {
            self.place.inside(&unpack::clean(name))
        };
        self.walker.not_read(&place, offset, len, &why.to_string());
        self.lost += len;
    }

    fn charge(&mut self, bytes: u64) -> Result<(), UnpackError> {
        match self.walker.budget.checked_sub(bytes) {
            Some(left) => {
                self.walker.budget = left;
                Ok(())
            }
            None => Err(UnpackError::Bound("expansion of this input")),
        }
    }

    fn limits(&self) -> &Limits {
        &self.walker.limits
    }

    fn fact(&mut self, fact: Fact) {
        self.walker.consumer.fact(self.place, fact);
    }
}

fn classify(blob: &Blob, place: &Place) -> LeafKind {
    let head = blob.bytes(0, 8192);
    if head.starts_with(b"\x7fELF") {
        return LeafKind::Elf;
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

type Runs = Vec<(u64, u64, &'static str)>;

/// Tells padding, searchable bytes and opaque runs apart, in blocks of 4 KiB.
fn measure(blob: &Blob, kind: LeafKind) -> (Coverage, Runs) {
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
const MAX_UNREAD: usize = 10_000;

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
