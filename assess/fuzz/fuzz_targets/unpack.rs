#![no_main]
//! Whatever the bytes are taken for is opened, nested, under small bounds.

use libfuzzer_sys::fuzz_target;
use ringfort_assess::{
    blob::Blob,
    unpack::{Fact, Limits},
    walk::{Consumer, Leaf, Place, Walker},
};

struct Nothing;

impl Consumer for Nothing {
    fn leaf(&mut self, _: &Leaf<'_>) {}
    fn fact(&mut self, _: &Place, _: &Blob, _: Fact) {}
}

fuzz_target!(|data: &[u8]| {
    let limits = Limits {
        depth: 4,
        members: 2000,
        expansion: 10,
        expansion_floor_bytes: 4 << 20,
        expansion_ceiling_bytes: 8 << 20,
        member_bytes: 4 << 20,
        table_bytes: 1 << 20,
    };
    let mut consumer = Nothing;
    let mut walker = Walker::new(&mut consumer, limits, data.len() as u64);
    let place = Place { owner: 0, file: "f".into(), path: "f".into() };
    let blob = Blob::from_vec(data.to_vec());
    let coverage = walker.blob(&blob, &place, None, 0);
    assert_eq!(coverage.total(), data.len() as u64);
});
