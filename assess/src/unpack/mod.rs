//! Readers for what firmware is packed in. In-process, bounded, read-only: nothing is
//! ever written where an archive member's name says, and no external program runs.
//!
//! A reader gets a [`Blob`] and a [`Sink`]. It hands each member to the sink, reports
//! what it could not read, and returns how many bytes of the blob were its own.

mod archive;
mod carve;
mod cramfs;
mod esp;
mod ext;
mod fat;
mod fdt;
mod git;
mod hexfile;
mod jffs2;
mod lzo;
mod mcuboot;
mod partition;
mod romfs;
mod sparse;
mod squashfs;
mod stream;
mod suit;
mod ubi;
mod ubifs;
mod unclaimed;
mod wide;
mod zip;

use std::io::{self, Read, Write};

pub use carve::{Hit, carve};
pub use git::Names as GitNames;
pub(crate) use git::blob_id;
pub use mcuboot::Trailer;

use crate::blob::{Blob, Spool};

/// Why a reader stopped, or left something out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// The data ends before the structure does.
    #[error("truncated at 0x{at:x}")]
    Truncated {
        /// Offset in the blob.
        at: u64,
    },
    /// A field has a value that the format forbids.
    #[error("corrupt: {0}")]
    Corrupt(&'static str),
    /// The format is known but this variant is not read.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// A bound of [`Limits`] was reached.
    #[error("bound reached: {0}")]
    Bound(&'static str),
    /// The temporary store failed.
    #[error("temporary storage: {0}")]
    Storage(String),
}

impl UnpackError {
    /// Whether nothing more of a container may be read. One file that is too large or lies too
    /// deep says nothing about its neighbours.
    pub(crate) fn ends_walk(&self) -> bool {
        matches!(self, Self::Bound("members" | "nodes"))
    }
}

impl From<io::Error> for UnpackError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated { at: 0 },
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                Self::Corrupt("compressed data")
            }
            _ => Self::Storage(error.to_string()),
        }
    }
}

/// Bounds that hold for every input.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Containers inside containers.
    pub depth: u32,
    /// Members of one container.
    pub members: u64,
    /// Bytes that one input may expand to, as a multiple of its size ...
    pub expansion: u64,
    /// ... but never less than this ...
    pub expansion_floor_bytes: u64,
    /// ... and never more than this.
    pub expansion_ceiling_bytes: u64,
    /// Bytes of one member.
    pub member_bytes: u64,
    /// Bytes of one metadata table held in memory.
    pub table_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 12,
            members: 400_000,
            expansion: 100,
            expansion_floor_bytes: 512 << 20,
            expansion_ceiling_bytes: 16 << 30,
            member_bytes: 8 << 30,
            table_bytes: 24 << 20,
        }
    }
}

/// What is known about a member besides its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Unix mode bits, where the container has them.
    pub mode: Option<u32>,
    /// Offset of the member in its container, where it has one.
    pub offset: Option<u64>,
    /// Whether the bytes lie unchanged in the container.
    pub raw: bool,
}

/// A member that has no bytes to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skipped {
    /// Symbolic link; never followed.
    Symlink,
    /// Device node, socket or pipe; never opened.
    Special,
    /// A name that climbs out of its container; the content is read all the same.
    Escape,
}

/// Takes what a reader finds.
pub trait Sink {
    /// A member. Returns an error when the walk must stop.
    ///
    /// # Errors
    /// [`UnpackError::Bound`] when a limit is reached.
    fn member(&mut self, name: &str, blob: Blob, meta: Meta) -> Result<(), UnpackError>;
    /// A member without content.
    fn skipped(&mut self, name: &str, kind: Skipped);
    /// Bytes of the container that could not be read, with the reason.
    fn unread(&mut self, name: &str, offset: u64, len: u64, why: &UnpackError);
    /// Asks to produce `bytes` of output.
    ///
    /// # Errors
    /// [`UnpackError::Bound`] when the input has expanded too far.
    fn charge(&mut self, bytes: u64) -> Result<(), UnpackError>;
    /// Bounds in force.
    fn limits(&self) -> &Limits;
    /// A fact about the container, for the rules (for example an image header's fields).
    fn fact(&mut self, fact: Fact);
}

/// Facts that readers learn about signed or bootable images.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fact {
    /// An MCUboot image.
    Mcuboot(Trailer),
    /// An ESP-IDF application image, and whether it carries an appended hash.
    EspImage {
        /// SHA-256 appended by the build.
        hashed: bool,
        /// A secure-boot signature block follows.
        signed: bool,
    },
    /// A FIT image.
    Fit {
        /// A signature node is present.
        signed: bool,
        /// A hash node is present.
        hashed: bool,
    },
    /// A legacy uImage: a checksum, never a signature.
    UImage,
    /// A SUIT envelope and whether its authentication wrapper holds a COSE object.
    Suit {
        /// A COSE authentication block is present.
        signed: bool,
    },
}

/// One format that can be read.
pub struct Format {
    /// Short name, as in a location.
    pub name: &'static str,
    /// What it is, for the documents.
    pub about: &'static str,
    /// Magic numbers and their offset from the start.
    pub magics: &'static [(usize, &'static [u8])],
    /// Whether it is also looked for inside raw dumps.
    pub carved: bool,
    detect: fn(&Blob) -> bool,
    unpack: fn(&Blob, &mut dyn Sink) -> Result<u64, UnpackError>,
}

impl Format {
    /// Whether the blob starts with this format.
    #[must_use]
    pub fn detect(&self, blob: &Blob) -> bool {
        (self.magics.is_empty()
            || self.magics.iter().any(|(at, magic)| blob.bytes(*at as u64, magic.len()) == *magic))
            && (self.detect)(blob)
    }

    /// Reads the blob; returns how many of its bytes belong to the format.
    ///
    /// # Errors
    /// [`UnpackError`] when nothing, or nothing more, can be read.
    pub fn unpack(&self, blob: &Blob, sink: &mut dyn Sink) -> Result<u64, UnpackError> {
        (self.unpack)(blob, sink)
    }
}

impl std::fmt::Debug for Format {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.name)
    }
}

/// The format that the blob starts with.
#[must_use]
pub fn identify(blob: &Blob) -> Option<&'static Format> {
    if blob.len() < 8 {
        return None;
    }
    FORMATS.iter().copied().flatten().find(|format| format.detect(blob))
}

/// Every format, in the order of detection.
pub fn formats() -> impl Iterator<Item = &'static Format> {
    FORMATS.iter().copied().flatten()
}

/// Copies a stream into a blob under the bounds. What came before an error is kept.
pub(crate) fn spool(
    reader: &mut dyn Read,
    sink: &mut dyn Sink,
) -> Result<(Blob, Option<UnpackError>), UnpackError> {
    let mut out = Spool::default();
    let mut buffer = vec![0; 64 << 10];
    let problem = loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => break None,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => break Some(UnpackError::from(error)),
        };
        if let Err(error) = sink.charge(count as u64) {
            break Some(error);
        }
        if out.len() + count as u64 > sink.limits().member_bytes {
            break Some(UnpackError::Bound("member size"));
        }
        out.write_all(&buffer[..count])?;
    };
    Ok((out.finish(), problem))
}

/// Little- and big-endian fields of a slice; reading past the end is an error.
pub(crate) trait Fields {
    fn le16(&self, at: usize) -> Result<u16, UnpackError>;
    fn le32(&self, at: usize) -> Result<u32, UnpackError>;
    fn le64(&self, at: usize) -> Result<u64, UnpackError>;
    fn be16(&self, at: usize) -> Result<u16, UnpackError>;
    fn be32(&self, at: usize) -> Result<u32, UnpackError>;
    fn be64(&self, at: usize) -> Result<u64, UnpackError>;
    fn part(&self, at: usize, len: usize) -> Result<&[u8], UnpackError>;
}

impl Fields for [u8] {
    fn le16(&self, at: usize) -> Result<u16, UnpackError> {
        self.part(at, 2).map(|b| u16::from_le_bytes([b[0], b[1]]))
    }
    fn le32(&self, at: usize) -> Result<u32, UnpackError> {
        self.part(at, 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }
    fn le64(&self, at: usize) -> Result<u64, UnpackError> {
        Ok(u64::from(self.le32(at)?) | u64::from(self.le32(at + 4)?) << 32)
    }
    fn be16(&self, at: usize) -> Result<u16, UnpackError> {
        self.le16(at).map(u16::swap_bytes)
    }
    fn be32(&self, at: usize) -> Result<u32, UnpackError> {
        self.le32(at).map(u32::swap_bytes)
    }
    fn be64(&self, at: usize) -> Result<u64, UnpackError> {
        self.le64(at).map(u64::swap_bytes)
    }
    fn part(&self, at: usize, len: usize) -> Result<&[u8], UnpackError> {
        at.checked_add(len)
            .and_then(|end| self.get(at..end))
            .ok_or(UnpackError::Truncated { at: at as u64 })
    }
}

/// Text up to the first NUL, with control characters made visible.
pub(crate) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    name(&bytes[..end])
}

/// A name in whatever encoding: bytes that are no UTF-8 are written out, so that two different
/// names stay two.
pub(crate) fn name(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    clean(&out)
}

/// A name that is safe to print: no control characters, no line breaks, bounded.
#[must_use]
pub fn clean(name: &str) -> String {
    name.chars()
        .take(1024)
        .map(|c| if c.is_control() || is_direction(c) { '\u{fffd}' } else { c })
        .collect()
}

fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a member's name would leave the directory it is unpacked to.
pub(crate) fn escapes(name: &str) -> bool {
    name.starts_with('/') && name.contains("/../") || name.split(['/', '\\']).any(|p| p == "..")
}

const FORMATS: &[&[Format]] = &[
    squashfs::FORMATS,
    ubi::FORMATS,
    ubifs::FORMATS,
    jffs2::FORMATS,
    cramfs::FORMATS,
    romfs::FORMATS,
    sparse::FORMATS,
    fdt::FORMATS,
    esp::FORMATS,
    mcuboot::FORMATS,
    suit::FORMATS,
    git::FORMATS,
    zip::FORMATS,
    archive::FORMATS,
    stream::FORMATS,
    ext::FORMATS,
    fat::FORMATS,
    partition::FORMATS,
    hexfile::FORMATS,
    wide::FORMATS,
];
