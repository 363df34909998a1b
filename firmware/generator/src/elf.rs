//! As much of ELF as linking and packing need.

use std::ops::Range;

/// A loadable segment of a 32-bit little-endian ELF file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it is used.
    pub at: u32,
    /// Where its bytes lie in the image.
    pub load: u32,
    /// Its bytes in the file.
    pub file: Range<usize>,
    /// Bytes in memory.
    pub size: u32,
}

/// An ELF file, read.
#[derive(Clone, Debug)]
pub struct Elf {
    bytes: Vec<u8>,
    /// Where it starts.
    pub entry: u32,
    /// In the order of the file.
    pub segments: Vec<Segment>,
}

impl Elf {
    /// Reads a file.
    ///
    /// # Errors
    /// What is missing.
    pub fn parse(bytes: Vec<u8>) -> Result<Elf, String> {
        if bytes.get(..6) != Some(b"\x7fELF\x01\x01") {
            return Err("not a 32-bit little-endian ELF file".into());
        }
        let (start, stride, count) = (word(&bytes, 28)?, half(&bytes, 42)?, half(&bytes, 44)?);
        let mut segments = Vec::new();
        for index in 0..count {
            let at = start as usize + index * stride;
            let size = word(&bytes, at + 20)?;
            if word(&bytes, at)? != 1 || size == 0 {
                continue;
            }
            let from = word(&bytes, at + 4)? as usize;
            let file = from..from + word(&bytes, at + 16)? as usize;
            if file.end > bytes.len() {
                return Err("a segment reaches past the end of the file".into());
            }
            let segment =
                Segment { at: word(&bytes, at + 8)?, load: word(&bytes, at + 12)?, file, size };
            segments.push(segment);
        }
        let entry = word(&bytes, 24)?;
        Ok(Elf { bytes, entry, segments })
    }

    /// The bytes of a segment.
    pub fn bytes(&self, segment: &Segment) -> &[u8] {
        self.bytes.get(segment.file.clone()).unwrap_or_default()
    }

    /// The image from `base` on, by load addresses; gaps are zero.
    pub fn image(&self, base: u32) -> Vec<u8> {
        let mut image = Vec::new();
        for segment in self.segments.iter().filter(|s| !s.file.is_empty() && s.load >= base) {
            put(&mut image, (segment.load - base) as usize, self.bytes(segment));
        }
        image
    }

    /// The value of a symbol.
    pub fn symbol(&self, name: &str) -> Option<u32> {
        let (start, stride) = (word(&self.bytes, 32).ok()?, half(&self.bytes, 46).ok()?);
        let count = half(&self.bytes, 48).ok()?;
        let section = |index: usize, field: usize| {
            word(&self.bytes, start as usize + index * stride + field).ok()
        };
        let table = (0..count).find(|index| section(*index, 4) == Some(2))?;
        let (at, size) = (section(table, 16)? as usize, section(table, 20)? as usize);
        let names = section(section(table, 24)? as usize, 16)? as usize;
        (at..at + size).step_by(16).find_map(|entry| {
            let from = names + word(&self.bytes, entry).ok()? as usize;
            let text = self.bytes.get(from..)?;
            let matches = text.starts_with(name.as_bytes()) && text.get(name.len()) == Some(&0);
            matches.then(|| word(&self.bytes, entry + 4).ok()).flatten()
        })
    }
}

/// Puts bytes at an offset of an image, which grows as it must.
pub fn put(image: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if image.len() < offset + bytes.len() {
        image.resize(offset + bytes.len(), 0);
    }
    if let Some(place) = image.get_mut(offset..offset + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

/// An ELF file of raw pieces at their addresses, for an emulator to load.
pub fn wrap(pieces: &[(u32, &[u8])], entry: u32) -> Vec<u8> {
    let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let halves = |file: &mut Vec<u8>, all: &[u16]| {
        file.extend(all.iter().flat_map(|half| half.to_le_bytes()));
    };
    let words = |file: &mut Vec<u8>, all: &[u32]| {
        file.extend(all.iter().flat_map(|word| word.to_le_bytes()));
    };
    halves(&mut file, &[2, 40]);
    words(&mut file, &[1, entry, 52, 0, 0x0500_0000]);
    halves(&mut file, &[52, 32, pieces.len() as u16, 40, 0, 0]);
    let mut from = 52 + 32 * pieces.len() as u32;
    for (at, bytes) in pieces {
        let size = bytes.len() as u32;
        words(&mut file, &[1, from, *at, *at, size, size, 7, 4]);
        from += size;
    }
    for (_, bytes) in pieces {
        file.extend_from_slice(bytes);
    }
    file
}

fn half(bytes: &[u8], at: usize) -> Result<usize, String> {
    let two = bytes.get(at..at + 2).and_then(|two| two.try_into().ok());
    two.map(|two| usize::from(u16::from_le_bytes(two))).ok_or_else(|| "cut short".into())
}

fn word(bytes: &[u8], at: usize) -> Result<u32, String> {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
    four.map(u32::from_le_bytes).ok_or_else(|| "cut short".into())
}
