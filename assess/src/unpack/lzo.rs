//! LZO1X decompression and the lzop file format. The bit layout follows the stream
//! description in the Linux kernel's `Documentation/staging/lzo.rst`.

use super::{Fields, Meta, Sink, UnpackError};
use crate::blob::{Blob, Spool};

/// Decompresses one LZO1X block of at most `limit` bytes.
pub(super) fn decompress(input: &[u8], limit: usize) -> Result<Vec<u8>, UnpackError> {
    let mut from = Input { data: input, at: 0 };
    let mut out: Vec<u8> = Vec::with_capacity(limit.min(1 << 20));
    // How many literals followed the last match (0..=3), or 4 after a literal run.
    let mut state = 0usize;
    let first = from.byte()?;
    let mut instruction = if first > 17 {
        let count = usize::from(first) - 17;
        from.copy(count, &mut out, limit)?;
        state = count.min(4);
        from.byte()?
    } else {
        first
    };
    loop {
        let op = usize::from(instruction);
        let (length, distance, trailing) = if op >= 64 {
            let high = usize::from(from.byte()?);
            let length = if op >= 128 { 5 + (op >> 5 & 3) } else { 3 + (op >> 5 & 1) };
            (length, (high << 3) + (op >> 2 & 7) + 1, op & 3)
        } else if op >= 32 {
            let length = 2 + from.length(op & 31, 31)?;
            let word = from.le16()?;
            (length, (word >> 2) + 1, word & 3)
        } else if op >= 16 {
            let length = 2 + from.length(op & 7, 7)?;
            let word = from.le16()?;
            let distance = ((op & 8) << 11) + (word >> 2);
            if distance == 0 {
                return if length == 3 {
                    Ok(out)
                } else {
                    Err(UnpackError::Corrupt("LZO end mark"))
                };
            }
            (length, distance + 0x4000, word & 3)
        } else if state == 0 {
            let count = 3 + from.length(op, 15)?;
            from.copy(count, &mut out, limit)?;
            state = 4;
            instruction = from.byte()?;
            continue;
        } else if state == 4 {
            let high = usize::from(from.byte()?);
            (3, (high << 2) + (op >> 2) + 0x801, op & 3)
        } else {
            let high = usize::from(from.byte()?);
            (2, (high << 2) + (op >> 2) + 1, op & 3)
        };
        back(&mut out, distance, length, limit)?;
        from.copy(trailing, &mut out, limit)?;
        state = trailing;
        instruction = from.byte()?;
    }
}

/// Reads an lzop file.
pub(super) fn unpack_lzop(blob: &Blob, sink: &mut dyn Sink) -> Result<u64, UnpackError> {
    use std::io::Write;
    let head = blob.bytes(0, 512);
    let version = head.be16(9)?;
    let mut at = 15 + usize::from(version >= 0x0940);
    let flags = head.be32(at + usize::from(version >= 0x0940))?;
    at += usize::from(version >= 0x0940) + 4;
    if flags & 0x800 != 0 {
        at += 4;
    }
    at += 8 + if version >= 0x0940 { 4 } else { 0 };
    let name = usize::from(*head.get(at).ok_or(UnpackError::Truncated { at: at as u64 })?);
    let mut at = (at + 1 + name + 4) as u64;
    let mut out = Spool::default();
    let ended = loop {
        let Ok(word) = blob.exact(at, 4) else { break Some(UnpackError::Truncated { at }) };
        let plain = word.be32(0)? as usize;
        at += 4;
        if plain == 0 {
            break None;
        }
        let packed = blob.exact(at, 4)?.be32(0)? as usize;
        at += 4;
        let plain_sums = u64::from(flags & 1 != 0) + u64::from(flags & 0x100 != 0);
        let packed_sums = u64::from(flags & 2 != 0) + u64::from(flags & 0x200 != 0);
        at += 4 * plain_sums + if packed < plain { 4 * packed_sums } else { 0 };
        if plain > 64 << 20 || packed > plain {
            break Some(UnpackError::Corrupt("lzop block size"));
        }
        let data = match blob.exact(at, packed) {
            Ok(data) => data,
            Err(error) => break Some(error),
        };
        at += packed as u64;
        let block = if packed == plain { Ok(data) } else { decompress(&data, plain) };
        match block {
            Ok(block) => {
                sink.charge(block.len() as u64)?;
                out.write_all(&block)?;
            }
            Err(error) => break Some(error),
        }
    };
    if let Some(error) = ended {
        if out.is_empty() {
            return Err(error);
        }
        sink.unread("", at.min(blob.len()), blob.len().saturating_sub(at), &error);
    }
    sink.member("", out.finish(), Meta::default())?;
    Ok(at.min(blob.len()))
}

struct Input<'a> {
    data: &'a [u8],
    at: usize,
}

impl Input<'_> {
    fn byte(&mut self) -> Result<u8, UnpackError> {
        let byte = *self.data.get(self.at).ok_or(UnpackError::Truncated { at: self.at as u64 })?;
        self.at += 1;
        Ok(byte)
    }

    fn le16(&mut self) -> Result<usize, UnpackError> {
        let word = self.data.le16(self.at)?;
        self.at += 2;
        Ok(usize::from(word))
    }

    /// A length field whose value 0 means "more bytes follow".
    fn length(&mut self, field: usize, mask: usize) -> Result<usize, UnpackError> {
        if field != 0 {
            return Ok(field);
        }
        let mut length = mask;
        loop {
            match self.byte()? {
                0 => length += 255,
                last => return Ok(length + usize::from(last)),
            }
            if length > 1 << 30 {
                return Err(UnpackError::Corrupt("LZO length"));
            }
        }
    }

    fn copy(&mut self, count: usize, out: &mut Vec<u8>, limit: usize) -> Result<(), UnpackError> {
        let bytes = self.data.part(self.at, count)?;
        if out.len() + count > limit {
            return Err(UnpackError::Corrupt("more output than the block may have"));
        }
        out.extend_from_slice(bytes);
        self.at += count;
        Ok(())
    }
}

fn back(
    out: &mut Vec<u8>,
    distance: usize,
    length: usize,
    limit: usize,
) -> Result<(), UnpackError> {
    if distance > out.len() || out.len() + length > limit {
        return Err(UnpackError::Corrupt("LZO distance"));
    }
    for _ in 0..length {
        out.push(out[out.len() - distance]);
    }
    Ok(())
}
