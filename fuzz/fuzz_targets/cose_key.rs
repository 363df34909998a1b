//! A COSE_Key that is accepted is written again as the same key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfort_cose::PublicKey;
use ringfort_cose::cbor::{Deterministic, Writer};

fuzz_target!(|data: &[u8]| {
    let Ok(mut reader) = Deterministic::read(data) else { return };
    let Ok(key) = PublicKey::read(&mut reader) else { return };
    let mut out = Writer::to_vec();
    key.write(&mut out).expect("a key can be written");
    let written = out.finish().expect("a key is written in order");
    let mut again = Deterministic::read(&written).expect("what was written can be read");
    assert_eq!(PublicKey::read(&mut again), Ok(key));
});
