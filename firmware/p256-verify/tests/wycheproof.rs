//! Every ECDSA P-256/SHA-256 vector of Project Wycheproof, in both encodings of a signature.
#![allow(clippy::unwrap_used)]

use p256::ecdsa::Signature;
use p256_verify::{PublicKey, verify};
use sha2::{Digest, Sha256};
use wycheproof::TestResult;
use wycheproof::ecdsa::{TestName, TestSet};

/// Accepted by us, and expected to be.
fn run(name: TestName, raw: impl Fn(&[u8]) -> Option<[u8; 64]>) -> (usize, usize) {
    let set = TestSet::load(name).unwrap();
    let (mut accepted, mut refused) = (0, 0);
    for group in set.test_groups {
        let point: &[u8] = group.key.key.as_ref();
        assert_eq!((point.len(), point[0]), (65, 4));
        let key =
            PublicKey::from_xy(point[1..33].try_into().unwrap(), point[33..].try_into().unwrap());
        for case in group.tests {
            let digest = Sha256::digest(&case.msg).into();
            let ours = key
                .as_ref()
                .zip(raw(&case.sig))
                .is_some_and(|(key, signature)| verify(key, &digest, &signature));
            match case.result {
                TestResult::Valid => assert!(ours, "{}: {}", case.tc_id, case.comment),
                TestResult::Invalid => assert!(!ours, "{}: {}", case.tc_id, case.comment),
                TestResult::Acceptable => {}
            }
            if ours {
                accepted += 1;
            } else {
                refused += 1;
            }
        }
    }
    (accepted, refused)
}

#[test]
fn raw_signatures() {
    let (accepted, refused) = run(TestName::EcdsaSecp256r1Sha256P1363, |s| s.try_into().ok());
    assert!(accepted > 100 && refused > 50, "{accepted} accepted, {refused} refused");
}

/// The DER parser is `p256`'s; what it lets through is ours to judge.
#[test]
fn der_signatures() {
    let (accepted, refused) = run(TestName::EcdsaSecp256r1Sha256, |s| {
        Signature::from_der(s).ok().map(|s| s.to_bytes().into())
    });
    assert!(accepted > 100 && refused > 50, "{accepted} accepted, {refused} refused");
}
