//! Writes the list that `ringfort_assess::keys::debian` reads.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use ringfort_assess::keys::debian::{BLOCK, HEAD, LOW_BITS, place};

/// The list of the sets given, each with the fingerprints of its keys.
pub fn pack(made_on: &str, sets: &BTreeMap<String, Vec<[u8; 32]>>) -> Vec<u8> {
    let mut classes: BTreeMap<&str, BTreeSet<[u8; 32]>> = BTreeMap::new();
    let mut text = format!("{HEAD}\nmade-on {made_on}\n");
    for (set, prints) in sets {
        let class = set.rsplit('/').next().unwrap_or(set);
        classes.entry(class).or_default().extend(prints);
        let _ = writeln!(text, "set {set}");
    }
    let mut body = Vec::new();
    for (class, prints) in classes {
        let count = prints.len() as u64;
        // In the order of the fingerprints the places are in order too.
        let places: Vec<u64> = prints.iter().map(|print| place(count, print)).collect();
        let mut codes = Vec::new();
        for block in places.chunks(BLOCK as usize) {
            body.extend(&block[0].to_be_bytes()[2..]);
            body.extend((codes.len() as u32).to_be_bytes());
            let mut bits = Vec::new();
            for pair in block.windows(2) {
                let distance = pair[1] - pair[0];
                bits.extend((0..distance >> LOW_BITS).map(|_| 1));
                bits.push(0);
                bits.extend((0..LOW_BITS).rev().map(|bit| (distance >> bit & 1) as u8));
            }
            codes.extend(bits.chunks(8).map(|bits| {
                bits.iter().enumerate().fold(0, |byte, (at, bit)| byte | bit << (7 - at))
            }));
        }
        let _ = writeln!(text, "class {class} {count} {}", codes.len());
        body.extend(codes);
    }
    [text.as_bytes(), b"\n", &body].concat()
}
