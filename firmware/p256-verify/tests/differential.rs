//! 100,000 cases against `p256`: same verdict on right, damaged and random signatures.
#![allow(clippy::unwrap_used)]

use p256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use p256_verify::{PublicKey, verify};
use sha2::{Digest, Sha256};

/// SHA-256 in counter mode: repeatable, and independent of any crate's generator.
struct Stream(u64);

impl Stream {
    fn block(&mut self) -> [u8; 32] {
        self.0 += 1;
        Sha256::digest(self.0.to_be_bytes()).into()
    }
}

fn ours(key: &VerifyingKey) -> PublicKey {
    let point = key.to_sec1_point(false);
    let bytes = point.as_bytes();
    PublicKey::from_xy(bytes[1..33].try_into().unwrap(), bytes[33..].try_into().unwrap()).unwrap()
}

#[test]
fn same_verdict_as_p256_100_000_times() {
    // Four parts side by side, each with numbers of its own.
    let counts = std::thread::scope(|scope| {
        let parts = [0, 1, 2, 3].map(|part| scope.spawn(move || compare(part << 32, 25_000)));
        parts.map(|part| part.join().unwrap())
    });
    for verdict in 0..2 {
        let count: usize = counts.iter().map(|part| part[verdict]).sum();
        assert!(count > 40_000, "{counts:?}");
    }
}

/// How many of these cases are refused, and how many are accepted, by both alike.
fn compare(start: u64, cases: usize) -> [usize; 2] {
    let mut stream = Stream(start);
    let mut counts = [0usize; 2];
    let keys: Vec<(SigningKey, PublicKey)> = (0..64)
        .map(|_| {
            let key = SigningKey::from_slice(&stream.block()).unwrap();
            let public = ours(key.verifying_key());
            (key, public)
        })
        .collect();
    for case in 0..cases {
        let (key, public) = &keys[case % keys.len()];
        let mut digest = stream.block();
        let dice = stream.block();
        let signature: Signature = key.sign_prehash(&digest).unwrap();
        let mut raw: [u8; 64] = signature.to_bytes().into();
        match dice[0] % 8 {
            0..=3 => {}
            4 => raw[usize::from(dice[1]) % 64] ^= 1 << (dice[2] % 8),
            5 => digest[usize::from(dice[1]) % 32] ^= 1 << (dice[2] % 8),
            6 => raw[32..].copy_from_slice(&dice),
            _ => raw[..32].copy_from_slice(&dice),
        }
        let theirs = Signature::from_slice(&raw)
            .is_ok_and(|s| key.verifying_key().verify_prehash(&digest, &s).is_ok());
        assert_eq!(verify(public, &digest, &raw), theirs, "case {start} + {case}");
        counts[usize::from(theirs)] += 1;
    }
    counts
}

/// Scalars at the edges, where doubling and addition meet their exceptional cases.
#[test]
fn same_verdict_as_p256_on_edge_scalars() {
    let n_minus_1 = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x50,
    ];
    let small = |last: u8| {
        let mut bytes = [0; 32];
        bytes[31] = last;
        bytes
    };
    // Keys G, -G, 2G, 3G: sums that meet themselves, their opposite, and infinity.
    let secrets = [small(1), n_minus_1, small(2), small(3)];
    let words = [small(0), small(1), small(2), small(3), n_minus_1, [0xff; 32]];
    for secret in secrets {
        let key = SigningKey::from_slice(&secret).unwrap();
        let public = ours(key.verifying_key());
        for digest in words {
            let signed: Signature = key.sign_prehash(&digest).unwrap();
            assert!(verify(&public, &digest, &signed.to_bytes().into()));
            for r in words {
                for s in words {
                    let mut raw = [0; 64];
                    raw[..32].copy_from_slice(&r);
                    raw[32..].copy_from_slice(&s);
                    let theirs = Signature::from_slice(&raw)
                        .is_ok_and(|s| key.verifying_key().verify_prehash(&digest, &s).is_ok());
                    assert_eq!(verify(&public, &digest, &raw), theirs);
                }
            }
        }
    }
}

#[test]
fn points_off_the_curve_and_coordinates_above_p_are_refused() {
    let key = SigningKey::from_slice(&[7; 32]).unwrap();
    let point = key.verifying_key().to_sec1_point(false);
    let x: [u8; 32] = point.as_bytes()[1..33].try_into().unwrap();
    let y: [u8; 32] = point.as_bytes()[33..].try_into().unwrap();
    assert!(PublicKey::from_xy(&x, &y).is_some());
    let mut off = y;
    off[31] ^= 1;
    assert!(PublicKey::from_xy(&x, &off).is_none());
    assert!(PublicKey::from_xy(&[0xff; 32], &y).is_none());
    assert!(PublicKey::from_xy(&x, &[0xff; 32]).is_none());
    assert!(PublicKey::from_xy(&[0; 32], &[0; 32]).is_none());
}
