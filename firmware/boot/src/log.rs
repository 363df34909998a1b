//! The record of each boot, in two sectors that are filled in turn. Nothing is decided by it.

use boot::Handoff;
use mps2::Board;
use mps2::map::{LAYOUT, LOG};
use slots::Flash;

const ENTRY: u32 = 64;
const MAGIC: u32 = 0x474c_4652;

/// Appends what booted, as the hand-off says; gives the number of this boot.
#[inline(never)]
pub fn append(board: &mut Board, handoff: &Handoff) -> u32 {
    let per_sector = LAYOUT.sector / ENTRY;
    let (mut number, mut place) = (0, 2 * per_sector - 1);
    for index in 0..2 * per_sector {
        let mut head = [0; 8];
        if board.read(address(index), &mut head).is_err() {
            continue;
        }
        let (words, _) = head.as_chunks::<4>();
        let [magic, count] = words else { continue };
        let count = u32::from_le_bytes(*count);
        if u32::from_le_bytes(*magic) == MAGIC && count != u32::MAX && count > number {
            (number, place) = (count, index);
        }
    }
    number = number.wrapping_add(1);
    let mut entry = [0; ENTRY as usize];
    let (words, digests) = entry.split_at_mut(24);
    let (words, _) = words.as_chunks_mut::<4>();
    let head = [
        MAGIC,
        number,
        handoff.slot | handoff.trial << 8 | handoff.attempts << 16,
        handoff.reason,
        handoff.sequence as u32,
        (handoff.sequence >> 32) as u32,
    ];
    for (to, from) in words.iter_mut().zip(&head) {
        *to = from.to_le_bytes();
    }
    for (to, from) in digests.chunks_exact_mut(20).zip(&handoff.measured) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = *from;
        }
    }
    // The place after an entry that was cut is taken instead of its own.
    for step in 1..4 {
        let next = (place + step) % (2 * per_sector);
        if next % per_sector == 0 {
            let _ = board.erase(address(next));
        }
        if board.program(address(next), &entry).is_ok() {
            break;
        }
    }
    number
}

fn address(index: u32) -> u32 {
    let [first, second] = LOG;
    let per_sector = LAYOUT.sector / ENTRY;
    if index < per_sector { first + index * ENTRY } else { second + (index - per_sector) * ENTRY }
}
