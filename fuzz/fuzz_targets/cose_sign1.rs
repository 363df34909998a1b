//! COSE_Sign1 in both dialects, tagged and not: never a panic, whatever the bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfort_cose::cbor::Dialect;
use ringfort_cose::{ObjectType, Sign1, Tagging};
use ringfort_fuzz::{Agreeable, trusted};

const OBJECT: ObjectType = ObjectType::new("order");

fuzz_target!(|data: &[u8]| {
    let key = trusted().key;
    if let Ok(parsed) = Sign1::parse_object(data, OBJECT) {
        let _ = parsed.verify_object(&Agreeable, OBJECT, &key);
    }
    for dialect in [Dialect::Deterministic, Dialect::WellFormed] {
        for tagging in [Tagging::Tagged, Tagging::Untagged] {
            let Ok(parsed) = Sign1::parse(data, dialect, tagging) else { continue };
            let _ = parsed.header().signer();
            let inside = parsed.verify(&Agreeable, &key, &[]);
            let detached = parsed.verify_detached(&Agreeable, &key, &[], &[]);
            assert!(inside.is_err() || detached.is_err());
        }
    }
});
