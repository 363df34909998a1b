//! A second opinion: `coset` reads what we make, and we read what `coset` makes.
#![allow(clippy::unwrap_used)]

use coset::iana::{self, EnumI64};
use coset::{
    CborSerializable, CoseKey, CoseSign, CoseSign1, CoseSign1Builder, CoseSignBuilder,
    CoseSignatureBuilder, HeaderBuilder, Label, TaggedCborSerializable, cbor::Value,
};
use ringfort_cose::cbor::{Deterministic, Dialect, Writer};
use ringfort_cose::{
    Algorithm, AwsLc, MultiSign, ObjectType, PublicKey, Reason, Sign, Sign1, SoftSigner, Tagging,
    TrustedKey, Verify, multi_sign, sign1, sign1_detached,
};

const ORDER: ObjectType = ObjectType::new("order");
const TYP: &str = "application/vnd.ringfort.order+cose";
const AAD: &[u8] = b"ringfort/order/1";
const PAYLOAD: &[u8] = b"what is signed";

fn signers() -> [SoftSigner; 2] {
    [SoftSigner::generate_p256().unwrap(), SoftSigner::generate_ed25519().unwrap()]
}

fn verify(signer: &SoftSigner, signature: &[u8], message: &[u8]) -> Result<(), Reason> {
    AwsLc.verify(signer.algorithm(), &signer.public_key(), &[message], signature)
}

fn header(signer: &SoftSigner) -> HeaderBuilder {
    let kid = signer.public_key().thumbprint(&AwsLc);
    let mut builder = HeaderBuilder::new().key_id(kid.0.to_vec());
    builder = match iana::Algorithm::from_i64(signer.algorithm().id()) {
        Some(algorithm) => builder.algorithm(algorithm),
        None => builder.value(1, Value::from(signer.algorithm().id())),
    };
    builder
}

#[test]
fn coset_reads_and_verifies_our_sign1() {
    for signer in signers() {
        let bytes = sign1(&AwsLc, &signer, ORDER, PAYLOAD).unwrap();
        let read = CoseSign1::from_tagged_slice(&bytes).unwrap();
        assert_eq!(read.payload.as_deref(), Some(PAYLOAD));
        assert_eq!(read.protected.header.key_id, signer.public_key().thumbprint(&AwsLc).0);
        let typ = (Label::Int(16), Value::from(TYP));
        assert!(read.protected.header.rest.contains(&typ));
        let check = |signature: &[u8], message: &[u8]| verify(&signer, signature, message);
        assert_eq!(read.verify_signature(AAD, check), Ok(()));
        assert_eq!(read.verify_signature(b"", check), Err(Reason::BadSignature));
    }
}

#[test]
fn coset_reads_and_verifies_our_detached_sign1() {
    for signer in signers() {
        let bytes = sign1_detached(&signer, Tagging::Untagged, None, b"", PAYLOAD).unwrap();
        let read = CoseSign1::from_slice(&bytes).unwrap();
        assert_eq!(read.payload, None);
        let check = |signature: &[u8], message: &[u8]| verify(&signer, signature, message);
        assert_eq!(read.verify_detached_signature(PAYLOAD, b"", check), Ok(()));
        let other = read.verify_detached_signature(b"other", b"", check);
        assert_eq!(other, Err(Reason::BadSignature));
    }
}

#[test]
fn we_read_and_verify_a_sign1_by_coset() {
    for signer in signers() {
        let protected = header(&signer).value(16, Value::from(TYP)).build();
        let made = CoseSign1Builder::new()
            .protected(protected)
            .payload(PAYLOAD.to_vec())
            .create_signature(AAD, |message| signer.sign(&[message]).unwrap())
            .build();
        let bytes = made.to_tagged_vec().unwrap();
        let parsed = Sign1::parse_object(&bytes, ORDER).unwrap();
        assert_eq!(parsed.header().algorithm, Some(signer.algorithm()));
        let key = signer.public_key();
        assert_eq!(parsed.verify_object(&AwsLc, ORDER, &key), Ok(PAYLOAD));
        let mut damaged = bytes.clone();
        *damaged.last_mut().unwrap() ^= 1;
        let parsed = Sign1::parse(&damaged, Dialect::WellFormed, Tagging::Tagged).unwrap();
        assert_eq!(parsed.verify(&AwsLc, &key, AAD), Err(Reason::BadSignature));
    }
}

#[test]
fn coset_reads_and_verifies_our_sign() {
    let [a, b] = signers();
    let bytes = multi_sign(&AwsLc, &[&a, &b], ORDER, PAYLOAD).unwrap();
    let read = CoseSign::from_tagged_slice(&bytes).unwrap();
    assert_eq!(read.signatures.len(), 2);
    for (index, (right, wrong)) in [(&a, &b), (&b, &a)].into_iter().enumerate() {
        let check = |signature: &[u8], message: &[u8]| verify(right, signature, message);
        assert_eq!(read.verify_signature(index, AAD, check), Ok(()));
        let check = |signature: &[u8], message: &[u8]| verify(wrong, signature, message);
        assert!(read.verify_signature(index, AAD, check).is_err());
    }
}

#[test]
fn we_read_and_verify_a_sign_by_coset() {
    let [a, b] = signers();
    let entry =
        |signer: &SoftSigner| CoseSignatureBuilder::new().protected(header(signer).build()).build();
    let made = CoseSignBuilder::new()
        .protected(HeaderBuilder::new().value(16, Value::from(TYP)).build())
        .payload(PAYLOAD.to_vec())
        .add_created_signature(entry(&a), AAD, |message| a.sign(&[message]).unwrap())
        .add_created_signature(entry(&b), AAD, |message| b.sign(&[message]).unwrap())
        .build();
    let bytes = made.to_tagged_vec().unwrap();
    let trusted = [&a, &b].map(|signer| TrustedKey::new(signer.public_key(), &AwsLc));
    let parsed = MultiSign::parse_object(&bytes, ORDER).unwrap();
    assert_eq!(parsed.verify_threshold(&AwsLc, &trusted, 2), Ok(PAYLOAD));
    let outcome = parsed.verify_threshold(&AwsLc, &trusted[..1], 1);
    assert_eq!(outcome, Err(Reason::UntrustedSigner));
}

#[test]
fn coset_reads_our_keys_and_we_read_those_of_coset() {
    for signer in signers() {
        let key = signer.public_key();
        let mut out = Writer::to_vec();
        key.write(&mut out).unwrap();
        let bytes = out.finish().unwrap();
        let read = CoseKey::from_slice(&bytes).unwrap();
        assert!(read.key_id.is_empty());
        // Its map is not sorted; a deterministic copy is what our objects hold.
        let mut entries = match Value::from_slice(&read.to_vec().unwrap()).unwrap() {
            Value::Map(entries) => entries,
            other => panic!("{other:?}"),
        };
        entries.sort_by_key(|(key, _)| key.clone().to_vec().unwrap());
        let sorted = Value::Map(entries).to_vec().unwrap();
        assert_eq!(PublicKey::read(&mut Deterministic::read(&sorted).unwrap()), Ok(key));
        assert_eq!(sorted, bytes);
    }
}

#[test]
fn keys_of_other_kinds_are_refused() {
    let read = |bytes: &[u8]| PublicKey::read(&mut Deterministic::read(bytes).unwrap());
    let write = |entries: &[(i64, Value)]| {
        let entries = entries.iter().map(|(key, value)| (Value::from(*key), value.clone()));
        Value::Map(entries.collect()).to_vec().unwrap()
    };
    let point = SoftSigner::generate_p256().unwrap().public_key();
    let x = Value::from(point.as_bytes()[1..33].to_vec());
    let y = Value::from(point.as_bytes()[33..].to_vec());
    let good = [(1, Value::from(2)), (-1, Value::from(1)), (-2, x.clone()), (-3, y.clone())];
    assert_eq!(read(&write(&good)), Ok(point));
    let with = |at: usize, value: Value| {
        let mut entries = good.clone();
        entries[at].1 = value;
        read(&write(&entries))
    };
    // Symmetric, another curve (P-384, P-256K), a short coordinate, a compressed point.
    assert_eq!(with(0, Value::from(4)), Err(Reason::AlgorithmNotAllowed));
    assert_eq!(with(1, Value::from(2)), Err(Reason::AlgorithmNotAllowed));
    assert_eq!(with(1, Value::from(8)), Err(Reason::AlgorithmNotAllowed));
    assert_eq!(with(2, Value::from(vec![1u8; 31])), Err(Reason::AlgorithmNotAllowed));
    assert_eq!(with(3, Value::from(true)), Err(Reason::AlgorithmNotAllowed));
    // A private key, an unknown parameter, an algorithm of another kind of key.
    let more = |entry: (i64, Value), at: usize| {
        let mut entries = good.to_vec();
        entries.insert(at, entry);
        read(&write(&entries))
    };
    assert_eq!(more((-4, Value::from(vec![1u8; 32])), 4), Err(Reason::AlgorithmNotAllowed));
    assert_eq!(more((5, Value::from(vec![1u8])), 1), Err(Reason::UnknownField));
    assert_eq!(more((3, Value::from(-19)), 1), Err(Reason::AlgorithmNotAllowed));
    assert_eq!(more((3, Value::from(-7)), 1), Ok(point));
    assert_eq!(read(&write(&good[..3])), Err(Reason::AlgorithmNotAllowed));
    assert_eq!(read(&[0xa0]), Err(Reason::Malformed));
    assert_eq!(Algorithm::from_id(-8), Err(Reason::AlgorithmNotAllowed));
}
