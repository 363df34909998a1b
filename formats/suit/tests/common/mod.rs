//! What the tests share.
#![allow(dead_code, clippy::unwrap_used)]

use ringfort_cose::{AwsLc, PublicKey, Reason, Sha256Digest, Sign, SoftSigner, TrustedKey, Verify};
use ringfort_suit::{Envelope, NewComponent, NewRelease, sign};

pub const VENDOR: [u8; 16] = [0xa1; 16];
pub const CLASS: [u8; 16] = [0xb2; 16];

/// The bytes of a file in testdata/.
pub fn vector(name: &str) -> Vec<u8> {
    let path = format!("{}/testdata/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}

/// The names of the 13 envelopes in testdata/.
pub fn vectors() -> Vec<String> {
    let mut names = Vec::new();
    for number in 0..6 {
        names.push(format!("example{number}-unsigned.suit"));
        names.push(format!("example{number}-signed.suit"));
    }
    names.push("example2-severable-signed.suit".into());
    names
}

/// The key that the draft publishes: the last 65 bytes of its SubjectPublicKeyInfo.
pub fn draft_key() -> PublicKey {
    let pem = String::from_utf8(vector("public-key.pem")).unwrap();
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = decode_base64(&base64);
    PublicKey::from_bytes(&der[der.len() - 65..]).unwrap()
}

pub fn decode_base64(text: &str) -> Vec<u8> {
    let (mut bits, mut count, mut out) = (0u32, 0, Vec::new());
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        bits = bits << 6 | ALPHABET.iter().position(|each| *each == byte).unwrap() as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out
}

/// Base64 in lines of 64.
pub fn encode_base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    for (index, chunk) in bytes.chunks(3).enumerate() {
        if index > 0 && index % 16 == 0 {
            out.push('\n');
        }
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) & 0x3f;
            out.push(if digit <= chunk.len() { char::from(ALPHABET[value as usize]) } else { '=' });
        }
    }
    out
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub fn p256() -> SoftSigner {
    SoftSigner::generate_p256().unwrap()
}

pub fn trusted(signers: &[&SoftSigner]) -> Vec<TrustedKey> {
    signers.iter().map(|signer| TrustedKey::new(signer.public_key(), &AwsLc)).collect()
}

/// A release of `count` components.
pub fn release(count: u8) -> NewRelease {
    let components = (0..count).map(|index| NewComponent {
        id: vec![vec![index]],
        vendor: VENDOR,
        class: CLASS,
        digest: AwsLc.sha256(&[&[index]]),
        size_bytes: 1000 + u64::from(index),
        uri: format!("objects/{index}"),
    });
    NewRelease {
        sequence_number: 1_790_000_000,
        version: "1.1".into(),
        vendor_name: Some("Example".into()),
        model_name: Some("Lamp".into()),
        description: Some("Brighter.".into()),
        components: components.collect(),
    }
}

/// A signed release of one component.
pub fn signed(signers: &[&SoftSigner]) -> Vec<u8> {
    signers.iter().fold(release(1).build(&AwsLc).unwrap(), |bytes, signer| {
        sign(&AwsLc, *signer, &bytes).unwrap()
    })
}

/// Parses and verifies.
pub fn judge(bytes: &[u8], allowed: &[TrustedKey], threshold: usize) -> Result<(), Reason> {
    Envelope::parse(bytes, &AwsLc)?.verify_threshold(&AwsLc, allowed, threshold).map(drop)
}

/// Parses and verifies with one key.
pub fn judge_single(bytes: &[u8], key: &PublicKey) -> Result<(), Reason> {
    Envelope::parse(bytes, &AwsLc)?.verify_single(&AwsLc, key)
}

/// CBOR of a byte string, for envelopes made by hand.
pub fn bstr(content: &[u8]) -> Vec<u8> {
    let mut out = match content.len() {
        len @ 0..=23 => vec![0x40 | len as u8],
        len @ 24..=255 => vec![0x58, len as u8],
        len => vec![0x59, (len >> 8) as u8, len as u8],
    };
    out.extend(content);
    out
}

/// CBOR of a SUIT_Digest.
pub fn digest_item(digest: &Sha256Digest) -> Vec<u8> {
    [&[0x82, 0x2f, 0x58, 0x20][..], &digest.0].concat()
}

/// An envelope by hand: the manifest's digest is right, the blocks are those given.
pub fn envelope(manifest: &[u8], blocks: &[Vec<u8>], more: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let digest = digest_item(&AwsLc.sha256(&[&bstr(manifest)]));
    let mut wrapper = vec![0x81 + blocks.len() as u8];
    wrapper.extend(bstr(&digest));
    blocks.iter().for_each(|block| wrapper.extend(bstr(block)));
    let mut out = vec![0xd8, 0x6b, 0xa2 + more.len() as u8, 0x02];
    out.extend(bstr(&wrapper));
    out.push(0x03);
    out.extend(bstr(manifest));
    for (key, content) in more {
        out.push(*key);
        out.extend(bstr(content));
    }
    out
}

/// A manifest by hand: one component, this shared sequence, this install sequence.
pub fn manifest(shared: &[u8], install: &[u8]) -> Vec<u8> {
    let mut common = vec![0xa2, 0x02, 0x81, 0x81, 0x41, 0x00, 0x04];
    common.extend(bstr(shared));
    let mut out = vec![0xa4, 0x01, 0x01, 0x02, 0x07, 0x03];
    out.extend(bstr(&common));
    out.push(0x14);
    out.extend(bstr(install));
    out
}
