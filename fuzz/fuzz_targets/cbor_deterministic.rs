//! What the strict dialect accepts is read in full, written again the same, and well-formed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfort_cose::cbor::{Deterministic, Limits, WellFormed, Writer};

fuzz_target!(|data: &[u8]| {
    let _ = Deterministic::read_within(data, Limits::BATCH);
    let Ok(mut reader) = Deterministic::read(data) else { return };
    assert!(WellFormed::read(data).is_ok());
    let mut out = Writer::to_vec();
    ringfort_fuzz::copy(&mut reader, &mut out).expect("what was checked can be read");
    assert!(reader.is_at_end());
    assert_eq!(out.finish().expect("what was read can be written"), data);
});
