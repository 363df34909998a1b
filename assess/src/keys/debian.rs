//! Keys that follow from a process id: what OpenSSL made on Debian and its descendants from
//! September 2006 to May 2008 (CVE-2008-0166). By fingerprint only, derived by
//! `examples/debian_weak`.
//!
//! The list is kept small: of each key there is its place on a line that is 101 million times
//! as long as there are keys of its kind, so a key that is not in the list is taken for one
//! that is in 1 of 101 million cases. The places are sorted; of each there is the distance to
//! the one before (Golomb's code, 28 bits a key), and of every 1,024th the place itself, among
//! which a look-up searches by halves.

use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use super::der::Key;

/// Whether anybody can make the private half of this key.
#[must_use]
pub fn is_weak(key: &Key) -> bool {
    list().is_some_and(|list| list.contains(key))
}

/// The list that is built in.
#[must_use]
pub fn list() -> Option<&'static List<'static>> {
    static LIST: OnceLock<Option<List<'static>>> = OnceLock::new();
    LIST.get_or_init(|| List::read(DATA)).as_ref()
}

/// The class of a key that such a list may have, and what stands for the key in it: SHA-256
/// of the modulus of an RSA key, whatever its exponent, and of the SubjectPublicKeyInfo of a
/// DSA key.
#[must_use]
pub fn fingerprint(key: &Key) -> Option<(&'static str, [u8; 32])> {
    match (&key.rsa, key.bits) {
        (Some((modulus, _)), 1024) => Some(("rsa1024", Sha256::digest(modulus).into())),
        (Some((modulus, _)), 2048) => Some(("rsa2048", Sha256::digest(modulus).into())),
        (None, 1024) if key.name.starts_with("DSA") => Some(("dsa1024", key.spki_sha256)),
        _ => None,
    }
}

/// The place of a fingerprint among those of `count` keys.
#[must_use]
pub fn place(count: u64, fingerprint: &[u8; 32]) -> u64 {
    let head = fingerprint.iter().take(8).fold(0u64, |n, b| n << 8 | u64::from(*b));
    ((u128::from(head) * u128::from(count) * u128::from(SPREAD)) >> 64) as u64
}

/// A list as it is on disk: lines of text, an empty line, then for each class the index of
/// its blocks (6 bytes of place, 4 bytes of offset) and their codes.
#[derive(Debug)]
pub struct List<'a> {
    /// The day on which it was made, `YYYY-MM-DD`.
    pub made_on: &'a str,
    /// What it covers: `MACHINE/PROGRAM/KIND`, each for all 32,768 process ids.
    pub sets: Vec<&'a str>,
    classes: Vec<Class<'a>>,
}

#[derive(Debug)]
struct Class<'a> {
    name: &'a str,
    count: u64,
    index: &'a [u8],
    codes: &'a [u8],
}

impl<'a> List<'a> {
    /// Reads a list; none if it is not one.
    #[must_use]
    pub fn read(data: &'a [u8]) -> Option<Self> {
        let end = memchr::memmem::find(data, b"\n\n")?;
        let mut lines = std::str::from_utf8(&data[..end]).ok()?.lines();
        let mut rest = &data[end + 2..];
        lines.next().filter(|line| *line == HEAD)?;
        let mut list = Self { made_on: "unknown", sets: Vec::new(), classes: Vec::new() };
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["made-on", day] => list.made_on = day,
                ["set", name] => list.sets.push(name),
                ["class", name, count, len] => {
                    let count: u64 = count.parse().ok()?;
                    let index = usize::try_from(count.div_ceil(BLOCK)).ok()?.checked_mul(ENTRY)?;
                    let (index, after) = rest.split_at_checked(index)?;
                    let (codes, after) = after.split_at_checked(len.parse().ok()?)?;
                    rest = after;
                    list.classes.push(Class { name, count, index, codes });
                }
                _ => return None,
            }
        }
        rest.is_empty().then_some(list)
    }

    /// How many keys it has.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.classes.iter().map(|class| class.count).sum()
    }

    /// Whether the key is in it, or has the place of one that is.
    #[must_use]
    pub fn contains(&self, key: &Key) -> bool {
        fingerprint(key).is_some_and(|(name, print)| {
            let class = self.classes.iter().find(|class| class.name == name);
            class.is_some_and(|class| class.contains(place(class.count, &print)))
        })
    }
}

impl Class<'_> {
    fn contains(&self, wanted: u64) -> bool {
        let entries: &[[u8; ENTRY]] = self.index.as_chunks().0;
        let number = |bytes: &[u8]| bytes.iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
        let after = entries.partition_point(|entry| number(&entry[..6]) <= wanted);
        let Some(block) = after.checked_sub(1) else { return false };
        let mut place = number(&entries[block][..6]);
        let offset = number(&entries[block][6..]) as usize;
        let mut bits = Bits { bytes: self.codes.get(offset..).unwrap_or(&[]), used: 0 };
        let more = (self.count - block as u64 * BLOCK).min(BLOCK) - 1;
        for _ in 0..more {
            if place >= wanted {
                break;
            }
            let Some(distance) = bits.distance() else { break };
            place += distance;
        }
        place == wanted
    }
}

struct Bits<'a> {
    bytes: &'a [u8],
    used: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> Option<u64> {
        let byte = self.bytes.get(self.used / 8)?;
        let bit = byte >> (7 - self.used % 8) & 1;
        self.used += 1;
        Some(u64::from(bit))
    }

    /// As many ones as there are whole steps of 2^26, a zero, and the rest in 26 bits.
    fn distance(&mut self) -> Option<u64> {
        let mut value = 0;
        while self.bit()? == 1 {
            value += 1;
        }
        for _ in 0..LOW_BITS {
            value = value << 1 | self.bit()?;
        }
        Some(value)
    }
}

/// First line of a list.
pub const HEAD: &str = "Debian-weak keys (CVE-2008-0166), version 1";
/// How many places there are for each key.
pub const SPREAD: u64 = 101_000_000;
/// Keys in a block.
pub const BLOCK: u64 = 1024;
/// Bits of a distance that are not counted in ones.
pub const LOW_BITS: u32 = 26;
const ENTRY: usize = 10;

const DATA: &[u8] = include_bytes!("../../data/debian-weak.bin");
