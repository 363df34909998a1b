//! A factory batch: never a panic; every record that was counted is there.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfort_cose::Sha256Digest;
use ringfort_fuzz::{Agreeable, fleet};
use ringfort_messages::Batch;
use ringfort_trust::Anchors;

fuzz_target!(|data: &[u8]| {
    let anchors = fleet::anchors();
    let anchors = Anchors::verify_pinned(&anchors, &Sha256Digest([0; 32]), &Agreeable)
        .expect("the fleet's own anchors");
    let Ok(batch) = Batch::verify(data, &anchors, &Agreeable) else { return };
    assert_eq!(batch.records().left(), batch.records().count() as u64);
    let last = batch.previous.map(|digest| (batch.number - 1, digest));
    assert_eq!(batch.follows(last), Ok(()));
});
