//! ext2, ext3 and ext4: extents, indirect blocks, inline data, 64-bit group descriptors.
//! The journal is not replayed, and deleted files are not looked for.

use std::io::Write;

use super::{Fields, Format, Meta, Sink, Skipped, UnpackError, unclaimed::Claimed};
use crate::blob::{Blob, Spool};

pub(super) const FORMATS: &[Format] = &[Format {
    name: "ext",
    about: "ext2, ext3, ext4 (journal not replayed)",
    magics: &[(0x438, &[0x53, 0xef])],
    carved: true,
    detect: |b| Ext::open(b).is_ok(),
    unpack,
}];

fn unpack(blob: &Blob, sink: &mut dyn Sink) -> Result<u64, UnpackError> {
    let ext = Ext::open(blob)?;
    let end = ext.blocks * ext.block_size;
    if blob.len() < end {
        sink.unread("", blob.len(), 0, &UnpackError::Truncated { at: blob.len() });
    }
    let mut walk = Walk { claimed: ext.own(), ext, members: 0, path: vec![ROOT] };
    walk.directory(sink, ROOT, "")?;
    let end = end.min(blob.len());
    walk.claimed.rest(blob, end, sink)?;
    Ok(end)
}

struct Ext {
    blob: Blob,
    block_size: u64,
    blocks: u64,
    inodes: u32,
    inodes_per_group: u32,
    inode_size: u64,
    first_block: u64,
    descriptor_size: u64,
    blocks_per_group: u64,
    /// The first block of descriptors that stands in the groups that it describes.
    first_meta: Option<u64>,
    /// Backups of the superblock stand in some groups only.
    sparse: bool,
    /// Blocks behind the descriptors that are kept free for more of them.
    reserved: u64,
    filetype: bool,
}

impl Ext {
    fn open(blob: &Blob) -> Result<Self, UnpackError> {
        let sb = blob.exact(1024, 1024)?;
        let log = sb.le32(24)?;
        let incompatible = sb.le32(96)?;
        let revision = sb.le32(76)?;
        let wide = incompatible & 0x80 != 0;
        let inode_size = if revision == 0 { 128 } else { u64::from(sb.le16(88)?) };
        let high = if wide { u64::from(sb.le32(0x150)?) << 32 } else { 0 };
        let descriptor_size = if wide { u64::from(sb.le16(254)?) } else { 32 };
        let ext = Self {
            blob: blob.clone(),
            block_size: 1024u64.checked_shl(log).unwrap_or(0),
            blocks: u64::from(sb.le32(4)?) | high,
            inodes: sb.le32(0)?,
            inodes_per_group: sb.le32(40)?,
            inode_size,
            first_block: u64::from(sb.le32(20)?),
            descriptor_size,
            blocks_per_group: u64::from(sb.le32(32)?),
            first_meta: (incompatible & 0x10 != 0).then_some(u64::from(sb.le32(0x104)?)),
            sparse: sb.le32(100)? & 1 != 0,
            reserved: u64::from(sb.le16(0xce)?),
            filetype: incompatible & 2 != 0,
        };
        let sane = log <= 6
            && ext.blocks > 0
            && ext.blocks < 1 << 40
            && ext.inodes_per_group > 0
            && ext.inodes > 0
            && ext.inode_size.is_power_of_two()
            && (128..=4096).contains(&ext.inode_size)
            && (32..=1024).contains(&descriptor_size)
            && ext.first_block <= 1
            && revision <= 1
            && sb.le32(32)? > 0;
        if !sane {
            return Err(UnpackError::Corrupt("ext superblock"));
        }
        Ok(ext)
    }

    fn inode(&self, number: u32) -> Result<Vec<u8>, UnpackError> {
        if number == 0 || number > self.inodes {
            return Err(UnpackError::Corrupt("ext inode number"));
        }
        let group = u64::from((number - 1) / self.inodes_per_group);
        let index = u64::from((number - 1) % self.inodes_per_group);
        let block = self.group(group)?[2];
        let at = self.offset(block)?.checked_add(index * self.inode_size).ok_or(BAD)?;
        self.blob.exact(at, self.inode_size as usize)
    }

    /// Block bitmap, inode bitmap and inode table of a group.
    fn group(&self, group: u64) -> Result<[u64; 3], UnpackError> {
        let descriptor = self.blob.exact(self.descriptor(group)?, self.descriptor_size as usize)?;
        let mut blocks = [0; 3];
        for (slot, block) in blocks.iter_mut().enumerate() {
            *block = u64::from(descriptor.le32(slot * 4)?);
            if self.descriptor_size >= 64 {
                *block |= u64::from(descriptor.le32(0x20 + slot * 4)?) << 32;
            }
        }
        Ok(blocks)
    }

    fn descriptor(&self, group: u64) -> Result<u64, UnpackError> {
        let per_block = (self.block_size / self.descriptor_size).max(1);
        let table = group / per_block;
        if self.first_meta.is_none_or(|first| table < first) {
            // Clusters of 1 KiB blocks start at block 0, but the superblock stays in block 1.
            let superblock = self.first_block.max(1024 / self.block_size);
            return Ok((superblock + 1) * self.block_size + group * self.descriptor_size);
        }
        let first = table * per_block;
        let backup = !self.sparse || first <= 1 || [3, 5, 7].iter().any(|n| is_power(first, *n));
        let block = first
            .checked_mul(self.blocks_per_group)
            .and_then(|at| at.checked_add(self.first_block + u64::from(backup)))
            .ok_or(BAD)?;
        Ok(self.offset(block)? + group % per_block * self.descriptor_size)
    }

    /// The file system's own tables.
    fn own(&self) -> Claimed {
        let mut own = Claimed::default();
        let groups = u64::from(self.inodes.div_ceil(self.inodes_per_group)).min(MAX_GROUPS);
        let descriptors = groups * self.descriptor_size;
        own.add(0, (self.first_block + 1) * self.block_size + descriptors.max(self.block_size));
        let tables = descriptors.next_multiple_of(self.block_size);
        own.add(self.descriptor(0).unwrap_or(0), tables + self.reserved * self.block_size);
        let table = u64::from(self.inodes_per_group) * self.inode_size;
        for group in 0..groups {
            let Ok([blocks, inodes, at]) = self.group(group) else { break };
            for (block, len) in [(blocks, self.block_size), (inodes, self.block_size), (at, table)]
            {
                if let Ok(at) = self.offset(block) {
                    own.add(at, len);
                }
            }
        }
        own
    }

    fn offset(&self, block: u64) -> Result<u64, UnpackError> {
        if block >= self.blocks {
            return Err(BAD);
        }
        Ok(block * self.block_size)
    }

    /// Calls `run(first logical block, physical block or None for a hole, count)`.
    fn runs(
        &self,
        inode: &[u8],
        size: u64,
        claimed: &mut Claimed,
    ) -> Result<Vec<(u64, Option<u64>, u64)>, UnpackError> {
        let mut runs = Vec::new();
        let total = size.div_ceil(self.block_size);
        if inode.le32(32)? & 0x8_0000 != 0 {
            self.extents(inode.part(40, 60)?, 0, &mut runs, claimed)?;
        } else {
            let mut left = total;
            for slot in 0..12 {
                let block = u64::from(inode.le32(40 + slot * 4)?);
                self.indirect(block, 0, &mut left, &mut runs, claimed)?;
            }
            for level in 1..=3u32 {
                let block = u64::from(inode.le32(40 + (11 + level as usize) * 4)?);
                self.indirect(block, level, &mut left, &mut runs, claimed)?;
            }
        }
        Ok(runs)
    }

    fn extents(
        &self,
        node: &[u8],
        depth: u32,
        runs: &mut Vec<(u64, Option<u64>, u64)>,
        claimed: &mut Claimed,
    ) -> Result<(), UnpackError> {
        if node.le16(0)? != 0xf30a || depth > 5 {
            return Err(UnpackError::Corrupt("ext extent node"));
        }
        let leaf = node.le16(6)? == 0;
        for index in 0..usize::from(node.le16(2)?) {
            let entry = node.part(12 + index * 12, 12)?;
            if runs.len() > 1 << 18 {
                return Err(UnpackError::Bound("extents of one file"));
            }
            if leaf {
                let length = u64::from(entry.le16(4)?);
                let physical = u64::from(entry.le32(8)?) | u64::from(entry.le16(6)?) << 32;
                let logical = u64::from(entry.le32(0)?);
                // Over 32768 the extent is allocated but not written: it reads as zeros.
                if length > 32768 {
                    runs.push((logical, None, length - 32768));
                } else {
                    runs.push((logical, Some(physical), length));
                }
            } else {
                let block = u64::from(entry.le32(4)?) | u64::from(entry.le16(8)?) << 32;
                let node = self.blob.exact(self.offset(block)?, self.block_size as usize)?;
                claimed.add(self.offset(block)?, self.block_size);
                self.extents(&node, depth + 1, runs, claimed)?;
            }
        }
        Ok(())
    }

    fn indirect(
        &self,
        block: u64,
        level: u32,
        left: &mut u64,
        runs: &mut Vec<(u64, Option<u64>, u64)>,
        claimed: &mut Claimed,
    ) -> Result<(), UnpackError> {
        if *left == 0 {
            return Ok(());
        }
        let logical = runs.last().map_or(0, |(at, _, count)| at + count);
        if level == 0 || block == 0 {
            let per_block = self.block_size / 4;
            let span = per_block.saturating_pow(level).min(*left);
            let next = (block != 0).then_some(block);
            match runs.last_mut() {
                Some((_, Some(at), count)) if next == Some(*at + *count) => *count += span,
                _ => runs.push((logical, next, span)),
            }
            *left -= span;
            return Ok(());
        }
        let table = self.blob.exact(self.offset(block)?, self.block_size as usize)?;
        claimed.add(self.offset(block)?, self.block_size);
        for slot in 0..table.len() / 4 {
            let block = u64::from(table.le32(slot * 4)?);
            self.indirect(block, level - 1, left, runs, claimed)?;
        }
        Ok(())
    }

    fn read(
        &self,
        inode: &[u8],
        size: u64,
        sink: &mut dyn Sink,
        out: &mut Spool,
        claimed: &mut Claimed,
    ) -> Result<(), UnpackError> {
        if size > sink.limits().member_bytes {
            return Err(UnpackError::Bound("member size"));
        }
        // At once, so that a file that is too large leaves room for the others.
        sink.charge(size)?;
        if inode.le32(32)? & INLINE != 0 {
            let inline = inode.part(40, 60)?;
            out.write_all(&inline[..60.min(size as usize)])?;
            if size > 60 {
                let more = inline_rest(inode)?;
                out.write_all(more.part(0, (size - 60) as usize)?)?;
            }
            return Ok(());
        }
        for (logical, physical, count) in self.runs(inode, size, claimed)? {
            let from = logical.checked_mul(self.block_size).ok_or(BAD)?;
            if from >= size {
                continue;
            }
            if from < out.len() {
                return Err(UnpackError::Corrupt("ext extents overlap"));
            }
            out.zeros(from - out.len())?;
            let Some(physical) = physical else { continue };
            let want = (count * self.block_size).min(size - from);
            let at = self.offset(physical)?;
            claimed.add(at, want);
            let mut done = 0;
            while done < want {
                let piece = self.blob.exact(at + done, (want - done).min(1 << 16) as usize)?;
                done += piece.len() as u64;
                out.write_all(&piece)?;
            }
        }
        out.zeros(size.saturating_sub(out.len()))?;
        Ok(())
    }
}

/// What did not fit into the inode's sixty bytes: the value of the attribute `system.data`.
fn inline_rest(inode: &[u8]) -> Result<&[u8], UnpackError> {
    let missing = UnpackError::Corrupt("ext inline data without its attribute");
    let start = 128 + usize::from(inode.le16(128)?) + 4;
    if inode.le32(start - 4)? != 0xea02_0000 {
        return Err(missing);
    }
    let mut at = start;
    while inode.le32(at)? != 0 {
        let name_len = usize::from(inode[at]);
        let name = inode.part(at + 16, name_len)?;
        if inode[at + 1] == 7 && name == b"data" && inode.le32(at + 4)? == 0 {
            return inode
                .part(start + usize::from(inode.le16(at + 2)?), inode.le32(at + 8)? as usize);
        }
        at = (at + 16 + name_len).next_multiple_of(4);
    }
    Err(missing)
}

fn is_power(mut number: u64, base: u64) -> bool {
    while number > 1 && number.is_multiple_of(base) {
        number /= base;
    }
    number == 1
}

struct Walk {
    ext: Ext,
    members: u64,
    claimed: Claimed,
    /// Inodes of the directories above, so that a directory cannot contain itself.
    path: Vec<u32>,
}

impl Walk {
    fn directory(
        &mut self,
        sink: &mut dyn Sink,
        number: u32,
        path: &str,
    ) -> Result<(), UnpackError> {
        let inode = self.ext.inode(number)?;
        let size = size_of(&inode)?;
        if size > sink.limits().table_bytes as u64 {
            return Err(UnpackError::Bound("directory size"));
        }
        let mut listing = Spool::default();
        self.ext.read(&inode, size, sink, &mut listing, &mut self.claimed)?;
        let listing = listing.finish().bytes(0, size as usize);
        if inode.le32(32)? & INLINE != 0 {
            // The first four bytes are the parent's number, and entries do not span both parts.
            let (first, second) = listing.split_at(listing.len().min(60));
            self.entries(sink, first.get(4..).unwrap_or_default(), path)?;
            return self.entries(sink, second, path);
        }
        self.entries(sink, &listing, path)
    }

    fn entries(
        &mut self,
        sink: &mut dyn Sink,
        listing: &[u8],
        path: &str,
    ) -> Result<(), UnpackError> {
        let mut at = 0;
        while at + 8 <= listing.len() {
            let child = listing.le32(at)?;
            let step = usize::from(listing.le16(at + 4)?);
            let name_len = if self.ext.filetype {
                usize::from(listing[at + 6])
            } else {
                usize::from(listing.le16(at + 6)?)
            };
            if step < 8 {
                return Err(UnpackError::Corrupt("ext directory entry"));
            }
            if child != 0 && name_len > 0 {
                let name = super::name(listing.part(at + 8, name_len)?);
                if name != "." && name != ".." {
                    self.members += 1;
                    if self.members > sink.limits().members {
                        return Err(UnpackError::Bound("members"));
                    }
                    self.entry(sink, child, &format!("{path}/{name}"))?;
                }
            }
            at += step;
        }
        Ok(())
    }

    fn entry(&mut self, sink: &mut dyn Sink, child: u32, full: &str) -> Result<(), UnpackError> {
        let inode = match self.ext.inode(child) {
            Ok(inode) => inode,
            Err(error) => {
                sink.unread(full, 0, 0, &error);
                return Ok(());
            }
        };
        let mode = u32::from(inode.le16(0)?);
        match mode & 0o170_000 {
            0o040_000 if self.path.contains(&child) => {
                sink.unread(full, 0, 0, &UnpackError::Corrupt("directory cycle"));
            }
            0o040_000 if self.path.len() > 64 => {
                sink.unread(full, 0, 0, &UnpackError::Bound("directory depth"));
            }
            0o040_000 => {
                self.path.push(child);
                let done = self.directory(sink, child, full);
                self.path.pop();
                match done {
                    Err(error) if error.ends_walk() => return Err(error),
                    Err(error) => sink.unread(full, 0, 0, &error),
                    Ok(()) => {}
                }
            }
            0o100_000 => {
                let size = size_of(&inode)?;
                let mut out = Spool::default();
                let read = self.ext.read(&inode, size, sink, &mut out, &mut self.claimed);
                if let Err(error) = read {
                    sink.unread(full, 0, size.saturating_sub(out.len()), &error);
                }
                if inode.le32(32)? & ENCRYPTED != 0 {
                    let why = UnpackError::Unsupported("encrypted file".into());
                    sink.unread(full, 0, size, &why);
                    return Ok(());
                }
                let meta = Meta { mode: Some(mode & 0o7777), offset: None, raw: false };
                sink.member(full, out.finish(), meta)?;
            }
            0o120_000 => sink.skipped(full, Skipped::Symlink),
            _ => sink.skipped(full, Skipped::Special),
        }
        Ok(())
    }
}

fn size_of(inode: &[u8]) -> Result<u64, UnpackError> {
    Ok(u64::from(inode.le32(4)?) | u64::from(inode.le32(108)?) << 32)
}

const INLINE: u32 = 0x1000_0000;
const ENCRYPTED: u32 = 0x800;
const MAX_GROUPS: u64 = 1 << 16;
const ROOT: u32 = 2;
const BAD: UnpackError = UnpackError::Corrupt("ext block number");
