//! JFFS2, both byte orders: nodes are scanned, the highest version of each wins.
//! Compression none, zero, rtime, zlib, lzo; rubin is reported as not read.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    io::Write,
};

use super::{Fields, Format, Meta, Sink, Skipped, UnpackError, lzo, name, stream};
use crate::blob::{Blob, Spool};

pub(super) const FORMATS: &[Format] = &[Format {
    name: "jffs2",
    about: "JFFS2 with zlib, lzo, rtime or no compression (rubin is not read)",
    magics: &[
        (0, &[0x85, 0x19, 0x03, 0x20]),
        (0, &[0x85, 0x19, 0x01, 0xe0]),
        (0, &[0x85, 0x19, 0x02, 0xe0]),
        (0, &[0x19, 0x85, 0x20, 0x03]),
        (0, &[0x19, 0x85, 0xe0, 0x01]),
        (0, &[0x19, 0x85, 0xe0, 0x02]),
    ],
    carved: true,
    detect: |b| {
        let little = b.bytes(0, 1) == [0x85];
        Node::read(b, 0, little).is_some()
    },
    unpack,
}];

struct Node {
    kind: u16,
    len: u64,
}

impl Node {
    fn read(blob: &Blob, at: u64, little: bool) -> Option<Self> {
        let head = blob.exact(at, 12).ok()?;
        let word = |at| if little { head.le32(at) } else { head.be32(at) };
        let half = |at| if little { head.le16(at) } else { head.be16(at) };
        (half(0).ok()? == 0x1985).then_some(())?;
        // The header's CRC-32 starts from zero and is not inverted.
        (word(8).ok()? == crc(&head[..8])).then_some(())?;
        let len = u64::from(word(4).ok()?);
        (len >= 12).then_some(Self { kind: half(2).ok()?, len })
    }
}

#[derive(Clone, Copy)]
struct Piece {
    version: u32,
    at: u64,
}

struct Entry {
    version: u32,
    parent: u32,
    inode: u32,
    name: Vec<u8>,
}

#[derive(Default)]
struct Files {
    entries: BTreeMap<(u32, Vec<u8>), Entry>,
    pieces: BTreeMap<u32, Vec<Piece>>,
    /// Kind, inode and version of every node: none is written twice in one file system.
    seen: HashSet<(u16, u32, u32)>,
}

fn unpack(blob: &Blob, sink: &mut dyn Sink) -> Result<u64, UnpackError> {
    let little = blob.bytes(0, 1) == [0x85];
    let mut files = Files::default();
    let end = scan(blob, little, sink, &mut files)?;
    let image = blob.slice(0, end);
    let mut children: BTreeMap<u32, Vec<&Entry>> = BTreeMap::new();
    for entry in files.entries.values().filter(|e| e.inode != 0) {
        children.entry(entry.parent).or_default().push(entry);
    }
    let mut walk = Walk {
        image: &image,
        little,
        files: &files,
        children: &children,
        reached: BTreeSet::new(),
    };
    walk.directory(sink, ROOT, "", 0)?;
    // Files whose directory entry was deleted or lost still hold data.
    let lost: Vec<u32> = files
        .pieces
        .keys()
        .filter(|n| !walk.reached.contains(*n) && **n != ROOT)
        .copied()
        .collect();
    for inode in lost {
        walk.one(sink, inode, &format!("/(no name)/{inode}"))?;
    }
    Ok(end)
}

fn scan(
    blob: &Blob,
    little: bool,
    sink: &mut dyn Sink,
    files: &mut Files,
) -> Result<u64, UnpackError> {
    let mut at = 0;
    let mut end = 0;
    let mut nodes = 0;
    while at + 12 <= blob.len() {
        let Some(node) = Node::read(blob, at, little) else {
            // Unwritten flash or a torn node: look on, but not for more than a large
            // erase block past the last good node.
            if at - end > ERASE_BLOCK {
                break;
            }
            at += 4;
            continue;
        };
        nodes += 1;
        if nodes > 4 * sink.limits().members {
            return Err(UnpackError::Bound("nodes"));
        }
        let word = |raw: &[u8], at| if little { raw.le32(at) } else { raw.be32(at) };
        match node.kind & 0x3fff {
            0x2001 => {
                if let Ok(raw) = blob.exact(at, 40) {
                    if !files.seen.insert((1, word(&raw, 12)?, word(&raw, 16)?)) {
                        break;
                    }
                    let name_len = usize::from(raw[28]);
                    let name = blob.bytes(at + 40, name_len);
                    let entry = Entry {
                        parent: word(&raw, 12)?,
                        version: word(&raw, 16)?,
                        inode: word(&raw, 20)?,
                        name,
                    };
                    let key = (entry.parent, entry.name.clone());
                    if files.entries.get(&key).is_none_or(|old| old.version <= entry.version) {
                        files.entries.insert(key, entry);
                    }
                }
            }
            0x2002 => {
                if let Ok(raw) = blob.exact(at, 68) {
                    // Another file system begins right behind the first.
                    if !files.seen.insert((2, word(&raw, 12)?, word(&raw, 16)?)) {
                        break;
                    }
                    let piece = Piece { version: word(&raw, 16)?, at };
                    files.pieces.entry(word(&raw, 12)?).or_default().push(piece);
                }
            }
            _ => {}
        }
        at = (at + node.len).next_multiple_of(4);
        end = at.min(blob.len());
    }
    // The erased rest of the last erase block belongs to the file system.
    let mut rest = end;
    while rest < blob.len() {
        let chunk = blob.bytes(rest, 4096);
        let erased = chunk.iter().take_while(|&&b| b == 0xff).count();
        rest += erased as u64;
        if erased < chunk.len() {
            break;
        }
    }
    Ok(rest)
}

struct Walk<'a> {
    image: &'a Blob,
    little: bool,
    files: &'a Files,
    children: &'a BTreeMap<u32, Vec<&'a Entry>>,
    reached: BTreeSet<u32>,
}

impl Walk<'_> {
    fn directory(
        &mut self,
        sink: &mut dyn Sink,
        inode: u32,
        path: &str,
        depth: u32,
    ) -> Result<(), UnpackError> {
        if depth > 64 {
            sink.unread(path, 0, 0, &UnpackError::Bound("directory depth"));
            return Ok(());
        }
        let Some(entries) = self.children.get(&inode) else { return Ok(()) };
        for entry in entries {
            let full = format!("{path}/{}", name(&entry.name));
            let seen = !self.reached.insert(entry.inode);
            if self.children.contains_key(&entry.inode) && !seen {
                self.directory(sink, entry.inode, &full, depth + 1)?;
            }
            self.one(sink, entry.inode, &full)?;
        }
        Ok(())
    }

    /// A file; what is wrong with it does not keep the others from being read.
    fn one(&mut self, sink: &mut dyn Sink, inode: u32, full: &str) -> Result<(), UnpackError> {
        match self.file(sink, inode, full) {
            Err(error) if !error.ends_walk() => sink.unread(full, 0, 0, &error),
            done => done?,
        }
        Ok(())
    }

    fn file(&mut self, sink: &mut dyn Sink, inode: u32, full: &str) -> Result<(), UnpackError> {
        let Some(pieces) = self.files.pieces.get(&inode) else { return Ok(()) };
        let mut pieces = pieces.clone();
        pieces.sort_by_key(|piece| piece.version);
        let Some(last) = pieces.last() else { return Ok(()) };
        let last = self.inode_node(last.at)?;
        match last.mode & 0o170_000 {
            0o100_000 => {}
            0o040_000 => return Ok(()),
            0o120_000 => {
                sink.skipped(full, Skipped::Symlink);
                return Ok(());
            }
            _ => {
                sink.skipped(full, Skipped::Special);
                return Ok(());
            }
        }
        let size = last.size;
        if size > sink.limits().member_bytes.min(1 << 30) {
            sink.unread(full, 0, size, &UnpackError::Bound("member size"));
            return Ok(());
        }
        sink.charge(size)?;
        let content = self.content(sink, &pieces, size, full)?;
        let meta = Meta { mode: Some(last.mode & 0o7777), offset: None, raw: false };
        sink.member(full, content, meta)
    }

    /// Lays the pieces over each other in the order of their versions.
    fn content(
        &self,
        sink: &mut dyn Sink,
        pieces: &[Piece],
        size: u64,
        full: &str,
    ) -> Result<Blob, UnpackError> {
        // From the newest to the oldest, each piece fills only what is still open.
        let mut covered: BTreeMap<u64, (u64, usize)> = BTreeMap::new();
        for (index, piece) in pieces.iter().enumerate().rev() {
            let node = self.inode_node(piece.at)?;
            let end = (node.offset + node.plain).min(size);
            let mut at = node.offset;
            while at < end {
                let before = covered.range(..=at).next_back().map(|(_, (end, _))| *end);
                if let Some(stop) = before.filter(|stop| *stop > at) {
                    at = stop;
                    continue;
                }
                let stop = covered.range(at..).next().map_or(end, |(from, _)| (*from).min(end));
                covered.insert(at, (stop, index));
                at = stop;
            }
        }
        let mut out = Spool::default();
        for (from, (to, index)) in covered {
            out.zeros(from.saturating_sub(out.len()))?;
            let node = self.inode_node(pieces[index].at)?;
            match self.plain(&node) {
                Ok(data) => {
                    let skip = (from - node.offset) as usize;
                    out.write_all(data.part(skip, (to - from) as usize)?)?;
                }
                Err(error) => {
                    sink.unread(full, node.at, node.packed, &error);
                    out.zeros(to - from)?;
                }
            }
        }
        out.zeros(size.saturating_sub(out.len()))?;
        Ok(out.finish())
    }

    fn inode_node(&self, at: u64) -> Result<InodeNode, UnpackError> {
        let raw = self.image.exact(at, 68)?;
        let word = |at| if self.little { raw.le32(at) } else { raw.be32(at) };
        let node = InodeNode {
            at: at + 68,
            mode: word(20)?,
            size: u64::from(word(28)?),
            offset: u64::from(word(44)?),
            packed: u64::from(word(48)?),
            plain: u64::from(word(52)?),
            compression: raw[56],
        };
        // Data nodes hold at most one page; some makers use larger ones.
        if node.plain > 1 << 16 || node.packed > 1 << 16 {
            return Err(UnpackError::Corrupt("JFFS2 data node size"));
        }
        Ok(node)
    }

    fn plain(&self, node: &InodeNode) -> Result<Vec<u8>, UnpackError> {
        let data = self.image.exact(node.at, node.packed as usize)?;
        let plain = node.plain as usize;
        match node.compression {
            0 => Ok(data),
            1 => Ok(vec![0; plain]),
            2 => rtime(&data, plain),
            6 => stream::inflate(&data, plain),
            7 => lzo::decompress(&data, plain),
            other => Err(UnpackError::Unsupported(format!("JFFS2 compression {other}"))),
        }
    }
}

struct InodeNode {
    at: u64,
    mode: u32,
    size: u64,
    offset: u64,
    packed: u64,
    plain: u64,
    compression: u8,
}

/// The "rtime" run-length coder: a byte, then how far to repeat from its last position.
fn rtime(data: &[u8], limit: usize) -> Result<Vec<u8>, UnpackError> {
    let mut last = [0usize; 256];
    let mut out: Vec<u8> = Vec::with_capacity(limit);
    for pair in data.chunks_exact(2) {
        if out.len() >= limit {
            break;
        }
        out.push(pair[0]);
        let from = last[usize::from(pair[0])];
        last[usize::from(pair[0])] = out.len();
        for step in 0..usize::from(pair[1]) {
            let byte = *out.get(from + step).ok_or(UnpackError::Corrupt("rtime"))?;
            if out.len() >= limit {
                return Err(UnpackError::Corrupt("rtime"));
            }
            out.push(byte);
        }
    }
    if out.len() == limit { Ok(out) } else { Err(UnpackError::Corrupt("rtime")) }
}

/// CRC-32 with a zero start and no final inversion.
fn crc(data: &[u8]) -> u32 {
    data.iter().fold(0, |mut sum, &byte| {
        sum ^= u32::from(byte);
        for _ in 0..8 {
            sum = sum >> 1 ^ if sum & 1 == 1 { 0xedb8_8320 } else { 0 };
        }
        sum
    })
}

const ROOT: u32 = 1;
const ERASE_BLOCK: u64 = 512 << 10;
