//! UBIFS: nodes are scanned and the highest sequence number of each key wins, so that
//! the journal counts too. Compression none, lzo, zlib, zstd.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
};

use super::{Fields, Format, Meta, Sink, Skipped, UnpackError, lzo, stream};
use crate::blob::{Blob, Spool};

pub(super) const FORMATS: &[Format] = &[Format {
    name: "ubifs",
    about: "UBIFS with lzo, zlib, zstd or no compression (encrypted files are not read)",
    magics: &[(0, &[0x31, 0x18, 0x10, 0x06])],
    carved: true,
    // The superblock is the first node.
    detect: |b| b.exact(0, 24).is_ok_and(|h| h[20] == 6),
    unpack,
}];

struct Found {
    sequence: u64,
    at: u64,
    len: usize,
}

#[derive(Default)]
struct Nodes {
    inodes: BTreeMap<u32, Found>,
    data: BTreeMap<(u32, u32), Found>,
    entries: BTreeMap<(u32, Vec<u8>), (u64, u32)>,
}

fn unpack(blob: &Blob, sink: &mut dyn Sink) -> Result<u64, UnpackError> {
    let sb = blob.exact(0, 4096.min(blob.len() as usize))?;
    let leb_size = u64::from(sb.le32(36)?);
    let leb_count = u64::from(sb.le32(40)?);
    if !(4096..=8 << 20).contains(&leb_size) {
        return Err(UnpackError::Corrupt("UBIFS block size"));
    }
    let end = (leb_size * leb_count).min(blob.len());
    let image = blob.slice(0, end);
    let mut nodes = Nodes::default();
    scan(&image, leb_size, sink, &mut nodes)?;
    let mut children: BTreeMap<u32, Vec<(Vec<u8>, u32)>> = BTreeMap::new();
    for ((parent, name), (_, inode)) in &nodes.entries {
        if *inode != 0 {
            children.entry(*parent).or_default().push((name.clone(), *inode));
        }
    }
    let mut walk =
        Walk { image: &image, nodes: &nodes, children: &children, reached: BTreeSet::new() };
    walk.directory(sink, ROOT, "", 0)?;
    // Deleted files, and those whose directory was not reached, may still hold data.
    let mut lost: Vec<u32> = nodes.data.keys().map(|(inode, _)| *inode).collect();
    lost.dedup();
    for inode in lost.into_iter().filter(|inode| !walk.reached.contains(inode)) {
        walk.nameless(sink, inode)?;
    }
    Ok(end)
}

fn scan(
    image: &Blob,
    leb_size: u64,
    sink: &mut dyn Sink,
    nodes: &mut Nodes,
) -> Result<(), UnpackError> {
    let mut count = 0;
    let mut base = 0;
    while base < image.len() {
        let leb = image.bytes(base, leb_size as usize);
        let mut at = 0;
        while at + 24 <= leb.len() {
            let magic_fits = leb.le32(at)? == 0x0610_1831;
            let len = leb.le32(at + 16)? as usize;
            if !magic_fits || len < 24 || at + len > leb.len() || !crc_fits(&leb[at..at + len]) {
                at += 8;
                continue;
            }
            count += 1;
            if count > 8 * sink.limits().members {
                return Err(UnpackError::Bound("nodes"));
            }
            node(&leb[at..at + len], base + at as u64, nodes)?;
            at = (at + len).next_multiple_of(8);
        }
        base += leb_size;
    }
    Ok(())
}

fn node(raw: &[u8], at: u64, nodes: &mut Nodes) -> Result<(), UnpackError> {
    let sequence = raw.le64(8)?;
    let found = Found { sequence, at, len: raw.len() };
    match raw[20] {
        0 => {
            let slot = nodes.inodes.entry(raw.le32(24)?);
            newest(slot, found);
        }
        1 => {
            let block = raw.le32(28)? & 0x1fff_ffff;
            newest(nodes.data.entry((raw.le32(24)?, block)), found);
        }
        2 => {
            let parent = raw.le32(24)?;
            let inode = raw.le64(40)? as u32;
            let name_len = usize::from(raw.le16(50)?);
            let name = raw.part(56, name_len)?.to_vec();
            let slot = nodes.entries.entry((parent, name)).or_insert((0, 0));
            if slot.0 <= sequence {
                *slot = (sequence, inode);
            }
        }
        _ => {}
    }
    Ok(())
}

fn newest<K: Ord>(slot: std::collections::btree_map::Entry<'_, K, Found>, found: Found) {
    use std::collections::btree_map::Entry;
    match slot {
        Entry::Vacant(slot) => {
            slot.insert(found);
        }
        Entry::Occupied(mut slot) if slot.get().sequence <= found.sequence => {
            slot.insert(found);
        }
        Entry::Occupied(_) => {}
    }
}

struct Walk<'a> {
    image: &'a Blob,
    nodes: &'a Nodes,
    children: &'a BTreeMap<u32, Vec<(Vec<u8>, u32)>>,
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
        for (name, child) in entries {
            let full = format!("{path}/{}", super::name(name));
            let Some(found) = self.nodes.inodes.get(child) else {
                sink.unread(&full, 0, 0, &UnpackError::Corrupt("UBIFS inode is missing"));
                continue;
            };
            let raw = self.image.exact(found.at, found.len)?;
            let mode = raw.le32(104)?;
            match mode & 0o170_000 {
                0o040_000 => {
                    if self.reached.insert(*child) {
                        self.directory(sink, *child, &full, depth + 1)?;
                    }
                }
                0o100_000 => {
                    self.reached.insert(*child);
                    self.file(sink, *child, raw.le64(48)?, mode, &full)?;
                }
                0o120_000 => sink.skipped(&full, Skipped::Symlink),
                _ => sink.skipped(&full, Skipped::Special),
            }
        }
        Ok(())
    }

    /// What is there of a file that no directory names.
    fn nameless(&self, sink: &mut dyn Sink, inode: u32) -> Result<(), UnpackError> {
        let (mut mode, mut size) = (0, 0);
        if let Some(found) = self.nodes.inodes.get(&inode) {
            let raw = self.image.exact(found.at, found.len)?;
            (mode, size) = (raw.le32(104)?, raw.le64(48)?);
        }
        if size == 0 {
            let last = self.nodes.data.range((inode, 0)..=(inode, u32::MAX)).next_back();
            size = last.map_or(0, |((_, block), _)| (u64::from(*block) + 1) * BLOCK);
        }
        self.file(sink, inode, size, mode, &format!("/(no name)/{inode}"))
    }

    fn file(
        &self,
        sink: &mut dyn Sink,
        inode: u32,
        size: u64,
        mode: u32,
        full: &str,
    ) -> Result<(), UnpackError> {
        if size > sink.limits().member_bytes {
            sink.unread(full, 0, size, &UnpackError::Bound("member size"));
            return Ok(());
        }
        // At once, so that a file that is too large leaves room for the others.
        if let Err(error) = sink.charge(size) {
            sink.unread(full, 0, size, &error);
            return Ok(());
        }
        let mut out = Spool::default();
        for ((_, block), found) in self.nodes.data.range((inode, 0)..=(inode, u32::MAX)) {
            let from = u64::from(*block) * BLOCK;
            if from >= size {
                break;
            }
            out.zeros(from.saturating_sub(out.len()))?;
            let want = (size - from).min(BLOCK);
            match self.block(found) {
                Ok(data) => {
                    let take = data.len().min(want as usize);
                    out.write_all(&data[..take])?;
                    out.zeros(want - take as u64)?;
                }
                Err(error) => {
                    sink.unread(full, found.at, found.len as u64, &error);
                    out.zeros(want)?;
                }
            }
        }
        out.zeros(size.saturating_sub(out.len()))?;
        let meta = Meta { mode: Some(mode & 0o7777), offset: None, raw: false };
        sink.member(full, out.finish(), meta)
    }

    fn block(&self, found: &Found) -> Result<Vec<u8>, UnpackError> {
        let raw = self.image.exact(found.at, found.len)?;
        let plain = raw.le32(40)? as usize;
        let data = raw.part(48, raw.len() - 48.min(raw.len()))?;
        if plain > BLOCK as usize {
            return Err(UnpackError::Corrupt("UBIFS data size"));
        }
        match raw.le16(44)? {
            0 => Ok(data.to_vec()),
            1 => lzo::decompress(data, plain),
            2 => stream::inflate_raw(data, plain),
            3 => stream::unzstd(data, plain),
            other => Err(UnpackError::Unsupported(format!("UBIFS compression {other}"))),
        }
    }
}

fn crc_fits(node: &[u8]) -> bool {
    let mut sum = flate2::Crc::new();
    sum.update(&node[8..]);
    // UBIFS leaves out the final inversion.
    node.le32(4).is_ok_and(|stored| stored == !sum.sum())
}

const ROOT: u32 = 1;
const BLOCK: u64 = 4096;
