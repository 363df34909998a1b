//! [`Verify`] and [`Sign`] on aws-lc-rs.

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair, ParsedPublicKey,
};

use crate::{Algorithm, PublicKey, Reason, Sha256Digest, Sign, SignError, Verify};

/// Hashing and verifying with aws-lc-rs.
#[derive(Clone, Copy, Debug, Default)]
pub struct AwsLc;

impl Verify for AwsLc {
    fn sha256(&self, parts: &[&[u8]]) -> Sha256Digest {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in parts {
            context.update(part);
        }
        let mut out = [0; 32];
        out.copy_from_slice(context.finish().as_ref());
        Sha256Digest(out)
    }

    fn verify(
        &self,
        algorithm: Algorithm,
        key: &PublicKey,
        message: &[&[u8]],
        signature: &[u8],
    ) -> Result<(), Reason> {
        key.check_algorithm(algorithm)?;
        let parsed = match key {
            PublicKey::P256(point) => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point),
            PublicKey::Ed25519(key) => ParsedPublicKey::new(&ED25519, key),
        };
        let parsed = parsed.map_err(|_| Reason::BadSignature)?;
        parsed.verify_sig(&message.concat(), signature).map_err(|_| Reason::BadSignature)
    }
}

/// A private key in memory: what a caller holds after opening a sealed key. It cannot be read
/// back, and `Debug` shows the public key only.
pub struct SoftSigner {
    pair: Pair,
}

enum Pair {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SoftSigner {
    /// Makes a new P-256 key that lives as long as this value.
    ///
    /// # Errors
    /// [`SignError::Store`] when the library cannot.
    pub fn generate_p256() -> Result<SoftSigner, SignError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(library)?;
        Ok(SoftSigner { pair: Pair::P256(pair) })
    }

    /// Makes a new Ed25519 key that lives as long as this value.
    ///
    /// # Errors
    /// [`SignError::Store`] when the library cannot.
    pub fn generate_ed25519() -> Result<SoftSigner, SignError> {
        let pair = Ed25519KeyPair::generate().map_err(library)?;
        Ok(SoftSigner { pair: Pair::Ed25519(pair) })
    }

    /// Takes a P-256 or Ed25519 private key in PKCS#8 (DER).
    ///
    /// # Errors
    /// [`SignError::NotAKey`].
    pub fn from_pkcs8(der: &[u8]) -> Result<SoftSigner, SignError> {
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der) {
            return Ok(SoftSigner { pair: Pair::P256(pair) });
        }
        let pair = Ed25519KeyPair::from_pkcs8(der).map_err(|_| SignError::NotAKey)?;
        Ok(SoftSigner { pair: Pair::Ed25519(pair) })
    }
}

impl Sign for SoftSigner {
    fn public_key(&self) -> PublicKey {
        match &self.pair {
            Pair::P256(pair) => {
                let mut point = [0; 65];
                point.copy_from_slice(pair.public_key().as_ref());
                PublicKey::P256(point)
            }
            Pair::Ed25519(pair) => {
                let mut key = [0; 32];
                key.copy_from_slice(pair.public_key().as_ref());
                PublicKey::Ed25519(key)
            }
        }
    }

    fn sign(&self, message: &[&[u8]]) -> Result<Vec<u8>, SignError> {
        let message = message.concat();
        let signature = match &self.pair {
            Pair::P256(pair) => pair.sign(&SystemRandom::new(), &message).map_err(library)?,
            Pair::Ed25519(pair) => pair.try_sign(&message).map_err(library)?,
        };
        Ok(signature.as_ref().to_vec())
    }
}

impl core::fmt::Debug for SoftSigner {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("SoftSigner").field(&self.public_key()).finish()
    }
}

fn library(_: aws_lc_rs::error::Unspecified) -> SignError {
    SignError::Store("the cryptographic library failed".into())
}
