//! The boot loader's reader of releases, held against the full one.
#![allow(clippy::unwrap_used)]

mod common;

use common::{p256, release, signed, trusted, vector, vectors};
use ringfort_cose::{AwsLc, PublicKey, Reason, Sign, SoftSigner, Thumbprint};
use ringfort_suit::{Envelope, Outline, Release, sign};

/// The keys that a device would have, by thumbprint.
fn key_of(signers: &[&SoftSigner]) -> impl Fn(&Thumbprint) -> Result<PublicKey, Reason> + use<> {
    let allowed = trusted(signers);
    move |thumbprint| {
        let found = allowed.iter().find(|key| key.thumbprint == *thumbprint);
        found.map(|key| key.key).ok_or(Reason::UntrustedSigner)
    }
}

fn same_as_full(bytes: &[u8]) {
    let outline = Outline::read(bytes, &AwsLc).unwrap();
    let envelope = Envelope::parse(bytes, &AwsLc).unwrap();
    let release = Release::of(&envelope).unwrap();
    assert_eq!(outline.manifest_digest, release.manifest_digest);
    assert_eq!(outline.sequence_number, release.sequence_number);
    assert_eq!(outline.components, release.components().len());
    outline
        .for_each(|index, component| {
            let full = &release.components()[index];
            assert_eq!(full.id.parts().collect::<Vec<_>>(), [component.id]);
            assert_eq!((component.vendor, component.class), (&full.vendor, &full.class));
            assert_eq!(component.digest, &full.digest.0);
            assert_eq!(u64::from(component.size_bytes), full.size_bytes);
            Ok(())
        })
        .unwrap();
}

#[test]
fn says_the_same_of_what_is_made_here() {
    for count in 1..=8 {
        let mut new = release(count);
        for (index, component) in new.components.iter_mut().enumerate() {
            component.id = vec![vec![b'a' + index as u8; 1 + index]];
            component.size_bytes = [0, 23, 24, 255, 256, 65_535, 65_536, 4_000_000_000][index];
        }
        for sequence in [0, 23, 256, 1_800_000_000, u64::MAX] {
            new.sequence_number = sequence;
            let unsigned = new.build(&AwsLc).unwrap();
            same_as_full(&unsigned);
            same_as_full(&sign(&AwsLc, &p256(), &unsigned).unwrap());
        }
    }
}

#[test]
fn verifies_every_block_and_counts_different_keys() {
    let (one, two, three) = (p256(), p256(), p256());
    let verify = |bytes: &[u8], signers: &[&SoftSigner], threshold| {
        Outline::read(bytes, &AwsLc).unwrap().verify(&AwsLc, threshold, key_of(signers))
    };
    let both = signed(&[&one, &two]);
    assert_eq!(verify(&both, &[&one, &two, &three], 2), Ok(()));
    assert_eq!(verify(&both, &[&one, &two, &three], 3), Err(Reason::ThresholdNotMet));
    assert_eq!(verify(&both, &[&one, &three], 1), Err(Reason::UntrustedSigner));
    assert_eq!(verify(&signed(&[]), &[&one], 0), Err(Reason::ThresholdNotMet));
    // A string of 64 bytes behind a payload that is not there: the first signature.
    let at = both.windows(3).position(|bytes| bytes == [0xf6, 0x58, 0x40]).unwrap();
    let mut damaged = both;
    damaged[at + 20] ^= 1;
    assert_eq!(verify(&damaged, &[&one, &two], 1), Err(Reason::BadSignature));
    let other = SoftSigner::generate_ed25519().unwrap();
    let mixed = signed(&[&one, &other]);
    assert_eq!(verify(&mixed, &[&one, &other], 2), Ok(()));
    assert_ne!(one.public_key(), two.public_key());
}

#[test]
fn refuses_the_forms_of_other_makers() {
    for name in vectors() {
        let bytes = vector(&name);
        assert!(Envelope::parse(&bytes, &AwsLc).is_ok(), "{name}");
        let outline = Outline::read(&bytes, &AwsLc);
        let read = outline.and_then(|outline| outline.for_each(|_, _| Ok(())));
        assert!(read.is_err(), "{name}");
    }
}

#[test]
fn a_flipped_bit_is_refused_or_changes_no_fact() {
    let one = p256();
    let good = signed(&[&one]);
    let facts = |bytes: &[u8]| {
        let outline = Outline::read(bytes, &AwsLc)?;
        outline.verify(&AwsLc, 1, key_of(&[&one]))?;
        outline.for_each(|_, _| Ok(()))?;
        Ok::<_, Reason>((outline.manifest_digest, outline.sequence_number))
    };
    let before = facts(&good).unwrap();
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            if let Ok(after) = facts(&bytes) {
                assert_eq!(after, before, "bit {bit} of byte {at}");
            }
        }
    }
}
