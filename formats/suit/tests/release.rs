//! Releases: made, signed, read.
#![allow(clippy::unwrap_used)]

mod common;

use common::{CLASS, VENDOR, p256, release};
use ringfort_cose::{AwsLc, Reason, Verify};
use ringfort_suit::{Envelope, NewRelease, Release, encode, sign};

#[test]
fn a_release_says_what_was_put_in() {
    let new = release(3);
    let unsigned = new.build(&AwsLc).unwrap();
    let bytes = sign(&AwsLc, &p256(), &unsigned).unwrap();
    let envelope = Envelope::parse(&bytes, &AwsLc).unwrap();
    let release = Release::of(&envelope).unwrap();
    assert_eq!(release.sequence_number, new.sequence_number);
    assert_eq!(release.version, Some("1.1"));
    assert_eq!(release.manifest_digest, envelope.manifest_digest());
    assert_eq!(release.components().len(), 3);
    for (component, put_in) in release.components().iter().zip(&new.components) {
        assert_eq!((component.vendor, component.class), (VENDOR, CLASS));
        assert_eq!(component.digest, put_in.digest);
        assert_eq!((component.size_bytes, component.uri), (put_in.size_bytes, &*put_in.uri));
        assert_eq!(component.id.parts().collect::<Vec<_>>(), put_in.id);
        assert_eq!(component.device, None);
    }
    let text = envelope.manifest().text().unwrap();
    let id = envelope.manifest().components.at(0).unwrap();
    assert_eq!(text.update_description(), Some("Brighter."));
    assert_eq!((text.vendor_name(&id), text.model_name(&id)), (Some("Example"), Some("Lamp")));
    assert_eq!(encode(&envelope).unwrap(), bytes);
}

#[test]
fn the_manifest_digest_does_not_depend_on_who_signed() {
    let unsigned = release(1).build(&AwsLc).unwrap();
    let digest = |bytes: &[u8]| Envelope::parse(bytes, &AwsLc).unwrap().manifest_digest();
    let one = sign(&AwsLc, &p256(), &unsigned).unwrap();
    let two = sign(&AwsLc, &p256(), &one).unwrap();
    assert_eq!(digest(&unsigned), digest(&two));
    assert_ne!(unsigned, two);
    let mut other = release(1);
    other.sequence_number += 1;
    assert_ne!(digest(&other.build(&AwsLc).unwrap()), digest(&unsigned));
}

#[test]
fn the_digest_is_that_of_the_manifest_with_its_head() {
    let bytes = release(1).build(&AwsLc).unwrap();
    // Tag, map of three, key 2, wrapper of 39 bytes with a head of two, key 3, manifest.
    let manifest = &bytes[4 + 2 + 39 + 1..];
    assert_eq!(manifest[0], 0x58);
    let len = 2 + usize::from(manifest[1]);
    let digest = Envelope::parse(&bytes, &AwsLc).unwrap().manifest_digest();
    assert_eq!(AwsLc.sha256(&[&manifest[..len]]), digest);
    assert_ne!(AwsLc.sha256(&[&manifest[2..len]]), digest);
}

#[test]
fn a_release_without_components_is_not_made() {
    let new = NewRelease { components: Vec::new(), ..release(1) };
    assert_eq!(new.build(&AwsLc), Err(Reason::Malformed));
    assert!(release(1).build(&AwsLc).is_ok());
}
