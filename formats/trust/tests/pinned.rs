//! The short reader says the same as the full one about every document that the full one takes.

#![allow(clippy::unwrap_used)]

mod common;

use common::{CLASS, Fleet, first_of, key};
use proptest::prelude::*;
use ringfort_cose::{AwsLc, PublicKey, Reason, Sha256Digest, Sign, SoftSigner, Verify};
use ringfort_trust::ids::ClassId;
use ringfort_trust::{Anchors, AnchorsSpec, KeySpec, Pinned, ProductSpec, Role};

/// Asks both the same questions.
fn compare(document: &[u8], manifests: &[Sha256Digest]) {
    let digest = AwsLc.sha256(&[document]);
    let full = Anchors::verify_pinned(document, &digest, &AwsLc).unwrap();
    let short = Pinned::open(document, &digest.0, &AwsLc).unwrap();
    let everyone: Vec<_> = full.keys().map(|entry| entry.key).collect();
    let classes = full.products().map(|product| product.class).chain([ClassId([0xee; 16])]);
    for class in classes {
        let (full, short) = (full.release_keys(&class, &AwsLc), short.signers(&class));
        let (Ok(full), Ok(short)) = (&full, &short) else {
            assert_eq!(full.map(drop), Err(Reason::WrongDevice));
            assert_eq!(short.map(drop), Err(Reason::WrongDevice));
            continue;
        };
        assert_eq!(short.threshold, full.threshold);
        for key in &everyone {
            let thumbprint = key.thumbprint(&AwsLc);
            let expected = full.keys.find(&thumbprint).map(|trusted| trusted.key);
            // A boot loader verifies P-256 only.
            let expected = match expected {
                Ok(PublicKey::Ed25519(_)) => Err(Reason::UntrustedSigner),
                other => other,
            };
            assert_eq!(short.key(&thumbprint, &AwsLc), expected);
        }
    }
    for manifest in manifests {
        assert_eq!(short.is_revoked(manifest), full.is_revoked(manifest));
    }
}

#[test]
fn both_readers_agree_on_products_with_shared_and_other_keys() {
    let fleet = Fleet::new();
    let mut spec = fleet.spec();
    let shared = spec.products[0].keys[1].clone();
    let edwards = SoftSigner::generate_ed25519().unwrap();
    spec.products.push(ProductSpec {
        class: ClassId([0xc2; 16]),
        threshold: 1,
        keys: vec![
            shared,
            KeySpec::new(Role::Release, key().public_key(), "named"),
            KeySpec::new(Role::Release, edwards.public_key(), ""),
        ],
        ..spec.products[0].clone()
    });
    let listed = Sha256Digest([0xbb; 32]);
    let more = KeySpec::new(Role::Command, key().public_key(), "");
    spec.keys.push(more);
    for (spare, command_threshold) in [(None, 1), (spec.spare.clone(), 1), (None, 2)] {
        let spec = AnchorsSpec { spare, command_threshold, ..spec.clone() };
        compare(&fleet.signed(&spec), &[listed, Sha256Digest([0xba; 32])]);
    }
}

#[test]
fn another_document_than_the_noted_one_is_refused() {
    let fleet = Fleet::new();
    let (document, other) = (fleet.first(), fleet.first());
    let digest = AwsLc.sha256(&[&document]);
    let refused = Pinned::open(&other, &digest.0, &AwsLc).map(drop);
    assert_eq!(refused, Err(Reason::AnchorsDigest));
    let opened = Pinned::open(&document, &digest.0, &AwsLc).unwrap();
    assert_eq!(opened.signers(&CLASS).unwrap().threshold, 2);
    let order = fleet.order.public_key().thumbprint(&AwsLc);
    assert_eq!(first_of(&document).release_keys(&CLASS, &AwsLc).unwrap().keys.len(), 3);
    let signers = opened.signers(&CLASS).unwrap();
    assert_eq!(signers.key(&order, &AwsLc), Err(Reason::UntrustedSigner));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn both_readers_agree_on_any_document(
        names in proptest::collection::vec("[a-z]{0,32}", 6),
        cas in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..600), 1..=4),
        revoked in proptest::collection::vec(any::<[u8; 32]>(), 0..64),
        classes in 0..8u8,
    ) {
        let fleet = Fleet::new();
        let mut spec = fleet.spec();
        for (entry, name) in spec.keys.iter_mut().zip(names) {
            entry.name = name;
        }
        let product = spec.products[0].clone();
        spec.products = (0..classes)
            .map(|index| ProductSpec { class: ClassId([index; 16]), ..product.clone() })
            .collect();
        spec.server_cas = cas;
        spec.revoked = revoked.into_iter().map(Sha256Digest).collect();
        compare(&fleet.signed(&spec), &spec.revoked);
    }

    /// Even where the digest was noted of bytes that are no anchors at all.
    #[test]
    fn any_noted_bytes_are_read_without_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        cut in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut document = Fleet::new().first();
        let at = cut.index(document.len());
        document[at] = byte;
        for bytes in [&bytes, &document] {
            let digest = AwsLc.sha256(&[bytes]);
            let Ok(opened) = Pinned::open(bytes, &digest.0, &AwsLc) else { continue };
            let _ = opened.is_revoked(&digest);
            if let Ok(signers) = opened.signers(&CLASS) {
                let _ = signers.key(&key().public_key().thumbprint(&AwsLc), &AwsLc);
            }
        }
    }
}
