//! UBI images: physical erase blocks are sorted into their volumes.

use std::collections::BTreeMap;

use super::{Fields, Format, Meta, Sink, UnpackError, text};
use crate::blob::{Blob, Spool};

pub(super) const FORMATS: &[Format] = &[Format {
    name: "ubi",
    about: "UBI image (volumes are put together from their erase blocks)",
    magics: &[(0, b"UBI#")],
    carved: true,
    detect: |b| b.exact(0, 64).is_ok_and(|h| h[4] == 1 && h.le32(60).is_ok()),
    unpack,
}];

struct Block {
    at: u64,
    sequence: u64,
    data_size: u64,
}

fn unpack(blob: &Blob, sink: &mut dyn Sink) -> Result<u64, UnpackError> {
    let size = erase_block_size(blob)?;
    let head = blob.exact(0, 64)?;
    let vid_offset = u64::from(head.be32(16)?);
    let data_offset = u64::from(head.be32(20)?);
    if vid_offset + 64 > size || data_offset >= size || data_offset < vid_offset + 64 {
        return Err(UnpackError::Corrupt("UBI header offsets"));
    }
    let mut volumes: BTreeMap<u32, BTreeMap<u32, Block>> = BTreeMap::new();
    let mut at = 0;
    let mut end = 0;
    while at + size <= blob.len() {
        let ec = blob.exact(at, 4)?;
        if ec == b"UBI#" {
            end = at + size;
            let vid = blob.exact(at + vid_offset, 64)?;
            if &vid[..4] == b"UBI!" {
                let block = Block {
                    at: at + data_offset,
                    sequence: vid.be64(40)?,
                    data_size: u64::from(vid.be32(20)?),
                };
                let slot = volumes.entry(vid.be32(8)?).or_default();
                let number = vid.be32(12)?;
                if slot.get(&number).is_none_or(|old| old.sequence <= block.sequence) {
                    slot.insert(number, block);
                }
            }
        } else if blob.bytes(at, 512).iter().any(|&b| b != 0xff) {
            break;
        } else {
            end = at + size;
        }
        at += size;
    }
    let usable = size - data_offset;
    let names = names(blob, &volumes);
    for (id, blocks) in volumes.iter().filter(|(id, _)| **id < LAYOUT_VOLUME) {
        let name = names.get(id).cloned().unwrap_or_else(|| format!("volume {id}"));
        let last = blocks.keys().next_back().copied().unwrap_or(0);
        if u64::from(last) * usable > sink.limits().member_bytes {
            sink.unread(&name, 0, 0, &UnpackError::Bound("volume size"));
            continue;
        }
        sink.charge((u64::from(last) + 1) * usable)?;
        let mut out = Spool::default();
        for number in 0..=last {
            match blocks.get(&number) {
                Some(block) => {
                    // Static volumes say how much of each block is data.
                    let take =
                        if block.data_size > 0 { block.data_size.min(usable) } else { usable };
                    let mut done = 0;
                    while done < take {
                        let piece =
                            blob.exact(block.at + done, (take - done).min(1 << 16) as usize)?;
                        done += piece.len() as u64;
                        std::io::Write::write_all(&mut out, &piece)?;
                    }
                }
                None => {
                    let blank = vec![0xff; usable as usize];
                    std::io::Write::write_all(&mut out, &blank)?;
                }
            }
        }
        sink.member(&format!("/{name}"), out.finish(), Meta::default())?;
    }
    Ok(end)
}

/// The distance to the second header, which is the erase block size.
fn erase_block_size(blob: &Blob) -> Result<u64, UnpackError> {
    let mut size = 4 << 10;
    while size <= 4 << 20 {
        let next = blob.bytes(size, 4);
        if next == b"UBI#" {
            return Ok(size);
        }
        size *= 2;
    }
    Err(UnpackError::Corrupt("no second UBI erase block"))
}

fn names(blob: &Blob, volumes: &BTreeMap<u32, BTreeMap<u32, Block>>) -> BTreeMap<u32, String> {
    let mut out = BTreeMap::new();
    let Some(layout) = volumes.get(&LAYOUT_VOLUME).and_then(|v| v.values().next()) else {
        return out;
    };
    for id in 0..128u32 {
        let record = blob.bytes(layout.at + u64::from(id) * 172, 172);
        let (Ok(reserved), Ok(len)) = (record.be32(0), record.be16(14)) else { break };
        if reserved > 0
            && let Ok(name) = record.part(16, usize::from(len).min(127))
        {
            out.insert(id, text(name));
        }
    }
    out
}

const LAYOUT_VOLUME: u32 = 0x7fff_efff;
