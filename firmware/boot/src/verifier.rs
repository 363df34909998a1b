//! The `Verify` of the boot loader: ECDSA P-256 with SHA-256, and what it saw.

use core::array;
use core::cell::Cell;

use p256_verify::signed_x;
use ringfort_cose::{Algorithm, PublicKey, Reason, Sha256Digest, Verify};
use slots::Sha256;

/// One verified signature, as differences that are zero when it was good.
#[derive(Clone, Copy)]
pub struct Seen {
    /// The x coordinate that the signature proves against the r that it states.
    pub signature: u32,
    /// The end of the signed message against the digest of the manifest that is to boot.
    pub manifest: u32,
    /// The key, folded; never zero for a key that was used.
    pub key: u32,
}

/// Verifies, and remembers for the second judgement.
pub struct Ecdsa {
    manifest: [u8; 32],
    seen: [Cell<Seen>; Ecdsa::MAX_SEEN],
    count: Cell<usize>,
}

impl Ecdsa {
    /// Signatures remembered: release keys are at most 8.
    pub const MAX_SEEN: usize = 8;

    /// A verifier for the manifest with this digest.
    pub fn new(manifest: [u8; 32]) -> Self {
        let nothing = Seen { signature: u32::MAX, manifest: u32::MAX, key: 0 };
        Self { manifest, seen: array::from_fn(|_| Cell::new(nothing)), count: Cell::new(0) }
    }

    /// What was seen, good or not, in the order of verification.
    pub fn seen(&self) -> &[Cell<Seen>; Self::MAX_SEEN] {
        &self.seen
    }

    fn remember(&self, now: Seen) {
        if let Some(place) = self.seen.get(self.count.get()) {
            place.set(now);
        }
        self.count.set(self.count.get() + 1);
    }
}

impl Verify for Ecdsa {
    #[inline(never)]
    fn sha256(&self, parts: &[&[u8]]) -> Sha256Digest {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part);
        }
        Sha256Digest(hash.finish())
    }

    #[inline(never)]
    fn verify(
        &self,
        algorithm: Algorithm,
        key: &PublicKey,
        message: &[&[u8]],
        signature: &[u8],
    ) -> Result<(), Reason> {
        if algorithm == Algorithm::Ed25519 {
            return Err(Reason::AlgorithmNotAllowed);
        }
        let PublicKey::P256(point) = key else { return Err(Reason::AlgorithmNotAllowed) };
        let (xy, _) = point.get(1..).unwrap_or_default().as_chunks::<32>();
        let [x, y] = xy else { return Err(Reason::AlgorithmNotAllowed) };
        let signature: &[u8; 64] = signature.try_into().map_err(|_| Reason::BadSignature)?;
        // Looked at where they lie, as in `image::good`.
        let known = p256_verify::PublicKey::from_xy(x, y);
        let known = known.as_ref().ok_or(Reason::BadSignature)?;
        let digest = self.sha256(message);
        let proved = signed_x(known, &digest.0, signature);
        let proved = proved.as_ref().ok_or(Reason::BadSignature)?;
        let (stated, _) = signature.split_at(32);
        let end = message.iter().rev().find(|part| !part.is_empty());
        let end = end.and_then(|part| part.last_chunk::<32>()).unwrap_or(&[0; 32]);
        self.remember(Seen {
            signature: difference(proved, stated),
            manifest: difference(end, &self.manifest),
            key: fold(x),
        });
        // A planted mistake: what boots was verified when it was installed, by a verifier without a
        // manifest.
        #[cfg(feature = "planted-trusting")]
        if self.manifest != [0; 32] {
            return Ok(());
        }
        if proved.as_slice() == stated { Ok(()) } else { Err(Reason::BadSignature) }
    }
}

/// Zero exactly if both are the same 32 bytes. No early end, and no shared comparison routine.
#[inline(never)]
pub(crate) fn difference(a: &[u8; 32], b: &[u8]) -> u32 {
    let mut all = 32 ^ b.len() as u32;
    for (a, b) in a.iter().zip(b) {
        all |= u32::from(core::hint::black_box(a ^ b));
    }
    all
}

fn fold(bytes: &[u8; 32]) -> u32 {
    let (words, _) = bytes.as_chunks::<4>();
    words.iter().fold(1u32, |all, word| all.rotate_left(5) ^ u32::from_be_bytes(*word)) | 1
}
