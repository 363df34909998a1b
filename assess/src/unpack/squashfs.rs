//! Squashfs 4.0, both byte orders, with gzip, lzma, lzo, xz, lz4 and zstd blocks.

use std::{collections::BTreeMap, io::Write};

use super::{Fields, Format, Meta, Sink, Skipped, UnpackError, lzo, stream};
use crate::blob::{Blob, Spool};

pub(super) const FORMATS: &[Format] = &[Format {
    name: "squashfs",
    about: "Squashfs 4.0 with gzip, lzma, lzo, xz, lz4 or zstd",
    magics: &[(0, b"hsqs"), (0, b"sqsh"), (0, b"shsq"), (0, b"qshs")],
    carved: true,
    detect: |b| Super::read(b).is_ok(),
    unpack: |b, s| {
        let head = Super::read(b)?;
        let end = head.bytes_used.min(b.len());
        if head.major != 4 {
            return Err(UnpackError::Unsupported(format!("squashfs version {}", head.major)));
        }
        if b.len() < head.bytes_used {
            let why = UnpackError::Truncated { at: b.len() };
            s.unread("", b.len(), 0, &why);
        }
        let root = head.root;
        let mut image =
            Image { blob: b.slice(0, end), head, blocks: BTreeMap::new(), tails: None, members: 0 };
        image.directory(s, root, "", 0)?;
        // mksquashfs pads to 4 KiB.
        Ok(end.next_multiple_of(4096).min(b.len()))
    },
}];

struct Super {
    swap: bool,
    major: u16,
    compression: u16,
    block_size: u32,
    fragments: u32,
    root: u64,
    bytes_used: u64,
    inode_table: u64,
    directory_table: u64,
    fragment_table: u64,
}

impl Super {
    fn read(blob: &Blob) -> Result<Self, UnpackError> {
        let raw = blob.exact(0, 96)?;
        let swap = &raw[..4] == b"sqsh" || &raw[..4] == b"qshs";
        let b = Order { raw: &raw, swap };
        let major = b.u16(28)?;
        if !(1..=4).contains(&major) {
            return Err(UnpackError::Corrupt("squashfs version"));
        }
        let head = Self {
            swap,
            major,
            compression: b.u16(20)?,
            block_size: b.u32(12)?,
            fragments: b.u32(16)?,
            root: b.u64(32)?,
            bytes_used: b.u64(40)?,
            inode_table: b.u64(64)?,
            directory_table: b.u64(72)?,
            fragment_table: b.u64(80)?,
        };
        if major == 4 {
            let block_ok =
                head.block_size.is_power_of_two() && (4096..=1 << 20).contains(&head.block_size);
            let tables_ok = head.inode_table < head.directory_table
                && head.directory_table <= head.bytes_used
                && head.bytes_used >= 96;
            if !block_ok || !tables_ok || !(1..=6).contains(&head.compression) {
                return Err(UnpackError::Corrupt("squashfs superblock"));
            }
        }
        Ok(head)
    }
}

struct Order<'a> {
    raw: &'a [u8],
    swap: bool,
}

impl Order<'_> {
    fn u16(&self, at: usize) -> Result<u16, UnpackError> {
        if self.swap { self.raw.be16(at) } else { self.raw.le16(at) }
    }
    fn u32(&self, at: usize) -> Result<u32, UnpackError> {
        if self.swap { self.raw.be32(at) } else { self.raw.le32(at) }
    }
    fn u64(&self, at: usize) -> Result<u64, UnpackError> {
        if self.swap { self.raw.be64(at) } else { self.raw.le64(at) }
    }
}

struct Image {
    blob: Blob,
    head: Super,
    /// Decompressed metadata blocks by their offset, with the offset of the next one.
    blocks: BTreeMap<u64, (Vec<u8>, u64)>,
    /// The last fragment block read, by its offset.
    tails: Option<(u64, Vec<u8>)>,
    members: u64,
}

enum Inode {
    Directory { block: u32, offset: u16, size: u32 },
    File { start: u64, fragment: u32, fragment_offset: u32, size: u64, mode: u32, blocks: Cursor },
    Symlink,
    Special,
}

#[derive(Clone, Copy)]
struct Cursor {
    block: u64,
    offset: usize,
}

impl Image {
    fn directory(
        &mut self,
        sink: &mut dyn Sink,
        inode: u64,
        path: &str,
        depth: u32,
    ) -> Result<(), UnpackError> {
        let Inode::Directory { block, offset, size } = self.inode(inode)? else {
            return Err(UnpackError::Corrupt("squashfs directory inode"));
        };
        let size = (size as usize).saturating_sub(3);
        let mut cursor = Cursor {
            block: self.head.directory_table + u64::from(block),
            offset: usize::from(offset),
        };
        let listing = self.meta(&mut cursor, size.min(sink.limits().table_bytes))?;
        let listing = Order { raw: &listing, swap: self.head.swap };
        let mut at = 0;
        while at + 12 <= listing.raw.len() {
            let count = listing.u32(at)? as usize + 1;
            let start = u64::from(listing.u32(at + 4)?);
            at += 12;
            if count > 256 {
                return Err(UnpackError::Corrupt("squashfs directory count"));
            }
            for _ in 0..count {
                let offset = u64::from(listing.u16(at)?);
                let name_len = usize::from(listing.u16(at + 6)?) + 1;
                let name = super::name(listing.raw.part(at + 8, name_len)?);
                at += 8 + name_len;
                self.members += 1;
                if self.members > sink.limits().members {
                    return Err(UnpackError::Bound("members"));
                }
                self.entry(sink, start << 16 | offset, &format!("{path}/{name}"), depth)?;
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        sink: &mut dyn Sink,
        inode: u64,
        path: &str,
        depth: u32,
    ) -> Result<(), UnpackError> {
        let done = match self.inode(inode) {
            Ok(Inode::Directory { .. }) if depth >= MAX_DEPTH => {
                Err(UnpackError::Bound("directory depth"))
            }
            Ok(Inode::Directory { .. }) => self.directory(sink, inode, path, depth + 1),
            Ok(Inode::Symlink) => {
                sink.skipped(path, Skipped::Symlink);
                Ok(())
            }
            Ok(Inode::Special) => {
                sink.skipped(path, Skipped::Special);
                Ok(())
            }
            Ok(Inode::File { start, fragment, fragment_offset, size, mode, blocks }) => {
                let mut out = Spool::default();
                let read =
                    self.file(sink, &mut out, start, fragment, fragment_offset, size, blocks);
                if let Err(error) = &read {
                    sink.unread(path, start, size.saturating_sub(out.len()), error);
                }
                let meta = Meta { mode: Some(mode), offset: None, raw: false };
                sink.member(path, out.finish(), meta)?;
                Ok(())
            }
            Err(error) => Err(error),
        };
        match done {
            Err(error) if error.ends_walk() => Err(error),
            Err(error) => {
                sink.unread(path, 0, 0, &error);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one inode")]
    fn file(
        &mut self,
        sink: &mut dyn Sink,
        out: &mut Spool,
        start: u64,
        fragment: u32,
        fragment_offset: u32,
        size: u64,
        mut blocks: Cursor,
    ) -> Result<(), UnpackError> {
        if size > sink.limits().member_bytes {
            return Err(UnpackError::Bound("member size"));
        }
        // At once, so that a file that is too large leaves room for the others.
        sink.charge(size)?;
        let block_size = u64::from(self.head.block_size);
        let has_tail = fragment != u32::MAX;
        let count = if has_tail { size / block_size } else { size.div_ceil(block_size) };
        let mut at = start;
        let mut left = size;
        for _ in 0..count {
            let word = self.meta(&mut blocks, 4)?;
            let word = Order { raw: &word, swap: self.head.swap }.u32(0)?;
            let want = left.min(block_size);
            let packed = u64::from(word & 0x00ff_ffff);
            if packed == 0 {
                out.zeros(want)?;
            } else {
                let data = self.blob.exact(at, packed as usize)?;
                let block =
                    if word & 1 << 24 != 0 { data } else { self.decompress(&data, want as usize)? };
                out.write_all(&block)?;
                at += packed;
            }
            left -= want;
        }
        if has_tail && left > 0 {
            let tail = self.fragment(fragment, fragment_offset as usize, left as usize)?;
            out.write_all(&tail)?;
        }
        Ok(())
    }

    fn fragment(&mut self, index: u32, from: usize, len: usize) -> Result<Vec<u8>, UnpackError> {
        if index >= self.head.fragments {
            return Err(UnpackError::Corrupt("squashfs fragment index"));
        }
        let pointer = self.blob.exact(self.head.fragment_table + u64::from(index / 512) * 8, 8)?;
        let block = Order { raw: &pointer, swap: self.head.swap }.u64(0)?;
        let mut cursor = Cursor { block, offset: (index % 512) as usize * 16 };
        let entry = self.meta(&mut cursor, 16)?;
        let entry = Order { raw: &entry, swap: self.head.swap };
        let (start, word) = (entry.u64(0)?, entry.u32(8)?);
        if self.tails.as_ref().is_none_or(|(at, _)| *at != start) {
            let data = self.blob.exact(start, (word & 0x00ff_ffff) as usize)?;
            let data = if word & 1 << 24 != 0 {
                data
            } else {
                self.decompress(&data, self.head.block_size as usize)?
            };
            self.tails = Some((start, data));
        }
        let data = self.tails.as_ref().map_or(&[][..], |(_, data)| data);
        Ok(data.part(from, len)?.to_vec())
    }

    fn inode(&mut self, reference: u64) -> Result<Inode, UnpackError> {
        let mut cursor = Cursor {
            block: self.head.inode_table + (reference >> 16),
            offset: (reference & 0xffff) as usize,
        };
        let swap = self.head.swap;
        let base = self.meta(&mut cursor, 16)?;
        let base = Order { raw: &base, swap };
        let mode = u32::from(base.u16(2)?);
        let kind = base.u16(0)?;
        Ok(match kind {
            1 => {
                let rest = self.meta(&mut cursor, 16)?;
                let rest = Order { raw: &rest, swap };
                Inode::Directory {
                    block: rest.u32(0)?,
                    size: u32::from(rest.u16(8)?),
                    offset: rest.u16(10)?,
                }
            }
            8 => {
                let rest = self.meta(&mut cursor, 24)?;
                let rest = Order { raw: &rest, swap };
                Inode::Directory { size: rest.u32(4)?, block: rest.u32(8)?, offset: rest.u16(18)? }
            }
            2 => {
                let rest = self.meta(&mut cursor, 16)?;
                let rest = Order { raw: &rest, swap };
                Inode::File {
                    start: u64::from(rest.u32(0)?),
                    fragment: rest.u32(4)?,
                    fragment_offset: rest.u32(8)?,
                    size: u64::from(rest.u32(12)?),
                    mode,
                    blocks: cursor,
                }
            }
            9 => {
                let rest = self.meta(&mut cursor, 40)?;
                let rest = Order { raw: &rest, swap };
                Inode::File {
                    start: rest.u64(0)?,
                    size: rest.u64(8)?,
                    fragment: rest.u32(28)?,
                    fragment_offset: rest.u32(32)?,
                    mode,
                    blocks: cursor,
                }
            }
            3 | 10 => Inode::Symlink,
            4..=7 | 11..=14 => Inode::Special,
            _ => return Err(UnpackError::Corrupt("squashfs inode type")),
        })
    }

    /// Reads metadata across blocks and moves the cursor on.
    fn meta(&mut self, cursor: &mut Cursor, len: usize) -> Result<Vec<u8>, UnpackError> {
        let mut out = Vec::with_capacity(len.min(1 << 16));
        while out.len() < len {
            self.load(cursor.block)?;
            let (data, next) = &self.blocks[&cursor.block];
            if cursor.offset > data.len() || data.is_empty() {
                return Err(UnpackError::Corrupt("squashfs metadata offset"));
            }
            let take = (len - out.len()).min(data.len() - cursor.offset);
            out.extend_from_slice(&data[cursor.offset..cursor.offset + take]);
            cursor.offset += take;
            if cursor.offset == data.len() {
                *cursor = Cursor { block: *next, offset: 0 };
            }
        }
        Ok(out)
    }

    fn load(&mut self, at: u64) -> Result<(), UnpackError> {
        if self.blocks.contains_key(&at) {
            return Ok(());
        }
        let word = self.blob.exact(at, 2)?;
        let word = Order { raw: &word, swap: self.head.swap }.u16(0)?;
        let size = usize::from(word & 0x7fff);
        let data = self.blob.exact(at + 2, size)?;
        let data = if word & 0x8000 != 0 { data } else { self.decompress(&data, 8192)? };
        self.remember(at, data, at + 2 + size as u64);
        Ok(())
    }

    fn remember(&mut self, key: u64, data: Vec<u8>, next: u64) {
        // Enough for locality, small enough for the memory bound.
        if self.blocks.len() >= 64 {
            self.blocks.pop_first();
        }
        self.blocks.insert(key, (data, next));
    }

    fn decompress(&self, data: &[u8], limit: usize) -> Result<Vec<u8>, UnpackError> {
        match self.head.compression {
            1 => stream::inflate(data, limit),
            2 => stream::unlzma(data, limit),
            3 => lzo::decompress(data, limit),
            4 => stream::unxz(data, limit),
            5 => stream::unlz4(data, limit),
            _ => stream::unzstd(data, limit),
        }
    }
}

/// Directories inside directories.
const MAX_DEPTH: u32 = 64;
