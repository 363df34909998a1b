//! Walks an input: tells formats apart, opens containers, hands leaves to a consumer
//! and accounts for every byte.

mod classify;
mod media;

use std::{collections::HashSet, path::Path};

use classify::{classify, measure};

use crate::{
    blob::Blob,
    model::{Coverage, Unread},
    unpack::{self, Fact, Format, GitNames, Limits, Meta, Sink, Skipped, UnpackError},
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
        let name = if last.contains("@0x") && !last.contains('/') {
            self.path.rsplit('!').find(|s| !s.contains("@0x") || s.contains('/')).unwrap_or(last)
        } else {
            last
        };
        if self.path.contains("!git-") { without_version(name) } else { name }
    }

    /// A member of a git object store: a version of a file, or a commit.
    fn is_history(&self) -> bool {
        self.path.rsplit('!').next().is_some_and(|last| last.starts_with("git-"))
    }
}

/// The name of a file in history without the id that stands behind it: `a.c` of
/// `a.c@0123456789ab`.
#[must_use]
pub(crate) fn without_version(name: &str) -> &str {
    match name.rsplit_once('@') {
        Some((name, id)) if id.len() == 12 && id.bytes().all(|b| b.is_ascii_hexdigit()) => name,
        _ => name,
    }
}

/// What a leaf looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeafKind {
    /// Text in ASCII or UTF-8.
    Text,
    /// An ELF file.
    Elf,
    /// A picture, a font, sound, this project's list of weak keys: recognised, nothing to run.
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
    /// A fact about a container; `content` is the bytes that belong to it.
    fn fact(&mut self, place: &Place, content: &Blob, fact: Fact);
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
    /// Ids of files already seen in the working tree or in history, so that history repeats
    /// nothing.
    pub seen: HashSet<[u8; 20]>,
    /// Names of the versions that lie in history as objects of their own.
    pub names: GitNames,
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
            names: GitNames::default(),
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
        let format = unpack::identify(blob);
        if depth >= self.limits.depth && format.is_some() {
            let (kind, _) = classify(blob, place);
            self.leaf(blob, place, 0, kind, mode);
            let why = UnpackError::Bound("containers inside containers");
            self.not_read(place, 0, blob.len(), &why.to_string());
            return Coverage { unread: blob.len(), ..Coverage::default() };
        }
        if let Some(format) = format
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
            len: blob.len(),
            members: 0,
            met: false,
            children: Coverage::default(),
            lost: Vec::new(),
            facts: Vec::new(),
        };
        let outcome = format.unpack(blob, &mut sink);
        let Inside { members, met, children, lost, facts, .. } = sink;
        let (size, cut) = match outcome {
            // A magic number with nothing behind it is an accident of the bytes.
            Ok(_) if members == 0 && !met && format.carved => {
                self.unread.truncate(before);
                return None;
            }
            Ok(end) => (end.min(blob.len()), false),
            Err(error) if members == 0 => {
                self.unread.truncate(before);
                if sure {
                    self.not_read(&inner, 0, 0, &error.to_string());
                }
                return None;
            }
            Err(error) => {
                self.not_read(&inner, 0, 0, &error.to_string());
                (blob.len(), true)
            }
        };
        *self.opened.entry(format.name).or_default() += 1;
        for fact in facts {
            self.consumer.fact(&inner, &blob.slice(0, size), fact);
        }
        Some((account(children, &lost, size, cut), size))
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
        let (kind, end) = classify(blob, place);
        if end < blob.len() {
            // A script with an archive behind it, a picture with a file system behind it.
            let head = Coverage { understood: end, ..Coverage::default() };
            if end > 0 {
                self.leaf(&blob.slice(0, end), place, base, kind, mode);
            }
            let mut coverage =
                self.carved(&blob.tail(end), place, base + end, (LeafKind::Binary, mode), depth);
            coverage.add(head);
            return coverage;
        }
        match kind {
            LeafKind::Text | LeafKind::Media => {
                self.leaf(blob, place, base, kind, mode);
                Coverage { understood: blob.len(), ..Coverage::default() }
            }
            LeafKind::Elf => {
                self.leaf(blob, place, base, kind, mode);
                self.carved(blob, place, base, (kind, mode), depth)
            }
            LeafKind::Binary => self.carved(blob, place, base, (kind, mode), depth),
        }
    }

    /// Looks for known formats anywhere in the bytes.
    fn carved(
        &mut self,
        blob: &Blob,
        place: &Place,
        base: u64,
        (kind, mode): (LeafKind, Option<u32>),
        depth: u32,
    ) -> Coverage {
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
        // A program was handed on whole.
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

    pub(crate) fn not_read(&mut self, place: &Place, offset: u64, bytes: u64, reason: &str) {
        if self.unread.len() < MAX_UNREAD {
            let path = place.path.clone();
            self.unread.push(Unread { path, offset, bytes, reason: reason.to_owned() });
        }
    }
}

/// What became of the `size` bytes of a container: `children` came out of it, and `lost` of it,
/// by offset where that is known, could not be read. It was `cut` when its reader gave up.
fn account(children: Coverage, lost: &[(Option<u64>, u64)], size: u64, cut: bool) -> Coverage {
    let mut all = children;
    // Of the container's own bytes.
    let mut own = 0u64;
    for (at, len) in lost {
        match at {
            // What lies behind the container is counted where it is read.
            Some(at) => own = own.saturating_add((*len).min(size.saturating_sub(*at))).min(size),
            None => all.unread = all.unread.saturating_add(*len).min(u64::MAX / 4),
        }
    }
    let room = size - own;
    if all.total() > room {
        if cut {
            // How much more would have come out of it, nobody knows.
            return Coverage { unread: size, ..Coverage::default() };
        }
        all = all.scaled(room);
    } else if cut {
        all.unread += room - all.total();
    } else {
        all.understood += room - all.total();
    }
    all.unread += own;
    all
}

struct Inside<'w, 'a> {
    walker: &'w mut Walker<'a>,
    place: &'w Place,
    depth: u32,
    /// Bytes of the blob that the container starts in.
    len: u64,
    members: u64,
    /// Something other than a member was met.
    met: bool,
    children: Coverage,
    /// What was not read: offset in the container, where it has one, and length.
    lost: Vec<(Option<u64>, u64)>,
    facts: Vec<Fact>,
}

impl Sink for Inside<'_, '_> {
    fn member(&mut self, name: &str, blob: Blob, meta: Meta) -> Result<(), UnpackError> {
        self.members += 1;
        if self.members > self.walker.limits.members {
            return Err(UnpackError::Bound("members"));
        }
        let mut version = None;
        if self.place.is_history() {
            let id = unpack::blob_id(&blob);
            if !self.walker.seen.insert(id) {
                self.children.understood += blob.len();
                return Ok(());
            }
            version = self.walker.names.of(&id).filter(|_| name.is_empty());
        }
        let place = match (&version, name) {
            (Some(name), _) => self.place.inside(name),
            (None, "") => self.place.clone(),
            (None, name) => self.place.inside(&unpack::clean(name)),
        };
        let coverage = self.walker.blob(&blob, &place, meta.mode, self.depth + 1);
        self.children.add(coverage);
        Ok(())
    }

    fn skipped(&mut self, name: &str, kind: Skipped) {
        self.met = true;
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
        // Bytes that are not there are no bytes of the input.
        let missing = matches!(why, UnpackError::Truncated { at } if *at >= self.len);
        if len > 0 && !missing {
            self.met = true;
            self.lost.push((name.is_empty().then_some(offset), len));
        }
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
        self.met = true;
        self.facts.push(fact);
    }
}

const MAX_UNREAD: usize = 10_000;
