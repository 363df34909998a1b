//! As much of ELF as an image needs: its segments.

use std::ops::Range;

/// A loadable segment: physical address and where its bytes lie in the file.
pub struct Segment {
    /// Physical address.
    pub at: u32,
    /// Where its bytes lie in the file.
    pub file: Range<usize>,
}

fn u16_at(elf: &[u8], at: usize) -> usize {
    usize::from(u16::from_le_bytes([elf[at], elf[at + 1]]))
}

fn u32_at(elf: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([elf[at], elf[at + 1], elf[at + 2], elf[at + 3]])
}

/// The segments that have bytes, by address.
pub fn segments(elf: &[u8]) -> Vec<Segment> {
    let (start, size, count) = (u32_at(elf, 28) as usize, u16_at(elf, 42), u16_at(elf, 44));
    let mut all: Vec<Segment> = (0..count)
        .map(|index| start + index * size)
        .filter(|at| u32_at(elf, *at) == 1 && u32_at(elf, at + 16) > 0)
        .map(|at| {
            let from = u32_at(elf, at + 4) as usize;
            Segment { at: u32_at(elf, at + 12), file: from..from + u32_at(elf, at + 16) as usize }
        })
        .collect();
    all.sort_by_key(|segment| segment.at);
    all
}

/// The image as it lies in memory from its first address on.
pub fn flatten(elf: &[u8]) -> Vec<u8> {
    let segments = segments(elf);
    let Some(first) = segments.first().map(|segment| segment.at) else { return Vec::new() };
    let mut image = Vec::new();
    for segment in segments {
        image.resize((segment.at - first) as usize, 0);
        image.extend_from_slice(&elf[segment.file]);
    }
    image
}

/// Where the byte at this address lies in the file.
pub fn offset_of(elf: &[u8], address: u32) -> Option<usize> {
    segments(elf).into_iter().find_map(|segment| {
        let offset = address.checked_sub(segment.at)? as usize;
        (offset < segment.file.len()).then(|| segment.file.start + offset)
    })
}

/// Functions and objects by address.
pub fn symbols(elf: &[u8]) -> Vec<(u32, String)> {
    let (start, size, count) = (u32_at(elf, 32) as usize, u16_at(elf, 46), u16_at(elf, 48));
    let section = |index: usize| start + index * size;
    let mut all = Vec::new();
    for index in 0..count {
        let at = section(index);
        if u32_at(elf, at + 4) != 2 {
            continue;
        }
        let names = u32_at(elf, section(u32_at(elf, at + 24) as usize) + 16) as usize;
        let from = u32_at(elf, at + 16) as usize;
        for entry in (from..from + u32_at(elf, at + 20) as usize).step_by(16) {
            if !matches!(elf[entry + 12] & 15, 1 | 2) {
                continue;
            }
            let name = names + u32_at(elf, entry) as usize;
            let len = elf[name..].iter().position(|byte| *byte == 0).unwrap_or(0);
            let text = String::from_utf8_lossy(&elf[name..name + len]).into_owned();
            all.push((u32_at(elf, entry + 4) & !1, text));
        }
    }
    all.sort();
    all
}
