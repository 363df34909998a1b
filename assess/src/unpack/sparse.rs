//! Android sparse images.

use std::io::Write;

use super::{Fields, Format, Meta, Sink, UnpackError};
use crate::blob::{Blob, Spool};

pub(super) const FORMATS: &[Format] = &[Format {
    name: "android-sparse",
    about: "Android sparse image",
    magics: &[(0, &[0x3a, 0xff, 0x26, 0xed])],
    carved: true,
    detect: |b| b.exact(0, 28).is_ok_and(|h| h[4] == 1 && h[8] >= 28 && h[10] >= 12),
    unpack,
}];

fn unpack(blob: &Blob, sink: &mut dyn Sink) -> Result<u64, UnpackError> {
    let head = blob.exact(0, 28)?;
    let chunk_header = u64::from(head.le16(10)?);
    let block = u64::from(head.le32(12)?);
    if block == 0 || block % 4 != 0 || block > 1 << 20 {
        return Err(UnpackError::Corrupt("sparse block size"));
    }
    let mut at = u64::from(head.le16(8)?);
    let mut out = Spool::default();
    let mut problem = None;
    for _ in 0..head.le32(20)? {
        if let Err(error) = chunk(blob, sink, &mut out, &mut at, chunk_header, block) {
            problem = Some(error);
            break;
        }
    }
    if let Some(error) = problem {
        sink.unread("", at.min(blob.len()), blob.len().saturating_sub(at), &error);
    }
    sink.member("", out.finish(), Meta::default())?;
    Ok(at.min(blob.len()))
}

fn chunk(
    blob: &Blob,
    sink: &mut dyn Sink,
    out: &mut Spool,
    at: &mut u64,
    header: u64,
    block: u64,
) -> Result<(), UnpackError> {
    let raw = blob.exact(*at, 12)?;
    let plain = u64::from(raw.le32(4)?) * block;
    let total = u64::from(raw.le32(8)?);
    let body = *at + header;
    if total < header {
        return Err(UnpackError::Corrupt("sparse chunk size"));
    }
    if out.len() + plain > sink.limits().member_bytes {
        return Err(UnpackError::Bound("member size"));
    }
    match raw.le16(0)? {
        0xcac1 => {
            sink.charge(plain)?;
            let mut done = 0;
            while done < plain {
                let piece = blob.exact(body + done, (plain - done).min(1 << 16) as usize)?;
                done += piece.len() as u64;
                out.write_all(&piece)?;
            }
        }
        0xcac2 => {
            sink.charge(plain)?;
            let fill = blob.exact(body, 4)?.repeat(1024);
            let mut left = plain;
            while left > 0 {
                let now = left.min(4096);
                out.write_all(&fill[..now as usize])?;
                left -= now;
            }
        }
        0xcac3 => {
            sink.charge(plain)?;
            out.zeros(plain)?;
        }
        0xcac4 => {}
        _ => return Err(UnpackError::Corrupt("sparse chunk type")),
    }
    *at += total;
    Ok(())
}
