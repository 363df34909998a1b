//! ext2, ext3 and ext4: extents, indirect blocks, inline data, 64-bit group descriptors.
//! The journal is not replayed, and deleted files are not looked for.

use std::io::Write;

use super::{Fields, Format, Meta, Sink, Skipped, UnpackError, clean};
use crate::blob::{Blob, Spool};

pub(super) const FORMATS: &[Format] = &[Format {
    name: "ext",
    about: "ext2, ext3, ext4 (journal not replayed)",
    magics: &[(0x438, &[0x53, 0xef])],
    carved: true,
    detect: |b| Ext::open(b).is_ok(),
    unpack: |b, s| {
        let ext = Ext::open(b)?;
        let end = ext.blocks * ext.block_size;
        if b.len() < end {
            s.unread("", b.len(), 0, &UnpackError::Truncated { at: b.len() });
        }
        let mut walk = Walk { ext, members: 0, path: vec![ROOT] };
        walk.directory(s, ROOT, "")?;
        Ok(end.min(b.len()))
    },
}];

struct Ext {
    blob: Blob,
    block_size: u64,
    blocks: u64,
    inodes: u32,
    inodes_per_group: u32,
    inode_size: u64,
    first_block: u64,
    descriptor_size: u64,
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
        let table = (self.first_block + 1) * self.block_size + group * self.descriptor_size;
        let descriptor = self.blob.exact(table, self.descriptor_size as usize)?;
        let mut block = u64::from(descriptor.le32(8)?);
        if self.descriptor_size >= 64 {
            block |= u64::from(descriptor.le32(0x28)?) << 32;
        }
        let at = self.offset(block)?.checked_add(index * self.inode_size).ok_or(BAD)?;
        self.blob.exact(at, self.inode_size as usize)
    }

    fn offset(&self, block: u64) -> Result<u64, UnpackError> {
        if block >= self.blocks {
            return Err(BAD);
        }
        Ok(block * self.block_size)
    }

    /// Calls `run(first logical block, physical block or None for a hole, count)`.
    fn runs(&self, inode: &[u8], size: u64) -> Result<Vec<(u64, Option<u64>, u64)>, UnpackError> {
        let mut runs = Vec::new();
        let total = size.div_ceil(self.block_size);
        if inode.le32(32)? & 0x8_0000 != 0 {
            self.extents(inode.part(40, 60)?, 0, &mut runs)?;
        } else {
            let mut left = total;
            for slot in 0..12 {
                self.indirect(u64::from(inode.le32(40 + slot * 4)?), 0, &mut left, &mut runs)?;
            }
            for level in 1..=3u32 {
                let block = u64::from(inode.le32(40 + (11 + level as usize) * 4)?);
                self.indirect(block, level, &mut left, &mut runs)?;
            }
        }
        Ok(runs)
    }

    fn extents(
        &self,
        node: &[u8],
        depth: u32,
        runs: &mut Vec<(u64, Option<u64>, u64)>,
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
                self.extents(&node, depth + 1, runs)?;
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
        for slot in 0..table.len() / 4 {
            self.indirect(u64::from(table.le32(slot * 4)?), level - 1, left, runs)?;
        }
        Ok(())
    }

    fn read(
        &self,
        inode: &[u8],
        size: u64,
        sink: &mut dyn Sink,
        out: &mut Spool,
    ) -> Result<(), UnpackError> {
        if size > sink.limits().member_bytes {
            return Err(UnpackError::Bound("member size"));
        }
        if inode.le32(32)? & 0x1000_0000 != 0 {
            let inline = inode.part(40, 60)?;
            out.write_all(&inline[..60.min(size as usize)])?;
            if size > 60 {
                return Err(UnpackError::Unsupported("ext inline data over 60 bytes".into()));
            }
            return Ok(());
        }
        for (logical, physical, count) in self.runs(inode, size)? {
            let from = logical.checked_mul(self.block_size).ok_or(BAD)?;
            if from >= size {
                continue;
            }
            if from < out.len() {
                return Err(UnpackError::Corrupt("ext extents overlap"));
            }
            sink.charge(from - out.len())?;
            out.zeros(from - out.len())?;
            let Some(physical) = physical else { continue };
            let want = (count * self.block_size).min(size - from);
            sink.charge(want)?;
            let at = self.offset(physical)?;
            let mut done = 0;
            while done < want {
                let piece = self.blob.exact(at + done, (want - done).min(1 << 16) as usize)?;
                done += piece.len() as u64;
                out.write_all(&piece)?;
            }
        }
        sink.charge(size.saturating_sub(out.len()))?;
        out.zeros(size.saturating_sub(out.len()))?;
        Ok(())
    }
}

struct Walk {
    ext: Ext,
    members: u64,
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
        let inline = inode.le32(32)? & 0x1000_0000 != 0;
        self.ext.read(&inode, if inline { size.min(60) } else { size }, sink, &mut listing)?;
        let listing = listing.finish().bytes(0, size as usize);
        // Inline directories begin with the parent's inode number.
        let mut at = if inline { 4 } else { 0 };
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
                let name = clean(&String::from_utf8_lossy(listing.part(at + 8, name_len)?));
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
            0o040_000 if self.path.len() > 64 => return Err(UnpackError::Bound("directory depth")),
            0o040_000 => {
                self.path.push(child);
                let done = self.directory(sink, child, full);
                self.path.pop();
                match done {
                    Err(error @ UnpackError::Bound(_)) => return Err(error),
                    Err(error) => sink.unread(full, 0, 0, &error),
                    Ok(()) => {}
                }
            }
            0o100_000 => {
                let size = size_of(&inode)?;
                let mut out = Spool::default();
                if let Err(error) = self.ext.read(&inode, size, sink, &mut out) {
                    sink.unread(full, 0, size.saturating_sub(out.len()), &error);
                    if matches!(error, UnpackError::Bound("expansion")) {
                        return Err(error);
                    }
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

const ROOT: u32 = 2;
const BAD: UnpackError = UnpackError::Corrupt("ext block number");
