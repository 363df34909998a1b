//! What lies in a file system and belongs to none of its files: deleted files, old journals,
//! what somebody wrote behind its back. It is handed on as raw bytes.

use super::{Meta, Sink, UnpackError};
use crate::blob::Blob;

/// The parts of an image that its reader has accounted for.
#[derive(Debug, Default)]
pub(super) struct Claimed(Vec<(u64, u64)>);

impl Claimed {
    /// These bytes are a file's, a directory's or the file system's own.
    pub(super) fn add(&mut self, at: u64, len: u64) {
        let end = at.saturating_add(len);
        match self.0.last_mut() {
            Some((_, last)) if *last == at => *last = end,
            _ if len > 0 => self.0.push((at, end)),
            _ => {}
        }
    }

    /// Hands on what nobody claimed, up to `end`, without its empty stretches.
    pub(super) fn rest(
        mut self,
        blob: &Blob,
        end: u64,
        sink: &mut dyn Sink,
    ) -> Result<(), UnpackError> {
        self.0.push((end, end));
        self.0.sort_unstable();
        let mut done = 0;
        for (from, to) in self.0 {
            if from > done {
                filled(blob, done, from.min(end), sink)?;
            }
            done = done.max(to);
        }
        Ok(())
    }
}

/// Hands on the stretches between `from` and `to` that are not all one byte.
fn filled(blob: &Blob, from: u64, to: u64, sink: &mut dyn Sink) -> Result<(), UnpackError> {
    let mut run: Option<(u64, u64)> = None;
    let mut at = from;
    while at < to.min(blob.len()) {
        let chunk = blob.bytes(at, (to - at).min(1 << 20) as usize);
        if chunk.is_empty() {
            break;
        }
        for block in chunk.chunks(BLOCK) {
            let len = block.len() as u64;
            if block.iter().any(|b| *b != block[0]) {
                run = match run {
                    Some((start, end)) if at - end <= EMPTY => Some((start, at + len)),
                    Some(whole) => {
                        hand_on(blob, whole, sink)?;
                        Some((at, at + len))
                    }
                    None => Some((at, at + len)),
                };
            }
            at += len;
        }
    }
    run.map_or(Ok(()), |whole| hand_on(blob, whole, sink))
}

fn hand_on(blob: &Blob, (at, end): (u64, u64), sink: &mut dyn Sink) -> Result<(), UnpackError> {
    let meta = Meta { mode: None, offset: Some(at), raw: true };
    sink.member(&format!("/(unclaimed 0x{at:x})"), blob.slice(at, end - at), meta)
}

const BLOCK: usize = 1024;
/// An empty stretch that ends a piece.
const EMPTY: u64 = 16 << 10;
