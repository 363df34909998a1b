//! Anchors: what is refused, each with the same thing done right.
#![allow(clippy::unwrap_used)]

mod common;

use common::{CLASS, FLEET, Fleet, NOW, VENDOR, first_of, flips, key};
use proptest::prelude::*;
use ringfort_cose::{AwsLc, ObjectType, Reason, Sha256Digest, Sign, SignError, Verify};
use ringfort_trust::ids::{AnchorsVersion, ClassId, FleetId, SiteId, UnixTime};
use ringfort_trust::{Anchors, AnchorsSpec, Document, KeySpec, ProductSpec, Role};

fn next_spec(fleet: &Fleet) -> AnchorsSpec {
    AnchorsSpec { version: AnchorsVersion(2), ..fleet.spec() }
}

fn judge_next(fleet: &Fleet, next: &[u8]) -> Result<AnchorsVersion, Reason> {
    let first = fleet.first();
    first_of(&first).verify_next(next, &AwsLc).map(|anchors| anchors.version())
}

fn encode(spec: &AnchorsSpec) -> Result<Vec<u8>, Reason> {
    spec.encode(&AwsLc)
}

// Version 1.

#[test]
fn the_first_version_needs_its_digest_its_number_and_its_threshold() {
    let fleet = Fleet::new();
    let bytes = fleet.first();
    let digest = AwsLc.sha256(&[&bytes]);
    assert!(Anchors::verify_first(&bytes, &digest, &AwsLc).is_ok());

    let other = Sha256Digest([0; 32]);
    assert_eq!(Anchors::verify_first(&bytes, &other, &AwsLc).unwrap_err(), Reason::AnchorsDigest);

    let second = fleet.signed(&next_spec(&fleet));
    let pinned = AwsLc.sha256(&[&second]);
    let judged = Anchors::verify_first(&second, &pinned, &AwsLc);
    assert_eq!(judged.unwrap_err(), Reason::AnchorsNotSequential);
    assert!(Anchors::verify_pinned(&second, &pinned, &AwsLc).is_ok());
    assert_eq!(
        Anchors::verify_pinned(&second, &digest, &AwsLc).unwrap_err(),
        Reason::AnchorsDigest
    );

    let single = fleet.spec().sign(&AwsLc, &[&fleet.anchor[0]]).unwrap();
    let pinned = AwsLc.sha256(&[&single]);
    let judged = Anchors::verify_first(&single, &pinned, &AwsLc);
    assert_eq!(judged.unwrap_err(), Reason::ThresholdNotMet);
}

#[test]
fn any_flipped_bit_of_a_document_is_refused() {
    let fleet = Fleet::new();
    let first = fleet.first();
    let first = first_of(&first);
    let next = fleet.signed(&next_spec(&fleet));
    assert!(first.verify_next(&next, &AwsLc).is_ok());
    for (bit, flipped) in flips(&next) {
        let reason = first.verify_next(&flipped, &AwsLc).expect_err("a bit was flipped");
        assert_ne!(reason, Reason::Internal, "bit {bit}");
    }
}

#[test]
fn any_cut_of_a_document_is_refused() {
    let fleet = Fleet::new();
    let next = fleet.signed(&next_spec(&fleet));
    for len in 0..next.len() {
        assert_eq!(judge_next(&fleet, &next[..len]), Err(Reason::Malformed), "{len}");
    }
    let longer = [next.as_slice(), &[0]].concat();
    assert_eq!(judge_next(&fleet, &longer), Err(Reason::Malformed));
    assert_eq!(judge_next(&fleet, &next), Ok(AnchorsVersion(2)));
}

// Rotation.

#[test]
fn rotation_needs_the_old_threshold_and_the_new_one() {
    let fleet = Fleet::new();
    let new: [_; 3] = [key(), key(), key()];
    let mut spec = next_spec(&fleet);
    for (slot, signer) in spec.keys.iter_mut().zip(&new) {
        slot.key = signer.public_key();
    }
    let judge = |signers: &[&dyn Sign]| judge_next(&fleet, &spec.sign(&AwsLc, signers).unwrap());
    let old = &fleet.anchor;
    assert_eq!(judge(&[&old[0], &old[2], &new[1], &new[2]]), Ok(AnchorsVersion(2)));
    let refused: [&[&dyn Sign]; 5] = [
        &[&old[0], &old[1], &old[2]],
        &[&new[0], &new[1], &new[2]],
        &[&old[0], &new[0], &new[1], &new[2]],
        &[&old[0], &old[1], &old[2], &new[0]],
        &[],
    ];
    for signers in refused {
        assert_eq!(judge(signers), Err(Reason::ThresholdNotMet), "{} signers", signers.len());
    }
}

#[test]
fn a_signer_of_both_versions_counts_for_both() {
    let fleet = Fleet::new();
    let mut spec = next_spec(&fleet);
    let added = key();
    spec.keys[2].key = added.public_key();
    let judge = |signers: &[&dyn Sign]| judge_next(&fleet, &spec.sign(&AwsLc, signers).unwrap());
    assert_eq!(judge(&[&fleet.anchor[0], &fleet.anchor[1]]), Ok(AnchorsVersion(2)));
    // One in both, one only old, one only new: two of each.
    assert_eq!(judge(&[&fleet.anchor[0], &fleet.anchor[2], &added]), Ok(AnchorsVersion(2)));
    assert_eq!(judge(&[&fleet.anchor[0], &fleet.anchor[2]]), Err(Reason::ThresholdNotMet));
    assert_eq!(judge(&[&fleet.anchor[0], &added]), Err(Reason::ThresholdNotMet));
}

#[test]
fn a_raised_threshold_counts_at_once_and_a_lowered_one_does_not() {
    let fleet = Fleet::new();
    let with = |threshold| AnchorsSpec { anchor_threshold: threshold, ..next_spec(&fleet) };
    let signers: [&dyn Sign; 3] = [&fleet.anchor[0], &fleet.anchor[1], &fleet.anchor[2]];
    let judge = |threshold, count: usize| {
        judge_next(&fleet, &with(threshold).sign(&AwsLc, &signers[..count]).unwrap())
    };
    assert_eq!(judge(3, 2), Err(Reason::ThresholdNotMet));
    assert_eq!(judge(3, 3), Ok(AnchorsVersion(2)));
    assert_eq!(judge(1, 1), Err(Reason::ThresholdNotMet));
    assert_eq!(judge(1, 2), Ok(AnchorsVersion(2)));
}

#[test]
fn one_key_signing_twice_counts_once() {
    let fleet = Fleet::new();
    let spec = next_spec(&fleet);
    let twice = spec.sign(&AwsLc, &[&fleet.anchor[0], &fleet.anchor[0]]).unwrap();
    assert_eq!(judge_next(&fleet, &twice), Err(Reason::ThresholdNotMet));
    let both = spec.sign(&AwsLc, &[&fleet.anchor[0], &fleet.anchor[1]]).unwrap();
    assert_eq!(judge_next(&fleet, &both), Ok(AnchorsVersion(2)));
}

#[test]
fn a_key_of_another_role_or_a_stranger_is_refused_even_as_a_spare() {
    let fleet = Fleet::new();
    let spec = next_spec(&fleet);
    let stranger = key();
    for extra in [&fleet.release[0] as &dyn Sign, &fleet.order, &fleet.command, &stranger] {
        let signers = [&fleet.anchor[0] as &dyn Sign, &fleet.anchor[1], extra];
        let bytes = spec.sign(&AwsLc, &signers).unwrap();
        assert_eq!(judge_next(&fleet, &bytes), Err(Reason::UntrustedSigner));
    }
    let signers = [&fleet.anchor[0] as &dyn Sign, &fleet.anchor[1], &fleet.anchor[2]];
    assert!(judge_next(&fleet, &spec.sign(&AwsLc, &signers).unwrap()).is_ok());
}

#[test]
fn skipped_repeated_and_older_versions_are_refused() {
    let fleet = Fleet::new();
    let first = fleet.first();
    let second = fleet.signed(&next_spec(&fleet));
    let third = fleet.signed(&AnchorsSpec { version: AnchorsVersion(3), ..fleet.spec() });
    let second = first_of(&first).verify_next(&second, &AwsLc).unwrap().document().bytes().to_vec();
    let pinned = AwsLc.sha256(&[&second]);
    let held = Anchors::verify_pinned(&second, &pinned, &AwsLc).unwrap();
    assert_eq!(held.verify_next(&first, &AwsLc).unwrap_err(), Reason::AnchorsNotSequential);
    assert_eq!(held.verify_next(&second, &AwsLc).unwrap_err(), Reason::AnchorsNotSequential);
    assert_eq!(judge_next(&fleet, &third), Err(Reason::AnchorsNotSequential));
    assert_eq!(held.verify_next(&third, &AwsLc).unwrap().version(), AnchorsVersion(3));
}

#[test]
fn another_fleet_is_refused_even_with_the_same_keys() {
    let fleet = Fleet::new();
    let foreign = AnchorsSpec { fleet: FleetId([0xf2; 16]), ..next_spec(&fleet) };
    assert_eq!(judge_next(&fleet, &fleet.signed(&foreign)), Err(Reason::WrongFleet));
    assert_eq!(judge_next(&fleet, &fleet.signed(&next_spec(&fleet))), Ok(AnchorsVersion(2)));
}

#[test]
fn a_time_floor_never_goes_back() {
    let fleet = Fleet::new();
    let with = |floor| fleet.signed(&AnchorsSpec { time_floor: floor, ..next_spec(&fleet) });
    assert_eq!(judge_next(&fleet, &with(UnixTime(NOW.0 - 1))), Err(Reason::ClockRegressed));
    assert_eq!(judge_next(&fleet, &with(UnixTime(NOW.0))), Ok(AnchorsVersion(2)));
    let beyond = AnchorsSpec { time_floor: UnixTime(253_402_300_800), ..next_spec(&fleet) };
    assert_eq!(encode(&beyond), Err(Reason::TooLarge));
}

#[test]
fn an_object_of_another_type_cannot_pass_for_anchors() {
    let fleet = Fleet::new();
    let next = fleet.signed(&next_spec(&fleet));
    let payload = ringfort_cose::MultiSign::parse_object(&next, ringfort_trust::ANCHORS)
        .unwrap()
        .payload_unverified();
    let signers = [&fleet.anchor[0] as &dyn Sign, &fleet.anchor[1]];
    let other = ObjectType::new("batch");
    let posing = ringfort_cose::multi_sign(&AwsLc, &signers, other, payload).unwrap();
    assert_eq!(judge_next(&fleet, &posing), Err(Reason::WrongType));
    let own =
        ringfort_cose::multi_sign(&AwsLc, &signers, ringfort_trust::ANCHORS, payload).unwrap();
    assert_eq!(judge_next(&fleet, &own), Ok(AnchorsVersion(2)));
}

#[test]
fn signatures_are_collected_from_several_machines() {
    let fleet = Fleet::new();
    let draft = encode(&next_spec(&fleet)).unwrap();
    assert_eq!(judge_next(&fleet, &draft), Err(Reason::ThresholdNotMet));
    let one = AnchorsSpec::add_signature(&draft, &AwsLc, &fleet.anchor[2]).unwrap();
    assert_eq!(judge_next(&fleet, &one), Err(Reason::ThresholdNotMet));
    let two = AnchorsSpec::add_signature(&one, &AwsLc, &fleet.anchor[0]).unwrap();
    assert_eq!(judge_next(&fleet, &two), Ok(AnchorsVersion(2)));
    let again = AnchorsSpec::add_signature(&one, &AwsLc, &fleet.anchor[2]).unwrap();
    assert_eq!(judge_next(&fleet, &again), Err(Reason::ThresholdNotMet));
}

// Rules of one document.

#[test]
fn a_key_in_two_roles_is_refused() {
    let fleet = Fleet::new();
    for other in [
        &fleet.anchor[0] as &dyn Sign,
        &fleet.release[0],
        &fleet.command,
        &fleet.order,
        &fleet.station,
    ] {
        let mut spec = fleet.spec();
        spec.keys.push(KeySpec::new(Role::Order, other.public_key(), ""));
        assert_eq!(encode(&spec), Err(Reason::KeyInTwoRoles));
    }
    let mut spec = fleet.spec();
    spec.keys.push(KeySpec::new(Role::Order, key().public_key(), ""));
    assert!(encode(&spec).is_ok());
    let mut spec = fleet.spec();
    spec.keys.push(KeySpec::new(Role::Release, key().public_key(), ""));
    assert_eq!(encode(&spec), Err(Reason::KeyInTwoRoles));
}

#[test]
fn a_release_key_may_serve_several_products_and_a_class_stands_once() {
    let fleet = Fleet::new();
    let mut spec = fleet.spec();
    let twin = spec.products[0].clone();
    spec.products.push(twin.clone());
    assert_eq!(encode(&spec), Err(Reason::Malformed));
    spec.products[1] = ProductSpec { class: ClassId([0xc2; 16]), ..twin };
    let bytes = encode(&spec).unwrap();
    assert_eq!(Document::parse(&bytes).unwrap().keys_of(Role::Release).count(), 3);
}

#[test]
fn thresholds_that_are_nought_too_high_or_leave_no_spare_are_refused() {
    let fleet = Fleet::new();
    let release = |threshold, keys: usize| {
        let mut spec = fleet.spec();
        spec.products[0].threshold = threshold;
        spec.products[0].keys.truncate(keys);
        encode(&spec).map(drop)
    };
    for (threshold, keys) in [(0, 3), (3, 3), (4, 3), (2, 2), (0, 1), (2, 1), (0, 0), (1, 0)] {
        assert_eq!(
            release(threshold, keys),
            Err(Reason::ThresholdInvalid),
            "{threshold} of {keys}"
        );
    }
    for (threshold, keys) in [(1, 3), (2, 3), (1, 2), (1, 1)] {
        assert_eq!(release(threshold, keys), Ok(()), "{threshold} of {keys}");
    }
    let anchor =
        |threshold| encode(&AnchorsSpec { anchor_threshold: threshold, ..fleet.spec() }).map(drop);
    assert_eq!(anchor(0), Err(Reason::ThresholdInvalid));
    assert_eq!(anchor(4), Err(Reason::ThresholdInvalid));
    assert_eq!(anchor(3), Ok(()));
}

#[test]
fn a_station_key_has_a_site_and_no_other_key_has() {
    let fleet = Fleet::new();
    let mut spec = fleet.spec();
    spec.keys.push(KeySpec::new(Role::Station, key().public_key(), ""));
    assert_eq!(encode(&spec), Err(Reason::Malformed));
    let mut spec = fleet.spec();
    spec.keys[0].site = Some(SiteId::new("plant-1").unwrap());
    assert_eq!(encode(&spec), Err(Reason::Malformed));
}

/// The same key without its algorithm, or with another name for it, would be a second encoding.
#[test]
fn a_key_has_one_form() {
    let fleet = Fleet::new();
    let bytes = encode(&fleet.spec()).unwrap();
    let object = ringfort_cose::MultiSign::parse_object(&bytes, ringfort_trust::ANCHORS).unwrap();
    let payload = object.payload_unverified();
    let parse = |payload: &[u8]| {
        let made = ringfort_cose::multi_sign(&AwsLc, &[], ringfort_trust::ANCHORS, payload);
        Document::parse(&made.unwrap()).map(drop)
    };
    assert_eq!(parse(payload), Ok(()));
    // kty EC2, alg ESP256: the start of every P-256 key.
    let start = [0xa5, 0x01, 0x02, 0x03, 0x28];
    let at = payload.windows(5).position(|window| window == start).unwrap();
    let es256 = [&payload[..at], &[0xa5, 0x01, 0x02, 0x03, 0x26], &payload[at + 5..]].concat();
    assert_eq!(parse(&es256), Err(Reason::Malformed));
    let without = [&payload[..at], &[0xa4, 0x01, 0x02], &payload[at + 5..]].concat();
    assert_eq!(parse(&without), Err(Reason::Malformed));
}

#[test]
fn lists_beyond_their_bounds_are_refused() {
    let fleet = Fleet::new();
    let check = |change: &dyn Fn(&mut AnchorsSpec, usize), most: usize, what: &str| {
        let mut spec = AnchorsSpec { server_cas: vec![vec![1]], revoked: vec![], ..fleet.spec() };
        change(&mut spec, most);
        assert!(encode(&spec).is_ok(), "{what}: {:?}", encode(&spec));
        change(&mut spec, most + 1);
        assert_eq!(encode(&spec), Err(Reason::TooLarge), "{what}");
    };
    // Seven order keys beside the one that is there.
    let orders = |spec: &mut AnchorsSpec, count: usize| {
        spec.keys.truncate(6);
        let more = (1..count).map(|_| KeySpec::new(Role::Order, key().public_key(), ""));
        spec.keys.extend(more);
    };
    check(&orders, 8, "keys of a role");
    // Nine keys are there; fifteen more, none above eight in its role.
    let keys = |spec: &mut AnchorsSpec, count: usize| {
        let roles = [Role::Anchor, Role::Command, Role::Order].iter().cycle();
        spec.keys.truncate(6);
        let more = roles.map(|role| KeySpec::new(*role, key().public_key(), ""));
        spec.keys.extend(more.take(count - 9));
    };
    check(&keys, 24, "keys in all");
    let products = |spec: &mut AnchorsSpec, count: usize| {
        let product = spec.products[0].clone();
        spec.products = (0..count)
            .map(|index| ProductSpec { class: ClassId([index as u8; 16]), ..product.clone() })
            .collect();
    };
    check(&products, 16, "products");
    let revoked = |spec: &mut AnchorsSpec, count| spec.revoked = vec![Sha256Digest([1; 32]); count];
    check(&revoked, 64, "revoked manifests");
    let cas = |spec: &mut AnchorsSpec, count| spec.server_cas = vec![vec![1]; count];
    check(&cas, 4, "Server CAs");
    let ca = |spec: &mut AnchorsSpec, len| spec.server_cas = vec![vec![1; len]];
    check(&ca, 2048, "bytes of a Server CA");
    let names = |spec: &mut AnchorsSpec, len| spec.keys[0].name = "n".repeat(len);
    check(&names, 32, "bytes of a key's name");
    let vendor = |spec: &mut AnchorsSpec, len| spec.products[0].vendor_name = "n".repeat(len);
    check(&vendor, 64, "bytes of a vendor's name");
    let hub = |spec: &mut AnchorsSpec, len| spec.hub = format!("https://{}", "h".repeat(len - 8));
    check(&hub, 255, "bytes of an address");
}

#[test]
fn a_document_beyond_8_kib_is_refused() {
    let fleet = Fleet::new();
    let with = |len: usize| {
        let cas = vec![vec![1; 2048], vec![1; 2048], vec![1; 2048], vec![1; len]];
        AnchorsSpec { server_cas: cas, ..fleet.spec() }
    };
    let room = Document::MAX_LEN - encode(&with(300)).unwrap().len();
    assert_eq!(encode(&with(300 + room)).unwrap().len(), Document::MAX_LEN);
    assert_eq!(encode(&with(301 + room)), Err(Reason::TooLarge));
    let full = encode(&with(300 + room)).unwrap();
    let signed = AnchorsSpec::add_signature(&full, &AwsLc, &fleet.anchor[0]);
    assert_eq!(signed, Err(SignError::Object(Reason::TooLarge)));
}

#[test]
fn addresses_are_https_origins_and_plain() {
    let fleet = Fleet::new();
    let hub =
        |address: &str| encode(&AnchorsSpec { hub: address.into(), ..fleet.spec() }).map(drop);
    for good in ["https://hub.example", "https://hub.example:8443", "https://[::1]:8443"] {
        assert_eq!(hub(good), Ok(()), "{good}");
    }
    for bad in [
        "http://hub.example",
        "https://",
        "https://hub.example/",
        "https://hub.example/path",
        "https://user@hub.example",
        "https://hub.example?query",
        "https://hub.example#part",
        "https://hub example",
        "HTTPS://hub.example",
        "",
    ] {
        assert_eq!(hub(bad), Err(Reason::UriNotAllowed), "{bad}");
    }
    let spare = |address: Option<&str>| {
        encode(&AnchorsSpec { spare: address.map(Into::into), ..fleet.spec() }).map(drop)
    };
    assert_eq!(spare(Some("https://static.example/a/b")), Ok(()));
    assert_eq!(spare(Some("https://static.example")), Ok(()));
    assert_eq!(spare(None), Ok(()));
    assert_eq!(spare(Some("https://static.example/")), Err(Reason::UriNotAllowed));
    assert_eq!(spare(Some("https:///a")), Err(Reason::UriNotAllowed));
    assert_eq!(spare(Some("file:///etc")), Err(Reason::UriNotAllowed));
}

// Questions.

#[test]
fn anchors_answer_who_may_sign_what() {
    let fleet = Fleet::new();
    let bytes = fleet.first();
    let anchors = first_of(&bytes);
    let release = anchors.release_keys(&CLASS, &AwsLc).unwrap();
    assert_eq!((release.threshold, release.keys.len()), (2, 3));
    for signer in &fleet.release {
        assert!(release.keys.find(&signer.public_key().thumbprint(&AwsLc)).is_ok());
    }
    let unknown = anchors.release_keys(&ClassId([0; 16]), &AwsLc);
    assert_eq!(unknown.unwrap_err(), Reason::WrongDevice);

    let order = fleet.order.public_key().thumbprint(&AwsLc);
    let command = fleet.command.public_key().thumbprint(&AwsLc);
    let station = fleet.station.public_key().thumbprint(&AwsLc);
    assert!(anchors.order_key(&order, &AwsLc).is_ok());
    assert_eq!(anchors.order_key(&command, &AwsLc).unwrap_err(), Reason::UntrustedSigner);
    assert!(anchors.command_key(&command, &AwsLc).is_ok());
    assert_eq!(anchors.command_key(&order, &AwsLc).unwrap_err(), Reason::UntrustedSigner);
    let (key, site) = anchors.station_key(&station, &AwsLc).unwrap();
    assert_eq!((key.thumbprint, site.as_str()), (station, "plant-1"));
    assert_eq!(anchors.station_key(&order, &AwsLc).unwrap_err(), Reason::UntrustedSigner);
    assert_eq!(anchors.trusted_keys(Role::Anchor, &AwsLc).len(), 3);

    assert!(anchors.is_revoked(&Sha256Digest([0xbb; 32])));
    assert!(!anchors.is_revoked(&Sha256Digest([0xba; 32])));
    assert_eq!((anchors.fleet(), anchors.version()), (FLEET, AnchorsVersion(1)));
    assert_eq!(anchors.product(&CLASS).unwrap().vendor, VENDOR);
    assert_eq!(anchors.hub(), "https://hub.example:8443");
    assert_eq!(anchors.spare(), Some("https://static.example/anchors"));
    assert_eq!(anchors.server_cas().collect::<Vec<_>>(), [[0x30; 120]]);
}

#[test]
fn what_is_written_is_read_back() {
    let fleet = Fleet::new();
    let spec = fleet.spec();
    let bytes = encode(&spec).unwrap();
    assert_eq!(AnchorsSpec::of(&Document::parse(&bytes).unwrap()), spec);
}

proptest! {
    #[test]
    fn any_spec_that_encodes_is_read_back(
        version in 1u64..,
        floor in 0u64..=253_402_300_799,
        names in proptest::collection::vec("[ -~äöü]{0,16}", 6),
        revoked in proptest::collection::vec(any::<[u8; 32]>(), 0..64),
        cas in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..600), 1..=4),
        spare in proptest::option::of("https://[a-z]{1,20}(/[a-z0-9]{1,9}){0,3}"),
    ) {
        let fleet = Fleet::new();
        let mut spec = AnchorsSpec {
            version: AnchorsVersion(version),
            time_floor: UnixTime(floor),
            server_cas: cas,
            spare,
            revoked: revoked.into_iter().map(Sha256Digest).collect(),
            ..fleet.spec()
        };
        for (entry, name) in spec.keys.iter_mut().zip(names) {
            entry.name = name;
        }
        let bytes = encode(&spec).unwrap();
        prop_assert_eq!(AnchorsSpec::of(&Document::parse(&bytes).unwrap()), spec);
    }

    /// Whatever people sign, a device reads it without panic, and every question has an answer.
    #[test]
    fn a_damaged_document_that_people_signed_is_read_or_refused(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let fleet = Fleet::new();
        let bytes = encode(&fleet.spec()).unwrap();
        let object = ringfort_cose::MultiSign::parse_object(&bytes, ringfort_trust::ANCHORS);
        let mut payload = object.unwrap().payload_unverified().to_vec();
        for (index, byte) in damage {
            let at = index.index(payload.len());
            payload[at] = byte;
        }
        let signed =
            ringfort_cose::multi_sign(&AwsLc, &[], ringfort_trust::ANCHORS, &payload).unwrap();
        if let Ok(document) = Document::parse(&signed) {
            prop_assert!(document.keys().count() >= 1);
            prop_assert_eq!(encode(&AnchorsSpec::of(&document)).map(drop), Ok(()));
        }
    }

    #[test]
    fn any_bytes_are_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        prop_assert!(Document::parse(&bytes).is_err());
    }
}
