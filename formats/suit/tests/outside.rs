//! Other people's tools: `taylor` makes what we read, `suit_validator` reads what we make.
#![allow(clippy::unwrap_used)]

mod common;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm,
};
use common::{draft_key, encode_base64, judge_single, p256, signed, vector, vectors};
use cose_minicbor::cose_keys::{CoseAlg, CoseKey, CoseKeySetBuilder, Curve, KeyType};
use ringfort_cose::{AwsLc, PublicKey, Reason, Sign, SoftSigner};
use ringfort_suit::{Envelope, Release};
use suit_validator::crypto::CoseCrypto;
use suit_validator::handler::GenericStartHandler;
use taylor::envelope::{DigestAlgorithm, build_envelope_with_digest};

/// Does `suit_validator` accept the envelope under this key? It finds the key by kid where the block
/// has one, and calls every P-256 key ES256, also under ESP256.
fn validator_accepts(bytes: &[u8], key: &PublicKey) -> bool {
    let point = key.as_bytes();
    let kid = key.thumbprint(&AwsLc);
    let mut cose_key = CoseKey::new(KeyType::Ec2);
    cose_key.alg(CoseAlg::ES256);
    cose_key.kid(&kid.0);
    cose_key.crv(Curve::P256).unwrap();
    cose_key.x(&point[1..33]).unwrap();
    cose_key.y(&point[33..]).unwrap();
    let mut keys = CoseKeySetBuilder::<256>::try_new().unwrap();
    keys.push_key(cose_key).unwrap();
    let keys = keys.into_bytes().unwrap();
    let mut handler = GenericStartHandler { on_envelope: |_: &_| {}, on_manifest: |_: &_| {} };
    let mut crypto = CoseCrypto::new(&keys);
    suit_validator::suit_decode(bytes, &mut handler, &mut crypto).is_ok()
}

#[test]
fn suit_validator_and_we_agree_on_the_signed_examples() {
    let key = draft_key();
    for name in vectors().iter().filter(|name| !name.contains("unsigned")) {
        assert!(validator_accepts(&vector(name), &key), "{name}");
        assert_eq!(judge_single(&vector(name), &key), Ok(()), "{name}");
    }
}

#[test]
fn suit_validator_accepts_what_we_sign_with_each_signer_in_first_place() {
    let (a, b) = (p256(), p256());
    for signers in [[&a, &b], [&b, &a]] {
        let bytes = signed(&signers);
        let first = signers[0].public_key();
        assert!(validator_accepts(&bytes, &first));
        assert!(!validator_accepts(&bytes, &p256().public_key()));
        assert_eq!(judge_single(&bytes, &first), Ok(()));
    }
}

/// The manifests that taylor is asked for: one component to download; two, in payload-fetch;
/// content that is written in place.
fn taylor_inputs() -> Vec<String> {
    let parameters = r#""vendor-id": "67e55044-10b1-426f-9247-bb680e5fe0c8",
        "class-id": "69e55044-10b1-426f-2974-bb680e5fedc8", "image-size": 1024,
        "image-digest": {"algorithm": "sha256",
            "digest": "c12efb651dc800465d80264343852c304c4dcea2da82828d8824df7638628d17"}"#;
    let asked =
        r#"{"suit-condition-vendor-identifier": 15}, {"suit-condition-class-identifier": 15}"#;
    let manifest = |components: &str, shared: &str, sequences: &str| {
        format!(
            r#"{{"version": 1, "sequence-number": 1790000000, "suit-common": {{
                "suit-components": {components}, "suit-shared-sequence": [{shared}]}},
                "sequence": {{{sequences}}}}}"#
        )
    };
    let select = |index: u8| format!(r#"{{"suit-directive-set-component-index": {index}}}"#);
    let set = |more: &str| {
        format!(r#"{{"suit-directive-override-parameters": {{{parameters}{more}}}}}, {asked}"#)
    };
    let uri = r#", "uri": "https://example.com/firmware.bin""#;
    let fetch = r#"{"suit-directive-fetch": 15}"#;
    let matches = r#"{"suit-condition-image-match": 15}"#;
    vec![
        manifest(
            r#"[["00"]]"#,
            &format!("{}, {}", select(0), set(uri)),
            &format!(
                r#""payload-installation": [{0}, {fetch}], "image-validation": [{0}, {matches}]"#,
                select(0)
            ),
        ),
        manifest(
            r#"[["00"], ["01"]]"#,
            &format!("{}, {}, {}, {}", select(0), set(uri), select(1), set(uri)),
            &format!(
                r#""payload-fetch": [{0}, {fetch}, {1}, {fetch}],
                   "image-validation": [{0}, {matches}, {1}, {matches}]"#,
                select(0),
                select(1)
            ),
        ),
        manifest(
            r#"[["00"]]"#,
            &format!("{}, {}", select(0), set(r#", "content": "3baf77dd95225aea79fc""#)),
            &format!(r#""payload-installation": [{}, {{"suit-directive-write": 15}}]"#, select(0)),
        ),
    ]
}

/// A new private key, as PKCS#8 and as PEM.
fn new_key(algorithm: &'static EcdsaSigningAlgorithm) -> (Vec<u8>, String) {
    let der = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
    let body = encode_base64(der.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    (der.as_ref().to_vec(), pem)
}

/// An envelope by taylor, signed with a new key.
fn taylor_makes(json: &str) -> (Vec<u8>, PublicKey) {
    let (der, pem) = new_key(&ECDSA_P256_SHA256_FIXED_SIGNING);
    let bytes = taylor_signs(json, &pem, DigestAlgorithm::Sha256);
    (bytes, SoftSigner::from_pkcs8(&der).unwrap().public_key())
}

fn taylor_signs(json: &str, pem: &str, digest: DigestAlgorithm) -> Vec<u8> {
    let manifest = taylor::parse::parse(&mut json.as_bytes()).unwrap();
    let signer = taylor::sign::load_signer(pem).unwrap();
    build_envelope_with_digest(manifest, Some(&signer), digest).unwrap()
}

#[test]
fn envelopes_with_p384_or_sha384_are_refused() {
    let json = &taylor_inputs()[0];
    let (_, p384) = new_key(&ECDSA_P384_SHA384_FIXED_SIGNING);
    let (der, p256) = new_key(&ECDSA_P256_SHA256_FIXED_SIGNING);
    let key = SoftSigner::from_pkcs8(&der).unwrap().public_key();
    let verdict = |pem, digest| judge_single(&taylor_signs(json, pem, digest), &key);
    assert_eq!(verdict(&p384, DigestAlgorithm::Sha256), Err(Reason::AlgorithmNotAllowed));
    assert_eq!(verdict(&p256, DigestAlgorithm::Sha384), Err(Reason::AlgorithmNotAllowed));
    assert_eq!(verdict(&p256, DigestAlgorithm::Sha256), Ok(()));
}

#[test]
fn envelopes_by_taylor_are_accepted_and_read() {
    for (index, json) in taylor_inputs().iter().enumerate() {
        let (bytes, key) = taylor_makes(json);
        assert_eq!(judge_single(&bytes, &key), Ok(()), "input {index}");
        let other = judge_single(&bytes, &p256().public_key());
        assert_eq!(other, Err(Reason::BadSignature), "input {index}");
        let envelope = Envelope::parse(&bytes, &AwsLc).unwrap();
        let components = Release::of(&envelope).map(|release| release.components().len());
        let expected = [Ok(1), Ok(2), Err(Reason::Unsupported)];
        assert_eq!(components, expected[index], "input {index}");
    }
}

#[test]
fn twenty_mutations_of_each_envelope_by_taylor_are_refused() {
    for json in taylor_inputs() {
        let (bytes, key) = taylor_makes(&json);
        assert_eq!(judge_single(&bytes, &key), Ok(()));
        let len = bytes.len();
        let mut mutations: Vec<Vec<u8>> = Vec::new();
        // Eight changed bytes, spread over the whole.
        for part in 0..8 {
            let mut changed = bytes.clone();
            changed[len * (2 * part + 1) / 16] ^= 0x41;
            mutations.push(changed);
        }
        // Cut at four places, longer by one, two of the same.
        mutations.extend([0, 2, len / 2, len - 1].map(|end| bytes[..end].to_vec()));
        mutations.push([&bytes[..], &[0]].concat());
        mutations.push([&bytes[..], &bytes].concat());
        // One byte removed, inserted, two exchanged.
        mutations.push([&bytes[..len / 3], &bytes[len / 3 + 1..]].concat());
        mutations.push([&bytes[..len / 3], &[0], &bytes[len / 3..]].concat());
        let mut exchanged = bytes.clone();
        let differing = (1..len).find(|at| bytes[len - at] != bytes[len - at - 1]).unwrap();
        exchanged.swap(len - differing, len - differing - 1);
        mutations.push(exchanged);
        // Another tag; the signature of another envelope; zeros.
        mutations.push([&[0xd8, 0x6c][..], &bytes[2..]].concat());
        let (other, _) = taylor_makes(&json);
        mutations.push(splice_signature(&bytes, &other));
        mutations.push(vec![0; len]);
        assert_eq!(mutations.len(), 20);
        for (index, mutation) in mutations.iter().enumerate() {
            assert_ne!(*mutation, bytes, "mutation {index} changes nothing");
            assert!(judge_single(mutation, &key).is_err(), "mutation {index} was accepted");
        }
    }
}

/// The first envelope with the block of the second, which has the same length.
fn splice_signature(bytes: &[u8], other: &[u8]) -> Vec<u8> {
    let block = |bytes: &[u8]| {
        let envelope = Envelope::parse(bytes, &AwsLc).unwrap();
        envelope.blocks().next().unwrap().unwrap().bytes().to_vec()
    };
    let (own, foreign) = (block(bytes), block(other));
    let at = bytes.windows(own.len()).position(|window| window == own).unwrap();
    [&bytes[..at], &foreign, &bytes[at + own.len()..]].concat()
}
