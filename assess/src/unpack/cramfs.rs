//! cramfs, both byte orders (the layout of the kernel's `cramfs_fs.h`).

use std::io::Write;

use super::{Fields, Format, Meta, Sink, Skipped, UnpackError, stream, text};
use crate::blob::{Blob, Spool};

pub(super) const FORMATS: &[Format] = &[
    Format {
        name: "cramfs",
        about: "cramfs, both byte orders, with and without room for a boot sector",
        magics: &[(0, &[0x45, 0x3d, 0xcd, 0x28]), (0, &[0x28, 0xcd, 0x3d, 0x45])],
        carved: true,
        detect: |b| b.bytes(16, 16) == b"Compressed ROMFS",
        unpack: |b, s| unpack(b, s, 0),
    },
    Format {
        name: "cramfs",
        about: "cramfs behind 512 bytes for a boot sector, which its offsets count in",
        magics: &[(512, &[0x45, 0x3d, 0xcd, 0x28]), (512, &[0x28, 0xcd, 0x3d, 0x45])],
        carved: true,
        detect: |b| {
            let image = Image { little: b.bytes(512, 1) == [0x45], blob: b.clone() };
            // Some other header of that length does not count.
            b.bytes(528, 16) == b"Compressed ROMFS"
                && image.inode(512 + 64).is_ok_and(|root| root.offset == 512 + 76)
        },
        unpack: |b, s| unpack(b, s, 512),
    },
];

fn unpack(blob: &Blob, sink: &mut dyn Sink, start: u64) -> Result<u64, UnpackError> {
    let head = blob.exact(start, 76)?;
    let little = head[0] == 0x45;
    let order = |at| if little { head.le32(at) } else { head.be32(at) };
    let flags = order(8)?;
    let size = if flags & 1 != 0 { u64::from(order(4)?) } else { blob.len() };
    let image = Image { blob: blob.slice(0, size), little };
    let mut seen = 0;
    image.directory(sink, &image.inode(start + 64)?, "", 0, &mut seen)?;
    Ok(size.min(blob.len()))
}

struct Image {
    blob: Blob,
    little: bool,
}

struct Inode {
    mode: u32,
    size: u64,
    name_len: u64,
    offset: u64,
}

impl Image {
    fn inode(&self, at: u64) -> Result<Inode, UnpackError> {
        let raw = self.blob.exact(at, 12)?;
        // Bit fields are packed from the low end on little-endian, from the high end on big.
        Ok(if self.little {
            let (a, b, c) = (raw.le32(0)?, raw.le32(4)?, raw.le32(8)?);
            Inode {
                mode: a & 0xffff,
                size: u64::from(b & 0x00ff_ffff),
                name_len: u64::from(c & 0x3f) * 4,
                offset: u64::from(c >> 6) * 4,
            }
        } else {
            let (a, b, c) = (raw.be32(0)?, raw.be32(4)?, raw.be32(8)?);
            Inode {
                mode: a >> 16,
                size: u64::from(b >> 8),
                name_len: u64::from(c >> 26) * 4,
                offset: u64::from(c & 0x03ff_ffff) * 4,
            }
        })
    }

    fn u32(&self, at: u64) -> Result<u32, UnpackError> {
        let raw = self.blob.exact(at, 4)?;
        if self.little { raw.le32(0) } else { raw.be32(0) }
    }

    fn directory(
        &self,
        sink: &mut dyn Sink,
        directory: &Inode,
        path: &str,
        depth: u32,
        seen: &mut u64,
    ) -> Result<(), UnpackError> {
        if depth > 64 {
            sink.unread(path, directory.offset, 0, &UnpackError::Bound("directory depth"));
            return Ok(());
        }
        let mut at = directory.offset;
        let end = at + directory.size;
        while at + 12 <= end {
            *seen += 1;
            if *seen > sink.limits().members.min(self.blob.len() / 12) {
                return Err(CYCLE);
            }
            let inode = self.inode(at)?;
            let name = text(&self.blob.exact(at + 12, inode.name_len as usize)?);
            at += 12 + inode.name_len;
            let full = format!("{path}/{name}");
            match inode.mode & 0o170_000 {
                0o040_000 => match self.directory(sink, &inode, &full, depth + 1, seen) {
                    Err(error) if !is_cycle(&error) => sink.unread(&full, 0, 0, &error),
                    done => done?,
                },
                0o100_000 => {
                    let mut out = Spool::default();
                    if let Err(error) = self.file(sink, &inode, &mut out) {
                        sink.unread(&full, inode.offset, inode.size - out.len(), &error);
                    }
                    let meta = Meta { mode: Some(inode.mode & 0o7777), offset: None, raw: false };
                    sink.member(&full, out.finish(), meta)?;
                }
                0o120_000 => sink.skipped(&full, Skipped::Symlink),
                _ => sink.skipped(&full, Skipped::Special),
            }
        }
        Ok(())
    }

    fn file(&self, sink: &mut dyn Sink, inode: &Inode, out: &mut Spool) -> Result<(), UnpackError> {
        let count = inode.size.div_ceil(PAGE);
        let mut start = inode.offset + count * 4;
        for index in 0..count {
            let end = self.u32(inode.offset + index * 4)?;
            if end >> 30 != 0 {
                return Err(UnpackError::Unsupported("cramfs uncompressed extents".into()));
            }
            let end = u64::from(end);
            let want = (inode.size - index * PAGE).min(PAGE);
            sink.charge(want)?;
            let packed = end.checked_sub(start).ok_or(UnpackError::Corrupt("cramfs block"))?;
            if packed == 0 {
                out.zeros(want)?;
            } else {
                if packed > 2 * PAGE {
                    return Err(UnpackError::Corrupt("cramfs block"));
                }
                let data = self.blob.exact(start, packed as usize)?;
                out.write_all(&stream::inflate(&data, PAGE as usize)?)?;
            }
            start = end;
        }
        Ok(())
    }
}

fn is_cycle(error: &UnpackError) -> bool {
    error.ends_walk() || *error == CYCLE
}

const CYCLE: UnpackError = UnpackError::Corrupt("cramfs cycle");
const PAGE: u64 = 4096;
