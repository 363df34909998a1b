//! What an assessment consists of: owners, places, findings, coverage.

use std::fmt;

use serde::Serialize;

/// How bad a finding is. Independent of what a standard says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Low,
    /// Weakens a defence.
    Medium,
    /// Lets someone in under conditions.
    High,
    /// Lets someone in.
    Critical,
}

impl Severity {
    /// All, worst first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Medium, Self::Low];

    /// The word in capitals, as reports print it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "LOW",
            Self::Medium => "MEDIUM",
            Self::High => "HIGH",
            Self::Critical => "CRITICAL",
        }
    }

    /// Reads `low`, `medium`, `high` or `critical`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.word().eq_ignore_ascii_case(word))
    }
}

/// What kind of thing an owner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OwnerKind {
    /// A source tree.
    Source,
    /// A firmware image or archive.
    Image,
    /// A device of a fleet.
    Device,
}

/// Who holds a key or a credential: a source tree, an image or a device.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Owner {
    /// Its name: the path as given, or the device's identifier.
    pub name: String,
    /// What it is.
    pub kind: OwnerKind,
}

/// Where something is: a file, the path through what it is packed in, and an offset.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Location {
    /// Index of the owner in [`crate::Assessment::inputs`] or in a key index.
    #[serde(skip)]
    pub owner: u32,
    /// The file on disk, relative to where the assessment was started.
    pub file: String,
    /// The nested path: `flash.bin!squashfs@0x10000!/etc/ssl/device.key`.
    pub path: String,
    /// Byte offset in the innermost file.
    pub offset: u64,
    /// Line in the innermost file, from 1, when it is text.
    pub line: Option<u32>,
}

impl fmt::Display for Location {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.path)?;
        match self.line {
            Some(line) => write!(out, ":{line}"),
            None if self.offset > 0 => write!(out, "+0x{:x}", self.offset),
            None => Ok(()),
        }
    }
}

/// One finding: a rule and a content, with every place where that content lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Rule id.
    pub rule: &'static str,
    /// Severity of the rule.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub title: String,
    /// What was seen: names, sizes, dates; never a secret.
    pub detail: String,
    /// Keyed hash of rule and content, 32 hexadecimal digits: what a suppression names.
    pub fingerprint: String,
    /// Requirements that this finding speaks against.
    pub requirements: Vec<&'static str>,
    /// Every place, sorted.
    pub locations: Vec<Location>,
    /// Why its severity is lower than its rule's, when it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lowered: Option<String>,
    /// Why it does not count, when it is suppressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<String>,
}

/// Bytes of an input by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// The format is known and was read to its end.
    pub understood: u64,
    /// Searched for keys, credentials and text, but the structure is not known.
    pub searched: u64,
    /// Not read: compressed or encrypted in an unknown way, damaged, or beyond a bound.
    pub unread: u64,
}

impl Coverage {
    /// All bytes.
    #[must_use]
    pub fn total(self) -> u64 {
        self.understood + self.searched + self.unread
    }

    /// Share of bytes that were read, in tenths of a percent, rounded down.
    #[must_use]
    pub fn read_permille(self) -> u32 {
        let total = u128::from(self.total());
        if total == 0 {
            return 1000;
        }
        let read = u128::from(self.understood + self.searched);
        u32::try_from(read * 1000 / total).unwrap_or(1000)
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.understood += other.understood;
        self.searched += other.searched;
        self.unread += other.unread;
    }

    /// The same proportions over `size` bytes.
    pub(crate) fn scaled(self, size: u64) -> Self {
        let total = u128::from(self.total()).max(1);
        let part = |bytes: u64| (u128::from(bytes) * u128::from(size) / total) as u64;
        let (unread, searched) = (part(self.unread), part(self.searched));
        Self { unread, searched, understood: size - unread - searched }
    }
}

/// A region that was not read, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unread {
    /// Nested path.
    pub path: String,
    /// Offset in it.
    pub offset: u64,
    /// Length in bytes; 0 when the length is not known.
    pub bytes: u64,
    /// The reason in words.
    pub reason: String,
}

/// A size as people read it: 950 B, 5.8 MB.
#[must_use]
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{}.{} kB", bytes / 1_000, bytes % 1_000 / 100),
        1_000_000..1_000_000_000 => {
            format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
        }
        _ => format!("{}.{} GB", bytes / 1_000_000_000, bytes % 1_000_000_000 / 100_000_000),
    }
}
