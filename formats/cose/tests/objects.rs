//! COSE_Sign1 and COSE_Sign of our own objects: what is accepted, and each refusal beside it.
#![allow(clippy::unwrap_used)]

use ringfort_cose::cbor::{Dialect, Writer};
use ringfort_cose::{
    Algorithm, AwsLc, MultiSign, ObjectType, PublicKey, Reason, Sign, Sign1, SoftSigner, Tagging,
    Thumbprint, TrustedKey, Verify, add_signature, multi_sign, sign1, sign1_detached,
};

const ORDER: ObjectType = ObjectType::new("order");
const TIME: ObjectType = ObjectType::new("time");
const PAYLOAD: &[u8] = b"what is signed";

fn p256() -> SoftSigner {
    SoftSigner::generate_p256().unwrap()
}

fn trusted(signer: &SoftSigner) -> TrustedKey {
    TrustedKey::new(signer.public_key(), &AwsLc)
}

fn open(bytes: &[u8], object: ObjectType, key: &PublicKey) -> Result<Vec<u8>, Reason> {
    let parsed = Sign1::parse_object(bytes, object)?;
    parsed.verify_object(&AwsLc, object, key).map(<[u8]>::to_vec)
}

/// A COSE_Sign1 with a protected header of the test's making, truly signed.
fn sign1_with(
    signer: &SoftSigner,
    context: &str,
    protected: &[u8],
    aad: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let mut message = Writer::to_vec();
    message.array(4).unwrap().text(context).unwrap().bytes(protected).unwrap();
    message.bytes(aad).unwrap().bytes(payload).unwrap();
    let signature = signer.sign(&[&message.finish().unwrap()]).unwrap();
    let mut out = Writer::to_vec();
    out.tag(18).unwrap().array(4).unwrap().bytes(protected).unwrap().map(0).unwrap();
    out.bytes(payload).unwrap().bytes(&signature).unwrap();
    out.finish().unwrap()
}

fn order_header(algorithm: i64, extra: impl FnOnce(&mut Writer<Vec<u8>>), entries: u64) -> Vec<u8> {
    let mut out = Writer::to_vec();
    out.map(2 + entries).unwrap().i64(1).unwrap().i64(algorithm).unwrap();
    extra(&mut out);
    out.i64(16).unwrap().text("application/vnd.ringfort.order+cose").unwrap();
    out.finish().unwrap()
}

#[test]
fn a_signed_object_gives_its_payload_back_to_the_right_key_only() {
    for signer in [p256(), SoftSigner::generate_ed25519().unwrap()] {
        let bytes = sign1(&AwsLc, &signer, ORDER, PAYLOAD).unwrap();
        assert_eq!(open(&bytes, ORDER, &signer.public_key()).unwrap(), PAYLOAD);
        let parsed = Sign1::parse_object(&bytes, ORDER).unwrap();
        assert_eq!(parsed.header().signer().unwrap(), trusted(&signer).thumbprint);

        let other = match signer.public_key() {
            PublicKey::P256(_) => p256(),
            PublicKey::Ed25519(_) => SoftSigner::generate_ed25519().unwrap(),
        };
        assert_eq!(open(&bytes, ORDER, &other.public_key()), Err(Reason::BadSignature));
    }
}

#[test]
fn every_flipped_bit_of_a_signed_object_is_refused() {
    let signer = p256();
    let key = signer.public_key();
    let bytes = sign1(&AwsLc, &signer, ORDER, PAYLOAD).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let outcome = open(&flipped, ORDER, &key);
        assert!(outcome.is_err(), "bit {bit} was accepted");
    }
}

#[test]
fn every_prefix_and_every_suffix_of_a_signed_object_is_refused() {
    let signer = p256();
    let bytes = sign1(&AwsLc, &signer, ORDER, PAYLOAD).unwrap();
    for len in 0..bytes.len() {
        assert!(open(&bytes[..len], ORDER, &signer.public_key()).is_err());
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(open(&longer, ORDER, &signer.public_key()), Err(Reason::Malformed));
    assert!(open(&bytes, ORDER, &signer.public_key()).is_ok());
}

#[test]
fn one_type_cannot_pass_for_another() {
    let signer = p256();
    let bytes = sign1(&AwsLc, &signer, ORDER, PAYLOAD).unwrap();
    assert_eq!(open(&bytes, TIME, &signer.public_key()), Err(Reason::WrongType));
    // The right typ, but signed for another external_aad.
    let header = order_header(-9, |_| {}, 0);
    let forged = sign1_with(&signer, "Signature1", &header, b"ringfort/time/1", PAYLOAD);
    assert_eq!(open(&forged, ORDER, &signer.public_key()), Err(Reason::BadSignature));
    let right = sign1_with(&signer, "Signature1", &header, b"ringfort/order/1", PAYLOAD);
    assert_eq!(open(&right, ORDER, &signer.public_key()).unwrap(), PAYLOAD);
}

#[test]
fn a_signature_of_one_structure_is_refused_in_another() {
    let signer = p256();
    let header = order_header(-9, |_| {}, 0);
    let forged = sign1_with(&signer, "Signature", &header, b"ringfort/order/1", PAYLOAD);
    assert_eq!(open(&forged, ORDER, &signer.public_key()), Err(Reason::BadSignature));
}

#[test]
fn es256_is_accepted_where_esp256_is_but_never_emitted() {
    let signer = p256();
    let header = order_header(-7, |_| {}, 0);
    let bytes = sign1_with(&signer, "Signature1", &header, b"ringfort/order/1", PAYLOAD);
    assert_eq!(open(&bytes, ORDER, &signer.public_key()).unwrap(), PAYLOAD);
    let ours = sign1(&AwsLc, &signer, ORDER, PAYLOAD).unwrap();
    let parsed = Sign1::parse_object(&ours, ORDER).unwrap();
    assert_eq!(parsed.header().algorithm, Some(Algorithm::Esp256));
}

#[test]
fn an_algorithm_that_is_not_ours_is_refused() {
    let signer = p256();
    // HMAC 256/256 (5), reserved none (0), ES384 (-35), ESP384 (-51), EdDSA (-8), RS256 (-257).
    for algorithm in [5, 0, -35, -51, -8, -257, i64::MIN, i64::MAX] {
        let header = order_header(algorithm, |_| {}, 0);
        let bytes = sign1_with(&signer, "Signature1", &header, b"ringfort/order/1", PAYLOAD);
        let outcome = open(&bytes, ORDER, &signer.public_key());
        assert_eq!(outcome, Err(Reason::AlgorithmNotAllowed), "{algorithm}");
    }
}

#[test]
fn an_algorithm_that_does_not_fit_the_key_is_refused() {
    let signer = p256();
    let header = order_header(-19, |_| {}, 0);
    let bytes = sign1_with(&signer, "Signature1", &header, b"ringfort/order/1", PAYLOAD);
    let outcome = open(&bytes, ORDER, &signer.public_key());
    assert_eq!(outcome, Err(Reason::AlgorithmNotAllowed));
    let direct = AwsLc.verify(Algorithm::Ed25519, &signer.public_key(), &[PAYLOAD], &[0; 64]);
    assert_eq!(direct, Err(Reason::AlgorithmNotAllowed));
    // A P-384 point has 97 bytes: it does not even make a key.
    assert_eq!(PublicKey::from_bytes(&[4; 97]), Err(Reason::AlgorithmNotAllowed));
    assert!(PublicKey::from_bytes(signer.public_key().as_bytes()).is_ok());
}

#[test]
fn an_object_without_algorithm_is_refused() {
    let signer = p256();
    let mut header = Writer::to_vec();
    header.map(1).unwrap().i64(16).unwrap();
    header.text("application/vnd.ringfort.order+cose").unwrap();
    let header = header.finish().unwrap();
    let bytes = sign1_with(&signer, "Signature1", &header, b"ringfort/order/1", PAYLOAD);
    let outcome = open(&bytes, ORDER, &signer.public_key());
    assert_eq!(outcome, Err(Reason::AlgorithmNotAllowed));
}

#[test]
fn crit_is_honoured() {
    let signer = p256();
    let with_crit = |labels: &[i64]| {
        let header = order_header(
            -9,
            |out| {
                out.i64(2).unwrap().array(labels.len() as u64).unwrap();
                for label in labels {
                    out.i64(*label).unwrap();
                }
            },
            1,
        );
        let bytes = sign1_with(&signer, "Signature1", &header, b"ringfort/order/1", PAYLOAD);
        open(&bytes, ORDER, &signer.public_key())
    };
    assert_eq!(with_crit(&[16]).unwrap(), PAYLOAD);
    assert_eq!(with_crit(&[99]), Err(Reason::Unsupported));
    assert_eq!(with_crit(&[16, 99]), Err(Reason::Unsupported));
    // Listed as critical but not there, and an empty list.
    assert_eq!(with_crit(&[4]), Err(Reason::Malformed));
    assert_eq!(with_crit(&[]), Err(Reason::Malformed));
}

#[test]
fn unknown_header_parameters_are_refused_in_our_objects_and_ignored_in_others() {
    let signer = p256();
    let header = order_header(
        -9,
        |out| {
            out.i64(10).unwrap().u64(1).unwrap();
        },
        1,
    );
    let bytes = sign1_with(&signer, "Signature1", &header, b"", PAYLOAD);
    assert_eq!(Sign1::parse_object(&bytes, ORDER).unwrap_err(), Reason::UnknownField);
    let parsed = Sign1::parse(&bytes, Dialect::WellFormed, Tagging::Tagged).unwrap();
    assert_eq!(parsed.verify(&AwsLc, &signer.public_key(), b"").unwrap(), PAYLOAD);
}

#[test]
fn what_is_unprotected_is_never_used() {
    let signer = p256();
    let bytes = sign1_detached(&signer, Tagging::Tagged, None, b"", PAYLOAD).unwrap();
    // d2 84 43 a1 01 28 | a0: put a kid into the unprotected map.
    let at = bytes.iter().position(|byte| *byte == 0xa0).unwrap();
    let mut with_kid = bytes[..at].to_vec();
    with_kid.extend([0xa1, 0x04, 0x41, 0x07]);
    with_kid.extend(&bytes[at + 1..]);
    let parsed = Sign1::parse(&with_kid, Dialect::WellFormed, Tagging::Tagged).unwrap();
    assert_eq!(parsed.header().kid, None);
    assert!(parsed.verify_detached(&AwsLc, &signer.public_key(), b"", PAYLOAD).is_ok());
    let ours = Sign1::parse(&with_kid, Dialect::Deterministic, Tagging::Tagged);
    assert_eq!(ours.unwrap_err(), Reason::UnknownField);

    // A label that stands in both maps, and crit in the unprotected one.
    for entry in [&[0xa1, 0x01, 0x28][..], &[0xa1, 0x02, 0x81, 0x04]] {
        let mut bad = bytes[..at].to_vec();
        bad.extend(entry);
        bad.extend(&bytes[at + 1..]);
        let outcome = Sign1::parse(&bad, Dialect::WellFormed, Tagging::Tagged);
        assert_eq!(outcome.unwrap_err(), Reason::Malformed);
    }
}

#[test]
fn tag_and_no_tag_are_told_apart() {
    let signer = p256();
    for (made, read) in [(Tagging::Tagged, Tagging::Untagged), (Tagging::Untagged, Tagging::Tagged)]
    {
        let bytes = sign1_detached(&signer, made, None, b"", PAYLOAD).unwrap();
        assert!(Sign1::parse(&bytes, Dialect::WellFormed, made).is_ok());
        assert!(Sign1::parse(&bytes, Dialect::WellFormed, read).is_err());
    }
}

#[test]
fn a_detached_payload_is_asked_for_and_an_inner_one_is_not_overridden() {
    let signer = p256();
    let key = signer.public_key();
    let detached = sign1_detached(&signer, Tagging::Tagged, None, b"", PAYLOAD).unwrap();
    let parsed = Sign1::parse(&detached, Dialect::Deterministic, Tagging::Tagged).unwrap();
    assert_eq!(parsed.verify_detached(&AwsLc, &key, b"", PAYLOAD), Ok(()));
    let other = parsed.verify_detached(&AwsLc, &key, b"", b"something else");
    assert_eq!(other, Err(Reason::BadSignature));
    assert_eq!(parsed.verify(&AwsLc, &key, b""), Err(Reason::Malformed));

    let inside = sign1(&AwsLc, &signer, ORDER, PAYLOAD).unwrap();
    let parsed = Sign1::parse_object(&inside, ORDER).unwrap();
    let outcome = parsed.verify_detached(&AwsLc, &key, b"ringfort/order/1", PAYLOAD);
    assert_eq!(outcome, Err(Reason::Malformed));
}

#[test]
fn two_of_three_signers_meet_a_threshold_of_two() {
    let (a, b, c) = (p256(), SoftSigner::generate_ed25519().unwrap(), p256());
    let allowed = [trusted(&a), trusted(&b), trusted(&c)];
    let bytes = multi_sign(&AwsLc, &[&a, &b], ORDER, PAYLOAD).unwrap();
    let parsed = MultiSign::parse_object(&bytes, ORDER).unwrap();
    assert_eq!(parsed.verify_threshold(&AwsLc, &allowed, 2), Ok(PAYLOAD));
    let signers = parsed.verify_all(&AwsLc, &allowed).unwrap();
    assert_eq!((signers.count(), signers.count_in(1..3)), (2, 1));
    let three = parsed.verify_threshold(&AwsLc, &allowed, 3);
    assert_eq!(three, Err(Reason::ThresholdNotMet));
    let none = parsed.verify_threshold(&AwsLc, &allowed, 0);
    assert_eq!(none, Err(Reason::ThresholdNotMet));
}

#[test]
fn one_key_signing_twice_counts_once() {
    let (a, b) = (p256(), p256());
    // The same key listed twice as allowed as well.
    let allowed = [trusted(&a), trusted(&a), trusted(&b)];
    let twice = multi_sign(&AwsLc, &[&a, &a], ORDER, PAYLOAD).unwrap();
    let parsed = MultiSign::parse_object(&twice, ORDER).unwrap();
    let outcome = parsed.verify_threshold(&AwsLc, &allowed, 2);
    assert_eq!(outcome, Err(Reason::ThresholdNotMet));
    let both = multi_sign(&AwsLc, &[&a, &b], ORDER, PAYLOAD).unwrap();
    let parsed = MultiSign::parse_object(&both, ORDER).unwrap();
    assert_eq!(parsed.verify_threshold(&AwsLc, &allowed, 2), Ok(PAYLOAD));
}

#[test]
fn an_unknown_or_damaged_spare_signature_refuses_the_object() {
    let (a, b, c, stranger) = (p256(), p256(), p256(), p256());
    let allowed = [trusted(&a), trusted(&b), trusted(&c)];
    let spare = multi_sign(&AwsLc, &[&a, &b, &c], ORDER, PAYLOAD).unwrap();
    let verdict = |bytes: &[u8]| {
        let parsed = MultiSign::parse_object(bytes, ORDER)?;
        parsed.verify_threshold(&AwsLc, &allowed, 2).map(drop)
    };
    assert_eq!(verdict(&spare), Ok(()));
    let mut damaged = spare.clone();
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(verdict(&damaged), Err(Reason::BadSignature));
    let strange = multi_sign(&AwsLc, &[&a, &b, &stranger], ORDER, PAYLOAD).unwrap();
    assert_eq!(verdict(&strange), Err(Reason::UntrustedSigner));
}

#[test]
fn every_flipped_bit_of_a_multi_signed_object_is_refused() {
    let (a, b) = (p256(), p256());
    let allowed = [trusted(&a), trusted(&b)];
    let bytes = multi_sign(&AwsLc, &[&a, &b], ORDER, PAYLOAD).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let outcome = MultiSign::parse_object(&flipped, ORDER)
            .and_then(|parsed| parsed.verify_threshold(&AwsLc, &allowed, 2).map(drop));
        assert!(outcome.is_err(), "bit {bit} was accepted");
    }
}

#[test]
fn signatures_made_separately_come_together_and_are_replaced_not_doubled() {
    let (a, b) = (p256(), p256());
    let allowed = [trusted(&a), trusted(&b)];
    let unsigned = multi_sign(&AwsLc, &[], ORDER, PAYLOAD).unwrap();
    let one = add_signature(&AwsLc, &a, ORDER, &unsigned).unwrap();
    let again = add_signature(&AwsLc, &a, ORDER, &one).unwrap();
    let parsed = MultiSign::parse_object(&again, ORDER).unwrap();
    assert_eq!(parsed.entries().count(), 1);
    assert_eq!(parsed.verify_threshold(&AwsLc, &allowed, 2), Err(Reason::ThresholdNotMet));
    let two = add_signature(&AwsLc, &b, ORDER, &again).unwrap();
    let parsed = MultiSign::parse_object(&two, ORDER).unwrap();
    assert_eq!(parsed.verify_threshold(&AwsLc, &allowed, 2), Ok(PAYLOAD));
}

/// The example of RFC 9679 section 6.
#[test]
fn the_thumbprint_is_that_of_rfc_9679() {
    let x = "65eda5a12577c2bae829437fe338701a10aaa375e1bb5b5de108de439c08551d";
    let y = "1e52ed75701163f7f9e40ddf9f341b3dc9ba860af7e0ca7ca7e9eecd0084d19c";
    let mut point = vec![4];
    for half in [x, y] {
        point.extend(Thumbprint::from_hex(half).unwrap().0);
    }
    let key = PublicKey::from_bytes(&point).unwrap();
    let expected = "496bd8afadf307e5b08c64b0421bf9dc01528a344a43bda88fadd1669da253ec";
    assert_eq!(key.thumbprint(&AwsLc).to_string(), expected);
    let other = p256().public_key().thumbprint(&AwsLc).to_string();
    assert_ne!(other, expected);
}
