//! ECDSA over P-256 (FIPS 186-5, SEC 1 section 4.1.4), verification only.
//!
//! Everything here works on public data, so its time and its memory accesses may depend on the
//! data. Never use it with a private key. No allocation, no panic, no table in flash but the
//! curve's own constants.
//!
//! [`signed_x`] gives back the x coordinate that the signature commits to, instead of a verdict:
//! a boot loader compares it twice, by different code, so that no single skipped instruction in
//! here or there turns a wrong signature into a right one. [`verify`] is the plain form.

#![no_std]
#![forbid(unsafe_code)]

mod field;
mod point;

use field::{Fe, N, P};
use point::{Point, multiply_add, on_curve};

/// A point of the curve, checked to be one.
#[derive(Clone, Copy)]
pub struct PublicKey {
    point: Point,
}

impl PublicKey {
    /// Reads `x || y`, each 32 bytes big-endian; `None` if a coordinate is not below p or the
    /// point is not on the curve. The curve has prime order, so no further check is needed.
    pub fn from_xy(x: &[u8; 32], y: &[u8; 32]) -> Option<Self> {
        let (x, y) = (Fe::from_be(x), Fe::from_be(y));
        if !x.less_than(&P.modulus) || !y.less_than(&P.modulus) {
            return None;
        }
        let point = [P.enter(&x), P.enter(&y), P.one];
        on_curve(&point).then_some(Self { point })
    }
}

/// The x coordinate, modulo the group order, of the point that `signature` (`r || s`) proves over
/// `digest` under `key`. The signature is valid exactly if the result equals `r`; `None` if `r` or
/// `s` is not in `[1, n - 1]` or the point is at infinity.
#[inline(never)]
pub fn signed_x(key: &PublicKey, digest: &[u8; 32], signature: &[u8; 64]) -> Option<[u8; 32]> {
    let (r, s) = halves(signature);
    let (r, s) = (Fe::from_be(r), Fe::from_be(s));
    if r.is_zero() || s.is_zero() || !r.less_than(&N.modulus) || !s.less_than(&N.modulus) {
        return None;
    }
    // The digest is below 2^256 < 2n: one subtraction reduces it.
    let z = N.reduce_once(&Fe::from_be(digest));
    let inverse = N.invert(&N.enter(&s));
    let u1 = N.product(&z, &inverse);
    let u2 = N.product(&r, &inverse);
    let x = multiply_add(&u1, &u2, &key.point)?;
    // x is below p < 2n.
    Some(N.reduce_once(&x).to_be())
}

/// Whether `signature` (`r || s`) is valid over the SHA-256 `digest` under `key`.
pub fn verify(key: &PublicKey, digest: &[u8; 32], signature: &[u8; 64]) -> bool {
    signed_x(key, digest, signature).is_some_and(|x| x == *halves(signature).0)
}

fn halves(signature: &[u8; 64]) -> (&[u8; 32], &[u8; 32]) {
    let (halves, _) = signature.as_chunks::<32>();
    match halves {
        [r, s] => (r, s),
        // 64 bytes are two times 32.
        _ => (&[0; 32], &[0; 32]),
    }
}
