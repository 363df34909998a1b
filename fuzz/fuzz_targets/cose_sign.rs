//! COSE_Sign of our own objects: never a panic, whatever the bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfort_cose::{MultiSign, ObjectType};
use ringfort_fuzz::{Agreeable, trusted};

const OBJECT: ObjectType = ObjectType::new("anchors");

fuzz_target!(|data: &[u8]| {
    let Ok(parsed) = MultiSign::parse_object(data, OBJECT) else { return };
    let count = parsed.entries().count();
    if let Ok(signers) = parsed.verify_all(&Agreeable, &[trusted()]) {
        assert_eq!(signers.count(), count.min(1));
    }
    let _ = parsed.verify_threshold(&Agreeable, &[trusted()], 1);
});
