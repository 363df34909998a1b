//! What the lenient dialect accepts is read in full.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfort_cose::cbor::{WellFormed, Writer};

fuzz_target!(|data: &[u8]| {
    let Ok(mut reader) = WellFormed::read(data) else { return };
    let mut raw = reader.clone();
    assert_eq!(raw.raw().expect("what was checked can be read"), data);
    let mut out = Writer::to_vec();
    ringfort_fuzz::copy(&mut reader, &mut out).expect("what was checked can be read");
    assert!(reader.is_at_end());
});
