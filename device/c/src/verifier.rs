//! Hashing and verifying with RustCrypto: constant code, no memory of its own.

use p256::ecdsa;
use ringfort_cose::{Algorithm, PublicKey, Reason, Sha256Digest, Verify};
use sha2::{Digest, Sha256};
use signature::MultipartVerifier;
use signature::hazmat::PrehashVerifier;

/// SHA-256, ECDSA P-256 and Ed25519.
#[derive(Clone, Copy, Debug, Default)]
pub struct RustCrypto;

impl Verify for RustCrypto {
    fn sha256(&self, parts: &[&[u8]]) -> Sha256Digest {
        let mut hash = Sha256::new();
        parts.iter().for_each(|part| hash.update(part));
        Sha256Digest(hash.finalize().into())
    }

    fn verify(
        &self,
        algorithm: Algorithm,
        key: &PublicKey,
        message: &[&[u8]],
        signature: &[u8],
    ) -> Result<(), Reason> {
        key.check_algorithm(algorithm)?;
        let verified = match key {
            PublicKey::P256(point) => ecdsa::VerifyingKey::from_sec1_bytes(point)
                .and_then(|key| {
                    let signature = ecdsa::Signature::from_slice(signature)?;
                    key.verify_prehash(&self.sha256(message).0, &signature)
                })
                .is_ok(),
            PublicKey::Ed25519(key) => ed25519_dalek::VerifyingKey::from_bytes(key)
                .and_then(|key| {
                    let signature = ed25519_dalek::Signature::from_slice(signature)?;
                    key.multipart_verify(message, &signature)
                })
                .is_ok(),
        };
        if verified { Ok(()) } else { Err(Reason::BadSignature) }
    }
}
