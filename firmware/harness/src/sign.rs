//! Signing keys of tests, made from a number. They are nowhere outside this tool: an image knows
//! only the digest in its device's fuses.

use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey};
use ringfort_cose::{PublicKey, Sign, SignError};
use slots::Sha256;

/// A private key in memory.
pub struct Signer(SigningKey);

impl Signer {
    /// The key with this number.
    pub fn new(number: u8) -> Self {
        let secret = Sha256::digest(&[b'k', number]);
        Self(SigningKey::from_slice(&secret).expect("a digest below the group order"))
    }
}

impl Sign for Signer {
    fn public_key(&self) -> PublicKey {
        let point = self.0.verifying_key().to_sec1_point(false);
        PublicKey::from_bytes(point.as_bytes()).expect("an uncompressed point")
    }

    fn sign(&self, message: &[&[u8]]) -> Result<Vec<u8>, SignError> {
        let mut hash = Sha256::new();
        for part in message {
            hash.update(part);
        }
        let signature: Signature =
            self.0.sign_prehash(&hash.finish()).map_err(|_| SignError::NotAKey)?;
        Ok(signature.to_bytes().to_vec())
    }
}
