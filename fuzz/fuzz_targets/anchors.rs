//! An anchors document that parses answers every question, and is written again as it was.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use ringfort_cose::{MultiSign, Sha256Digest};
use ringfort_fuzz::{Agreeable, fleet};
use ringfort_trust::{ANCHORS, Anchors, AnchorsSpec, Document, Role};

fuzz_target!(|data: &[u8]| {
    let first = Anchors::verify_pinned(&FIRST, &Sha256Digest([0; 32]), &Agreeable)
        .expect("the fleet's own anchors");
    let judged = first.verify_next(data, &Agreeable).is_ok();
    let Ok(document) = Document::parse(data) else { return assert!(!judged) };
    assert!(document.keys_of(Role::Anchor).count() >= document.anchor_threshold());
    assert!(document.server_cas().count() >= 1);
    for product in document.products() {
        assert!(product.threshold >= 1 && product.threshold <= product.key_positions().len());
        assert!(document.product(&product.class).is_some());
    }
    assert!(document.revoked().all(|digest| document.is_revoked(&digest)));
    // The order of keys, and names of COSE_Key, may differ; what is said may not.
    let spec = AnchorsSpec::of(&document);
    if let Ok(again) = spec.encode(&Agreeable) {
        let payload = MultiSign::parse_object(&again, ANCHORS).expect("it parsed").payload_unverified();
        assert!(payload.len() <= Document::MAX_LEN);
        let read = AnchorsSpec::of(&Document::parse(&again).expect("what encodes parses"));
        assert_eq!(read.products.len(), spec.products.len());
        assert_eq!((read.fleet, read.version, read.keys), (spec.fleet, spec.version, spec.keys));
    }
});

/// The fleet's first document, made once.
static FIRST: LazyLock<Vec<u8>> = LazyLock::new(fleet::anchors);
