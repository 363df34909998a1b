//! A SUIT envelope is parsed, verified, run and written again; what it says stays the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfort_fuzz::{Agreeable, trusted};
use ringfort_suit::{Envelope, Release, check, encode};

fuzz_target!(|data: &[u8]| {
    let Ok(parsed) = Envelope::parse(data, &Agreeable) else { return };
    let verdict = parsed.verify_threshold(&Agreeable, &[trusted()], 1);
    let _ = parsed.verify_single(&Agreeable, &trusted().key);
    let runs = check(parsed.manifest());
    let release = Release::of(&parsed);
    assert!(runs.is_ok() || release.is_err());

    // The encoder writes shortest heads, so what was near a bound may only get shorter.
    let written = encode(&parsed).expect("what was parsed can be written");
    let again = Envelope::parse(&written, &Agreeable).expect("what was written can be parsed");
    assert_eq!(again.verify_threshold(&Agreeable, &[trusted()], 1), verdict);
    assert_eq!(check(again.manifest()), runs);
    assert_eq!(encode(&again).expect("again"), written);
    match (release, Release::of(&again)) {
        (Ok(before), Ok(after)) => {
            assert_eq!(before.sequence_number, after.sequence_number);
            assert_eq!(before.version, after.version);
            let facts = |release: &Release<'_>| -> Vec<_> {
                let each = release.components().iter();
                each.map(|c| (c.vendor, c.class, c.digest, c.size_bytes, c.uri.to_owned()))
                    .collect()
            };
            assert_eq!(facts(&before), facts(&after));
        }
        (before, after) => assert_eq!(before.err(), after.err()),
    }
});
